"""``fakecloud serve``: start the control plane."""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from arcbed_cloud.cli.options import State, fail, reason, state_folder

if TYPE_CHECKING:
    from arcbed_cloud.app import Cloud
    from arcbed_cloud.folder import Running
    from arcbed_cloud.settings import Settings


class Durability(StrEnum):
    """What an acknowledged write survives."""

    PROCESS = "process"
    FULL = "full"


class ClockMode(StrEnum):
    """How the bed's time goes."""

    LIVE = "live"
    STEPPED = "stepped"


class OnExpiry(StrEnum):
    """What ARM does with the assignments of a machine that was silent for too long."""

    KEEP = "keep"
    DELETE = "delete"


class LogFormat(StrEnum):
    """For whom the log is."""

    TEXT = "text"
    JSON = "json"


class ServerKey(StrEnum):
    """Kind of the TLS key."""

    ECDSA = "ecdsa"
    RSA = "rsa"


def command(
    state: State = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 takes a free one.")] = 8443,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    tls: Annotated[
        bool, typer.Option("--tls/--no-tls", help="Serve HTTPS, as every Azure SDK demands.")
    ] = True,
    server_key: Annotated[ServerKey, typer.Option(help="Kind of the TLS key.")] = ServerKey.ECDSA,
    extra_host: Annotated[
        list[str] | None, typer.Option(help="A further name or address for the certificate; repeatable.")
    ] = None,
    allow_remote: Annotated[bool, typer.Option(help="Listen on an address that others can reach.")] = False,
    public_url: Annotated[
        str | None, typer.Option(help="The URL by which clients reach this, for `fakecloud env`.")
    ] = None,
    admin_host: Annotated[
        list[str] | None,
        typer.Option(help="Address or own name for the admin API, with --admin-port; repeatable."),
    ] = None,
    admin_port: Annotated[
        int | None,
        typer.Option(min=0, max=65535, help="Serve the admin API on TCP instead of a Unix socket."),
    ] = None,
    share: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="Folder for what machines are handed: ca.pem and the onboarding principal."
        ),
    ] = None,
    durability: Annotated[
        Durability, typer.Option(help="Survive the death of the process, or also the loss of power.")
    ] = Durability.PROCESS,
    seed: Annotated[str | None, typer.Option(help="Seed of ids and spreads, to repeat a run.")] = None,
    clock: Annotated[
        ClockMode, typer.Option(help="Let time flow, or stand still until it is advanced.")
    ] = ClockMode.LIVE,
    start: Annotated[
        datetime | None,
        typer.Option(
            formats=["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%SZ"],
            help="Where the bed's time begins, in UTC; by default now. Holds at the first start only.",
        ),
    ] = None,
    clock_port: Annotated[
        int | None,
        typer.Option(
            min=0, max=65535, help="Serve the clock's channel on TCP too, on the addresses of --admin-host."
        ),
    ] = None,
    event_log: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Event log; with --clock stepped events.log in the state by default."
        ),
    ] = None,
    clock_grace: Annotated[
        float, typer.Option(min=0.1, help="Real seconds for which a task may keep time from moving.")
    ] = 30.0,
    heartbeat_seconds: Annotated[
        int, typer.Option(min=1, max=86_400, help="The pace of heartbeats that machines are asked for.")
    ] = 300,
    disconnected_after_seconds: Annotated[
        int, typer.Option(min=1, help="Silence after which a machine is shown Disconnected.")
    ] = 900,
    certificate_days: Annotated[
        int, typer.Option(min=1, max=3650, help="Life of a machine's certificate.")
    ] = 90,
    renew_after_days: Annotated[
        int, typer.Option(min=1, max=3650, help="Age at which a machine renews its certificate.")
    ] = 45,
    pull_seconds: Annotated[
        int, typer.Option(min=1, max=86_400, help="The pace at which machines ask for their assignments.")
    ] = 300,
    retention_seconds: Annotated[
        int, typer.Option(min=1, help="Silence after which a machine loses its assignments; 14 days.")
    ] = 1_209_600,
    reapply_after_seconds: Annotated[
        int, typer.Option(min=1, help="Silence after which a machine applies its assignments again.")
    ] = 900,
    reassign_after_expiry: Annotated[
        bool,
        typer.Option(
            "--reassign-after-expiry/--no-reassign-after-expiry",
            help="Give a machine back what it lost by its silence.",
        ),
    ] = False,
    arm_on_expiry: Annotated[
        OnExpiry, typer.Option(help="Keep lost assignments in ARM as Pending, or delete them there.")
    ] = OnExpiry.KEEP,
    heartbeat_throttle: Annotated[
        bool,
        typer.Option(
            "--heartbeat-throttle/--no-heartbeat-throttle", help="Refuse heartbeats that come too fast."
        ),
    ] = True,
    request_limits: Annotated[
        bool,
        typer.Option(
            "--request-limits/--no-request-limits",
            help="Answer 429 when a caller asks more than Azure would allow.",
        ),
    ] = True,
    machine_tokens_on_bed_clock: Annotated[
        bool,
        typer.Option(
            "--machine-tokens-on-bed-clock/--machine-tokens-on-real-clock",
            help="Let the tokens of machines run out when the bed's clock passes their end.",
        ),
    ] = True,
    log_format: Annotated[
        LogFormat, typer.Option(help="Log lines for people or for machines.")
    ] = LogFormat.TEXT,
    log_level: Annotated[str, typer.Option(help="debug, info, warning or error.")] = "info",
) -> None:
    """Start the control plane and serve until it is told to stop."""
    from arcbed_cloud.settings import Settings

    if log_level.lower() not in {"debug", "info", "warning", "error"}:
        fail(f"'{log_level}' is no log level; use debug, info, warning or error.", code=2)
    folder = state_folder(state).resolve()
    if event_log is None and clock is ClockMode.STEPPED:
        event_log = folder / "events.log"
    settings = Settings(
        state=folder,
        event_log=event_log,
        host=host,
        port=port,
        tls=tls,
        public_url=public_url,
        durability=durability.value,
        clock=clock.value,
        clock_start=start.replace(tzinfo=UTC) if start else None,
        clock_port=clock_port,
        clock_grace=clock_grace,
        seed=seed,
        server_key=server_key.value,
        heartbeat_seconds=heartbeat_seconds,
        disconnected_after_seconds=disconnected_after_seconds,
        certificate_days=certificate_days,
        renew_after_days=renew_after_days,
        pull_seconds=pull_seconds,
        retention_seconds=retention_seconds,
        reapply_after_seconds=reapply_after_seconds,
        reassign_after_expiry=reassign_after_expiry,
        arm_on_expiry=arm_on_expiry.value,
        heartbeat_throttle=heartbeat_throttle,
        request_limits=request_limits,
        machine_tokens_on_bed_clock=machine_tokens_on_bed_clock,
        extra_hosts=tuple(extra_host or ()),
        allow_remote=allow_remote,
        admin_hosts=tuple(admin_host or ()),
        admin_port=admin_port,
        share=share.resolve() if share else None,
    )
    _run(settings, log_format.value, log_level)


def _run(settings: Settings, log_format: str, log_level: str) -> None:
    import asyncio
    import sqlite3

    import setproctitle
    import uvloop

    from arcbed_cloud import logs
    from arcbed_cloud.estate import SecretsError
    from arcbed_cloud.folder import InUseError
    from arcbed_cloud.server import ServeError, serve
    from arcbed_cloud.trust import TrustError

    setproctitle.setproctitle("fakecloud")
    logs.configure("json" if log_format == "json" else "text", log_level)
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(serve(settings, _welcome))
    except (ServeError, InUseError, TrustError, SecretsError) as error:
        fail(str(error))
    except PermissionError as error:
        fail(f"No permission for {error.filename}: choose another --state.")
    except sqlite3.DatabaseError as error:
        fail(f"{settings.state / 'state.db'}: {error}. Restore it, or choose another --state.")
    except OSError as error:
        fail(f"{reason(error)}. Choose another --state, or make room for it.")


def _welcome(cloud: Cloud, running: Running) -> None:
    folder = cloud.settings.state
    near = Path.cwd()
    shown = folder.relative_to(near) if folder.is_relative_to(near) else folder
    option = "" if str(shown) == ".arcbed/state" else f" --state {shown}"
    print(
        f"fakecloud is ready at {running.url}\n"
        f"  tenant        {cloud.estate.tenant_id}\n"
        f"  subscription  {cloud.estate.subscription_id}\n"
        f"  state         {shown}  (seed {cloud.plane.ids.seed})\n"
        f"  admin API     {running.admin}\n"
        f'Next: eval "$(fakecloud env{option})"   then any Azure SDK or azcmagent talks to it. Ctrl+C stops.',
        flush=True,
    )
