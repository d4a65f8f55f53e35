"""Settings of a control plane: what the command line decides, and nothing else reads the environment for."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How one control plane is set up.

    Durations are seconds of the bed's clock unless named `real`. The admin API is on a Unix socket in
    `state`, or on TCP where `admin_port` is given: on each of `admin_hosts`, else on 127.0.0.1. Machines find
    the authority and the onboarding principal in `share` (see `handover`). The clock's channel is a Unix
    socket in `state` too, and on TCP as well where `clock_port` is given. `clock_start` is where the bed's
    time begins; a task may run for `clock_grace` real seconds while time waits for it. `event_log`
    is the file of the event log, which only a bed that stands still until it is moved should have.
    """

    state: Path
    host: str = "127.0.0.1"
    port: int = 8443
    tls: bool = True
    public_url: str | None = None
    durability: Literal["process", "full"] = "process"
    shared_state: bool = False
    clock: Literal["live", "stepped"] = "live"
    clock_start: datetime | None = None
    clock_grace: float = 30.0
    clock_port: int | None = None
    event_log: Path | None = None
    seed: str | None = None
    server_key: Literal["ecdsa", "rsa"] = "ecdsa"
    heartbeat_seconds: int = 300
    disconnected_after_seconds: int = 900
    certificate_days: int = 90
    renew_after_days: int = 45
    machines_per_group: int = 5_000
    allow_rekey: bool = False
    token_seconds: int = 3_600
    machine_token_seconds: int = 86_700
    machine_tokens_on_bed_clock: bool = True
    heartbeat_throttle: bool = True
    request_limits: bool = True
    register_seconds: float = 0.0
    pull_seconds: int = 300
    retention_seconds: int = 1_209_600
    reapply_after_seconds: int = 900
    reassign_after_expiry: bool = False
    arm_on_expiry: Literal["keep", "delete"] = "keep"
    reports_kept: int = 100
    extra_hosts: tuple[str, ...] = field(default=())
    allow_remote: bool = False
    admin_hosts: tuple[str, ...] = ()
    admin_port: int | None = None
    share: Path | None = None
