"""``extd test PACKAGE.zip``: what an author of extensions wants to know before publishing one.

The package goes through the manager itself: downloaded, unpacked, installed, enabled, enabled with the next
sequence number or replaced by another version, disabled and uninstalled, on a machine that is a folder.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import re
import sys
import tempfile
import zipfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

import httpx

from arcbed_agent import archives
from arcbed_agent.archives import ArchiveError
from arcbed_agent.clock import SystemClock
from arcbed_agent.config import LocalConfig
from arcbed_agent.errors import AgentError
from arcbed_agent.extd import packages, rooms
from arcbed_agent.extd.cli import verdicts
from arcbed_agent.extd.cli.offline import HOST, Offered, OfflineIdentity, OfflineService
from arcbed_agent.extd.cli.verdicts import BROKEN, Ran, Verdict
from arcbed_agent.extd.daemon import Extd
from arcbed_agent.extd.failure import MANIFEST_MISSING
from arcbed_agent.extd.folder import Folder
from arcbed_agent.extd.manifest import Manifest, ManifestError
from arcbed_agent.gc_logs import PolicyFormatter
from arcbed_agent.host.layout import Layout
from arcbed_agent.logging import open_log

RULE_BROKEN: Final = 3
_FILE: Final = re.compile(r"(?P<name>[^/]+?)(?:__|-)(?P<version>\d+(?:\.\d+){1,3})\.zip")
_COMMANDS: Final = ("install", "enable", "disable", "uninstall")


class _UsageError(Exception):
    """A file that was named on the command line cannot be used."""


@dataclass
class _Cycle:
    """What a life cycle has shown."""

    ran: list[Ran] = field(default_factory=list)
    verdicts: list[Verdict] = field(default_factory=list)


class _Ear(logging.Handler):
    """Hears which commands end, and how."""

    def __init__(self, ran: list[Ran]) -> None:
        super().__init__()
        self._ran = ran

    def emit(self, record: logging.LogRecord) -> None:
        """Note the end of a command."""
        if record.msg == "%s of %s has ended with %s" and isinstance(record.args, tuple):
            command, folder, code = (str(word) for word in record.args)
            self._ran.append(Ran(folder.rpartition("-")[2], command, code))


def test_package(arguments: argparse.Namespace) -> int:
    """Run the life cycle and print a verdict for each rule.

    Returns:
        0 all kept, 1 the package or this computer refuses, 2 wrong usage, 3 a rule is broken.
    """
    try:
        settings = _object(arguments.settings)
        protected = _object(arguments.protected_settings)
        offered = [_offered(Path(one)) for one in (arguments.package, arguments.update) if one]
        _check_empty(arguments.keep)
    except _UsageError as problem:
        print(f"extd test: {problem}", file=sys.stderr)
        return 2
    except (ArchiveError, ManifestError) as problem:
        print(f"extd test: {problem}", file=sys.stderr)
        return 1
    try:
        if arguments.keep:
            cycle = asyncio.run(
                _run(arguments, Path(arguments.keep).absolute(), offered, settings, protected)
            )
        else:
            with tempfile.TemporaryDirectory(prefix="extd-test-") as folder:
                cycle = asyncio.run(_run(arguments, Path(folder), offered, settings, protected))
    except (AgentError, rooms.RoomError) as problem:
        print(f"extd test: {problem}", file=sys.stderr)
        return 1
    _print(cycle, as_json=arguments.json)
    return RULE_BROKEN if any(one.verdict == BROKEN for one in cycle.verdicts) else 0


def _check_empty(folder: str | None) -> None:
    """The machine's files must not come among somebody's own."""
    if folder is None or not Path(folder).exists():
        return
    if not Path(folder).is_dir() or any(Path(folder).iterdir()):
        raise _UsageError(f"{folder} is no empty folder; choose another --keep")


def _object(file: str | None) -> dict[str, Any] | None:
    if file is None:
        return None
    try:
        document = json.loads(Path(file).read_text(encoding="utf-8-sig"))
    except OSError as problem:
        raise _UsageError(f"{file}: {problem.strerror}") from problem
    except ValueError as problem:
        raise _UsageError(f"{file} is not JSON: {problem}") from problem
    if not isinstance(document, dict):
        raise _UsageError(f"{file} is no JSON object")
    return document


def _offered(path: Path) -> Offered:
    """Name and version from the file, as publishers call it, else from the manifest.

    Raises:
        _UsageError: there is no such file.
        ArchiveError, ManifestError: the package is refused.
    """
    try:
        text = _manifest(path)
    except archives.NO_ZIP as problem:
        raise ArchiveError("PackageNotZip", f"{path} is not a readable zip file: {problem}") from problem
    except OSError as problem:
        raise _UsageError(f"{path}: {problem.strerror}") from problem
    Manifest.parse(text)
    document = json.loads(text.decode("utf-8-sig"))[0]
    match = _FILE.fullmatch(path.name)
    name = match["name"] if match else str(document.get("name") or "Test.Handler")
    publisher, _, kind = name.rpartition(".")
    version = match["version"] if match else "1.0.0"
    return Offered(publisher or "Test", kind, version, path.read_bytes())


def _manifest(path: Path) -> bytes:
    limits = packages.LIMITS
    archives.check_file(path, None, limits)
    with zipfile.ZipFile(path) as archive:
        members = archives.checked_members(archive, limits)
        found = sorted((one for one in members if one.endswith("HandlerManifest.json")), key=len)
        if not found:
            raise ManifestError(
                MANIFEST_MISSING, "HandlerManifest.json was not found in the extension package"
            )
        return archive.read(members[found[0]])


async def _run(
    arguments: argparse.Namespace,
    root: Path,
    offered: list[Offered],
    settings: dict[str, Any] | None,
    protected: dict[str, Any] | None,
) -> _Cycle:
    layout, service, cycle = Layout(root), OfflineService(), _Cycle()
    config = LocalConfig().with_value("endpoints.gas", HOST).with_value("governor.mode", "account")
    config = config.with_value("extd.allowHostChanges", arguments.allow_host_changes)
    async with SystemClock() as clock:
        log = logging.Logger("extd")  # noqa: LOG001 - one for each run
        log.addHandler(_Ear(cycle.ran))
        log.addHandler(open_log(layout["gc_ext_log"], clock, formatter=PolicyFormatter(clock)))
        extd = Extd(
            layout=layout,
            clock=clock,
            config=config,
            identity=OfflineIdentity(),
            network=lambda: httpx.MockTransport(service),
            name="test",
            log=log,
        )
        await extd.start()
        try:
            await _live(extd, service, cycle, offered, settings or {}, protected, arguments.seconds)
        finally:
            await extd.stop()
            await extd.end_handlers()
            for handler in log.handlers:
                handler.close()
    return cycle


async def _live(
    extd: Extd,
    service: OfflineService,
    cycle: _Cycle,
    offered: list[Offered],
    settings: dict[str, Any],
    protected: dict[str, Any] | None,
    seconds: float,
) -> None:
    first, last = offered[0], offered[-1]

    async def reach(
        package: Offered, kind: str, sequence: int, desired: str, secret: Any = None
    ) -> Mapping[str, Any]:
        service.want(
            package, kind=kind, sequence=sequence, desired=desired, settings=settings, protected=secret
        )
        extd.poke()
        async with asyncio.timeout(seconds):
            await service.ended.wait()
        return service.final

    try:
        sequence = 0
        final = await reach(first, "create", sequence, "enabled", protected or {})
        _refused_here(final)
        folder = Folder(extd.layout, f"{first.publisher}.{first.kind}", first.version)
        cycle.verdicts += verdicts.of_status(folder.status_file(sequence), final)
        if final["state"] == "Succeeded":
            for package in offered[1:] or offered:
                sequence += 1
                final = await reach(package, "update", sequence, "enabled")
                folder = Folder(extd.layout, f"{package.publisher}.{package.kind}", package.version)
                cycle.verdicts += verdicts.of_status(folder.status_file(sequence), final)
            promised = folder.exists() and folder.manifest.report_heartbeat
            cycle.verdicts += verdicts.of_heartbeat(folder.path, promised=promised, wall=extd.clock.wall())
        cycle.verdicts.append(verdicts.of_secrets(protected or {}, [folder.logs, folder.status]))
        await reach(last, "delete", sequence, "uninstalled")
    except TimeoutError:
        detail = f"not within {seconds:g} seconds"
        cycle.verdicts.append(Verdict.of("operation.ends", kept=False, detail=detail))
    commands = [*_COMMANDS, "update"] if len(offered) > 1 else _COMMANDS
    cycle.verdicts[:0] = verdicts.of_commands(cycle.ran, commands)


def _refused_here(final: Mapping[str, Any]) -> None:
    """Raises RoomError when handlers cannot be run on this computer: that says nothing of the package."""
    message = str(final["instanceView"]["message"])
    if final["state"] == "Failed" and "Extension handlers run as root" in message:
        raise rooms.RoomError("handlers are not run here; use a container, or --allow-host-changes")


def _print(cycle: _Cycle, *, as_json: bool) -> None:
    if as_json:
        document = {
            "commands": [asdict(one) for one in cycle.ran],
            "verdicts": [asdict(one) for one in cycle.verdicts],
        }
        print(json.dumps(document, indent=2))
        return
    for ran in cycle.ran:
        print(f"ran      {ran.command} of {ran.version}: {ran.exit}")
    for one in cycle.verdicts:
        print(f"{one.verdict:<8} {one.rule}: {one.text}" + (f" ({one.detail})" if one.detail else ""))
