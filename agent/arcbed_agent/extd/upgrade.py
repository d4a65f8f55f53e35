"""Another version of an installed handler: the order of old and new commands, and the way back.

Source: Azure/WALinuxAgent, `exthandlers.py`; the way back: Microsoft's article "Automatic extension upgrade".
"""

from __future__ import annotations

from typing import Final

from arcbed_agent.extd import environment, failure, outcome, several
from arcbed_agent.extd.failure import OperationError
from arcbed_agent.extd.folder import Folder
from arcbed_agent.extd.lifecycle import enable, install, make_ready, prepare, write_settings
from arcbed_agent.extd.manifest import Manifest
from arcbed_agent.extd.operation import MANAGER, Operation
from arcbed_agent.extd.outcome import Outcome
from arcbed_agent.extd.records import FAILED, FAILED_UPGRADE, INSTALLED
from arcbed_agent.gc_logs import by

_AGAIN: Final = "again"


async def upgrade(operation: Operation) -> Outcome:
    """Replace the installed version by the wanted one.

    An upgrade by the platform that stops brings the last good version back.

    Raises:
        OperationError: it stopped, and there is no way back.
        Waiting: a handler has not said how its enable went.
    """
    old = operation.folder(operation.plan["from"])
    automatic = operation.goal.operation_kind == "upgrade"
    if "failed" in operation.plan:
        return await _go_back(operation, old, operation.plan["failed"])
    try:
        found = await _replace(operation, old)
    except OperationError as error:
        if not automatic:
            raise
        return await _turn(operation, old, error.message)
    if automatic and found.state == FAILED:
        return await _turn(operation, old, found.message)
    old.archive.unlink(missing_ok=True)
    return found


async def _turn(operation: Operation, old: Folder, why: str) -> Outcome:
    """Decide for the way back; once decided, it stays so."""
    text = "Upgrade of %s to %s failed, %s comes back: %s"
    clean = operation.tools.redactor.clean(why)
    operation.tools.log.error(
        text, old.handler, operation.goal.version, old.version, clean, extra=by(MANAGER)
    )
    operation.keep(plan={**operation.plan, "failed": clean}, until="", power_loss=True)
    return await _go_back(operation, old, clean)


async def _replace(operation: Operation, old: Folder) -> Outcome:
    new = operation.folder()
    await prepare(operation)
    await write_settings(operation, new)
    manifest = new.manifest
    codes = await _disable(operation, old, manifest)

    async def taken_over() -> None:
        new.take_over(old)

    await operation.step(f"takeover:{new.version}", taken_over)
    await _update(operation, old, new, codes, manifest)
    uninstalled = await _uninstall(operation, old, new, manifest)
    if manifest.update_with_install:
        await install(operation, new, uninstalled=uninstalled)
    else:
        text = "Plugin installed but not enabled"
        operation.state(INSTALLED, text, version=new.version, once=f"state:{new.version}:installed")
    return await enable(operation, new, uninstalled=uninstalled)


async def _disable(operation: Operation, old: Folder, manifest: Manifest) -> dict[str, str]:
    """Disable every enabled configuration of the old version; the exit codes."""
    codes: dict[str, str] = {}
    begun = operation.ran(f"takeover:{operation.goal.version}")
    for name in operation.plan["enabled"]:
        if not operation.ran(operation.key("disable", old, name)) and not several.enabled(operation, name):
            continue  # by its own operation, which came between, over a restart
        codes[name] = await _of_old(operation, "disable", old, manifest, name)
        if not begun:
            several.suspend(operation, [name])
    if operation.handler.state == "Enabled" and not begun:
        operation.state(INSTALLED, "Plugin disabled")
    return codes or {"": environment.NOT_RUN}


async def _of_old(operation: Operation, command: str, old: Folder, manifest: Manifest, name: str = "") -> str:
    """A command of the old version; its exit code as text.

    Raises:
        OperationError: 1008, it failed and the new manifest does not say to go on.
    """
    try:
        number = several.number(operation, name) if name else None
        ended = await operation.command(command, old, extension=name, sequence=number)
        outcome.check(ended, command, command)
    except OperationError as error:
        if manifest.continue_on_update_failure:
            return str(error.code if error.exit is None else error.exit)
        operation.state(operation.handler.state, error.message, code=failure.COMMANDS["update"])
        raise OperationError(
            failure.COMMANDS["update"],
            error.message,
            exit_code=error.exit,
            stdout=error.stdout,
            stderr=error.stderr,
        ) from error
    return str(ended.exit)


async def _update(
    operation: Operation, old: Folder, new: Folder, codes: dict[str, str], manifest: Manifest
) -> None:
    """Update by the higher of the two versions.

    Raises:
        OperationError: it failed; the handler is in state FailedUpgrade.
    """
    newer = _numbers(new.version) > _numbers(old.version)
    folder = new if newer else old
    if manifest.multi:
        codes = several.disable_codes(operation, codes)
    extra = environment.of_update(old.version, new.version, newer=newer, codes=codes, multi=manifest.multi)
    try:
        ended = await operation.command("update", folder, extra=extra)
        # By name: on the way down the folder is gone when the operation is started again.
        outcome.check(ended, "update", "update")
    except OperationError as error:
        operation.state(FAILED_UPGRADE, error.message, code=failure.COMMANDS["update"])
        raise


async def _uninstall(operation: Operation, old: Folder, new: Folder, manifest: Manifest) -> str:
    """Uninstall the old version and remove its folder; the exit code."""
    key = f"removed:{old.version}"
    if operation.ran(key):
        return str(operation.work.runs[key]["code"])
    code = await _of_old(operation, "uninstall", old, manifest)
    old.remove(keep_archive=True)
    operation.state("NotInstalled", "Upgrading", version=new.version)
    operation.note(key, code=code)
    return code


async def _go_back(operation: Operation, old: Folder, why: str) -> Outcome:
    """Install and enable the last good version again, as far as it has been taken away.

    Raises:
        OperationError: that fails too.
    """
    new = operation.folder()
    gone = operation.ran(f"uninstall:{old.version}")
    enabled = operation.plan["enabled"]
    touched = [name for name in enabled if operation.ran(operation.key("disable", old, name))]
    if not touched and not gone and old.exists():
        new.remove()
        return _kept(operation, old, why)

    async def unpacked() -> None:
        if gone:
            await operation.tools.packages.unpack(old)
        several.suspend(operation, touched)
        make_ready(operation, old)
        new.remove()

    await operation.step(f"{_AGAIN}.prepare:{old.version}", unpacked)
    await write_settings(operation, old, again=f"{_AGAIN}.")
    if gone:
        await install(operation, old, again=_AGAIN)
    found = await enable(operation, old, again=_AGAIN)
    if found.state == FAILED:
        raise OperationError(
            failure.COMMANDS["update"], f"{why}\n{old.name} did not come back: {found.message}"
        )
    return _kept(operation, old, why)


def _kept(operation: Operation, old: Folder, why: str) -> Outcome:
    text = f"Upgrade to {operation.goal.version} failed, version {old.version} is kept. {why}"
    return outcome.done(text, old.version, operation.governance)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))
