"""What brings an extension to where it is wanted: the order of steps, which is the contract.

Source: Azure/WALinuxAgent, `exthandlers.py`; on Arc, Microsoft's articles on extensions: enable runs only
when something has changed, deletion is always tried.
"""

from __future__ import annotations

import shutil
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

from arcbed_agent.extd import environment, failure, outcome, several, status
from arcbed_agent.extd.commands import Ended
from arcbed_agent.extd.failure import OperationError
from arcbed_agent.extd.folder import HEARTBEAT, Folder
from arcbed_agent.extd.manifest import ManifestError
from arcbed_agent.extd.operation import MANAGER, Operation
from arcbed_agent.extd.outcome import Outcome
from arcbed_agent.extd.records import ENABLED, INSTALLED, NOT_INSTALLED, SUCCEEDED
from arcbed_agent.extd.status import Status
from arcbed_agent.gc_logs import by

#: Of the machine's time: how long a handler may say that it is transitioning.
SETTLING: Final = timedelta(minutes=90)
#: Reads of a status file that cannot be used, and seconds between them.
READS: Final = 5
PAUSE: Final = 2.0
#: What a handler writes about before or after enable, into the same file.
_OTHER_OPERATIONS: Final = frozenset({"install", "uninstall", "disable", "update"})


class Waiting(Exception):  # noqa: N818 - not an error: the operation goes on when the handler has said more
    """The handler has not said how enable went.

    Args:
        until: when it is waited for no longer.
        folder: where it will say so.
    """

    def __init__(self, until: datetime, folder: Path) -> None:
        super().__init__(f"until {until}")
        self.until = until
        self.folder = folder


async def carry_out(operation: Operation) -> Outcome:
    """Do what is left of the operation.

    Raises:
        Waiting: call again when the status folder changes or time is over.
        SupersededError: something else is wanted by now.
    """
    from arcbed_agent.extd import upgrade

    if not operation.plan:
        operation.keep(plan=decide(operation), power_loss=True)
    ways = {
        "install": _install,
        "enable": _enable,
        "upgrade": upgrade.upgrade,
        "disable": _disable,
        "remove": _remove,
    }
    path = operation.plan["path"]
    try:
        found = await _readable(ways[path], operation)
    except OperationError as error:
        clean = operation.tools.redactor.clean
        told = OperationError(
            error.code,
            clean(error.message),
            exit_code=error.exit,
            stdout=clean(error.stdout),
            stderr=clean(error.stderr),
        )
        return outcome.of_failure(told, operation.handler.version, operation.governance)
    if path != "remove" and found.state == SUCCEEDED:
        # What an upgrade that failed or was given up has left.
        operation.folder(operation.handler.version).remove_others()
    return found


async def _readable(way: Callable[[Operation], Awaitable[Outcome]], operation: Operation) -> Outcome:
    """A way on which a manifest that is lost or spoilt is a failure like any other."""
    try:
        return await way(operation)
    except ManifestError as error:
        raise OperationError(error.code, str(error)) from error


def decide(operation: Operation) -> dict[str, Any]:
    """What is to be done, from what is there now."""
    goal, handler = operation.goal, operation.handler
    there = handler.state != NOT_INSTALLED and operation.folder(handler.version or goal.version).exists()
    others = operation.tools.store.of_handler(goal.handler)
    # A version whose upgrade has stopped is disabled, whatever its configurations were.
    enabled = [one.wanted.extension_name for one in others if one.enabled and handler.state == ENABLED]
    plan: dict[str, Any] = {"from": handler.version, "enabled": enabled}
    if goal.removal:
        return plan | {"path": "remove", "there": there}
    if goal.desired == "disabled":
        return plan | {"path": "disable"}
    if not there:
        return plan | {"path": "install"}
    if handler.version != goal.version:
        return plan | {"path": "upgrade"}
    return plan | {"path": "enable"}


# -- the ways ------------------------------------------------------------------------------------------------


async def _install(operation: Operation) -> Outcome:
    await prepare(operation)
    await write_settings(operation, operation.folder())
    await install(operation, operation.folder())
    return await enable(operation, operation.folder())


async def _enable(operation: Operation) -> Outcome:
    folder = operation.folder()
    several.check_multi(operation, folder)
    make_ready(operation, folder)
    await write_settings(operation, folder)
    return await enable(operation, folder)


async def _disable(operation: Operation) -> Outcome:
    handler, name = operation.handler, operation.goal.extension_name
    if handler.state == ENABLED and name in operation.plan["enabled"]:
        ended = await operation.command("disable", operation.folder(handler.version), extension=name)
        if not name:
            _disable_worked(operation, ended)
    disabled(operation, operation.folder(handler.version), name)
    await _revive(operation, operation.folder(handler.version))
    return outcome.done("Plugin disabled", handler.version, operation.governance)


def _disable_worked(operation: Operation, ended: Ended) -> None:
    """Raises OperationError when it has not: the handler stays enabled."""
    try:
        outcome.check(ended, "disable", "disable")
    except OperationError as error:
        operation.state(operation.handler.state, error.message, code=failure.COMMANDS["disable"])
        raise


async def _remove(operation: Operation) -> Outcome:
    """Deletion is always tried: what the handler's own commands say does not stop it."""
    handler, name = operation.handler, operation.goal.extension_name
    version = operation.plan["from"] or operation.goal.version
    folder = operation.folder(version)
    if operation.plan["there"]:
        await _restore_manifest(operation, folder)
        if name in operation.plan["enabled"]:
            await _attempt(operation, "disable", folder, name)
        disabled(operation, folder, name)
    begun = operation.ran(operation.key("uninstall", folder))
    if several.needed_by_others(operation) and not begun:
        await _revive(operation, folder)
    else:
        if operation.plan["there"]:
            await _attempt(operation, "uninstall", folder, "")
        operation.phase("Uninstalling")
        await operation.tools.rooms.leave(operation.goal.handler)
        folder.remove()
        folder.remove_others()
        operation.tools.store.remove_handler(handler.name)
    return outcome.done("Plugin uninstalled", version, operation.governance)


async def _revive(operation: Operation, folder: Folder) -> None:
    """What the others lost by a change of version that this one has begun and does not end."""
    if not folder.exists():
        return
    if operation.handler.state == NOT_INSTALLED:
        begun = operation.ran(operation.key("install", folder))
        if not begun and not any(one.settled for one in several.lost(operation)):
            return
        try:
            await install(operation, folder)
        except OperationError as error:
            text = operation.tools.redactor.clean(error.message)
            operation.tools.log.warning("install of %s: %s", folder.name, text, extra=by(MANAGER))
            return
    await several.revive(operation, folder, extra=environment.after_uninstall(environment.NOT_RUN))


async def _attempt(operation: Operation, command: str, folder: Folder, extension: str) -> Ended | None:
    """Run a command whose failure changes nothing."""
    try:
        ended = await operation.command(command, folder, extension=extension)
        outcome.check(ended, command, command)
    except OperationError as error:
        text = operation.tools.redactor.clean(error.message)
        operation.tools.log.warning("%s of %s: %s", command, folder.name, text, extra=by(MANAGER))
        return None
    return ended


async def _restore_manifest(operation: Operation, folder: Folder) -> None:
    """A lost manifest comes back from the zip (agent 1.66), beside whatever else is there."""
    if (folder.path / "HandlerManifest.json").is_file() or not folder.archive.is_file():
        return
    operation.tools.log.error(
        "HandlerManifest.json file does not exist for extension %s", folder.name, extra=by(MANAGER)
    )
    aside = folder.path.with_name(f".{folder.name}.lost")
    shutil.rmtree(aside, ignore_errors=True)
    with suppress(FileNotFoundError):
        folder.path.rename(aside)
    try:
        await operation.tools.packages.unpack(folder)
        for name in ("config", "status", "mrseq"):
            if (aside / name).exists():
                (aside / name).rename(folder.path / name)
    except OperationError:
        if not folder.exists() and aside.exists():
            aside.rename(folder.path)
    shutil.rmtree(aside, ignore_errors=True)
    make_ready(operation, folder)


# -- parts of the ways ---------------------------------------------------------------------------------------


async def prepare(operation: Operation) -> None:
    """Download, check and unpack the wanted version.

    Raises:
        OperationError: that is not possible.
    """
    folder = operation.folder()

    async def unpacked() -> None:
        operation.phase("Downloading")
        await operation.tools.packages.fetch(operation.task, operation.goal, folder)
        operation.phase("Validating")
        await operation.tools.packages.unpack(folder)
        several.check_multi(operation, folder)
        make_ready(operation, folder)

    await operation.step(f"prepare:{folder.version}", unpacked)


def make_ready(operation: Operation, folder: Folder) -> None:
    """Folders and HandlerEnvironment.json."""
    paths = {
        "logs": folder.logs,
        "config": folder.config,
        "status": folder.status,
        "heartbeat": folder.path / HEARTBEAT,
        "events": folder.events,
    }
    folder.initialise({name: operation.tools.rooms.shown(path) for name, path in paths.items()})


async def write_settings(operation: Operation, folder: Folder, again: str = "") -> None:
    """Write the settings once; the handler may change the file afterwards."""

    async def written() -> None:
        folder.write_settings(operation.sequence, operation.goal.extension_name, operation.settings())

    await operation.step(f"{again}settings:{folder.version}", written)


async def install(
    operation: Operation, folder: Folder, *, uninstalled: str = environment.NOT_RUN, again: str = ""
) -> None:
    """Run install.

    Raises:
        OperationError: it failed.
    """
    multi = folder.manifest.multi
    operation.tools.store.put_handler(replace(operation.handler, multi=multi))
    name = f"{again}state:{folder.version}"
    operation.state(NOT_INSTALLED, "Installing", version=folder.version, once=f"{name}:installing")
    extra = environment.after_uninstall(uninstalled)
    ended = await operation.command("install", folder, extra=extra, again=again)
    try:
        outcome.check(ended, "install", folder.manifest.commands["install"])
    except OperationError as error:
        operation.state(
            NOT_INSTALLED, error.message, version=folder.version, code=failure.COMMANDS["install"]
        )
        raise
    text = "Plugin installed but not enabled"
    operation.state(INSTALLED, text, version=folder.version, once=f"{name}:installed")


async def enable(
    operation: Operation, folder: Folder, *, uninstalled: str = environment.NOT_RUN, again: str = ""
) -> Outcome:
    """Run enable, and answer what the handler's status says then.

    Raises:
        OperationError: enable failed.
        Waiting: the handler has not said how it went.
    """
    name = operation.goal.extension_name
    extra = environment.after_uninstall(uninstalled)
    await several.revive(operation, folder, extra=extra, again=again)
    ended = await operation.command("enable", folder, extra=extra, extension=name, again=again)
    try:
        outcome.check(ended, "enable", folder.manifest.commands["enable"])
    except OperationError as error:
        _enable_failed(operation, folder, error)
        raise
    once = f"{again}state:{folder.version}:enabled:own"
    operation.state(ENABLED, "Plugin enabled", version=folder.version, ready=True, once=once)
    several.mark(operation, folder, operation.name, enabled=True)
    if not operation.has_settings:
        return outcome.done("Plugin enabled", folder.version, operation.governance)
    begun = float(operation.work.runs[operation.key("enable", folder, name, again)]["wall"])
    found = await settled_status(operation, folder, begun)
    return outcome.of_status(found, folder.version, operation.governance)


def _enable_failed(operation: Operation, folder: Folder, error: OperationError) -> None:
    """Only this configuration is marked when there are several."""
    name = operation.goal.extension_name
    if operation.extension.suspended:
        several.mark(operation, folder, operation.name, enabled=False)
    if not name:
        operation.state(INSTALLED, error.message, version=folder.version, code=failure.COMMANDS["enable"])
        return
    several.failed(operation, folder, name, operation.sequence, error)


def disabled(operation: Operation, folder: Folder, name: str) -> None:
    """Disable has run: the handler is enabled only while one of its configurations is."""
    several.mark(operation, folder, operation.name, enabled=False)
    others = operation.tools.store.of_handler(operation.goal.handler)
    if name:
        folder.forget_configuration(name)
    if not any(one.enabled for one in others) and operation.handler.state == ENABLED:
        operation.state(INSTALLED, "Plugin disabled")


async def settled_status(operation: Operation, folder: Folder, begun: float) -> Status:
    """The handler's last word on its enable.

    Args:
        operation: whose.
        folder: of the version that was enabled.
        begun: real epoch seconds at which enable began: what was written before it about
            another operation does not count.

    Raises:
        Waiting: it has not come yet.
    """
    path = folder.status_file(operation.sequence, operation.goal.extension_name)
    found = await _read(operation, path, begun)
    if found.final:
        return found
    now = operation.tools.clock.now()
    if not operation.work.until:
        operation.keep(until=(now + SETTLING).isoformat())
    until = datetime.fromisoformat(operation.work.until)
    if now >= until:
        minutes = int(SETTLING.total_seconds() // 60)
        text = f"Timeout: the extension was still transitioning after {minutes} minutes. {found.message}"
        raise OperationError(failure.TIMEOUT, text)
    operation.check_wanted()
    raise Waiting(until, folder.status)


async def _read(operation: Operation, path: Path, begun: float) -> Status:
    for attempt in range(READS):
        try:
            found = status.read(path, operation.tools.redactor.clean)
        except status.UnreadableError as error:
            if attempt == READS - 1:
                return error.status
            await operation.task.sleep(PAUSE)
            continue
        if found is None or (found.operation.lower() in _OTHER_OPERATIONS and _older(path, begun)):
            return status.missing(operation.sequence)
        return found
    raise AssertionError  # pragma: no cover - the loop returns


def _older(path: Path, moment: float) -> bool:
    try:
        return path.stat().st_mtime < moment
    except OSError:
        return False
