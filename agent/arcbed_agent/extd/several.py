"""Several configurations of one handler: which are enabled, and what a change of version does to them.

Each has settings, status, state and a sequence number of its own; installed is the handler, once.
Source: Azure/WALinuxAgent, `exthandlers.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from arcbed_agent.extd import environment, failure, outcome, settings, status
from arcbed_agent.extd.failure import OperationError
from arcbed_agent.extd.folder import Folder
from arcbed_agent.extd.operation import MANAGER, Operation
from arcbed_agent.extd.records import ENABLED, Extension
from arcbed_agent.gc_logs import by


def check_multi(operation: Operation, folder: Folder) -> None:
    """Refuse a name where the handler takes one configuration.

    Raises:
        OperationError: 1003, it does.
    """
    if operation.goal.extension_name and not folder.manifest.multi:
        text = f"{folder.name} does not support several extensions (supportsMultipleExtensions)"
        raise OperationError(failure.MANIFEST_BAD, text)


def needed_by_others(operation: Operation) -> bool:
    """Whether another configuration of the handler is wanted, or is to be disabled by its own removal."""
    others = operation.tools.store.of_handler(operation.goal.handler)
    others = [one for one in others if one.name != operation.name]
    return any(not one.wanted.removal or (one.enabled and not one.settled) for one in others)


def number(operation: Operation, name: str) -> int:
    """The sequence number of a configuration: its own, whichever of them the operation is for."""
    for one in operation.tools.store.of_handler(operation.goal.handler):
        if one.wanted.extension_name == name and one.name != operation.name:
            return settings.number(one.wanted, one.protected)
    return operation.sequence


def disable_codes(operation: Operation, codes: Mapping[str, str]) -> dict[str, str]:
    """How disable ended for each configuration that is wanted, `NOT_RUN` for those that were not enabled."""
    others = operation.tools.store.of_handler(operation.goal.handler)
    wanted = [one.wanted.extension_name for one in others if not one.wanted.removal]
    return {name: codes.get(name, environment.NOT_RUN) for name in sorted({*wanted, *codes})}


def mark(operation: Operation, folder: Folder, name: str, *, enabled: bool) -> None:
    """Keep whether the extension `name` is enabled, beside whatever is wanted of it by now."""
    extension = operation.tools.store.get(name)
    if extension is None:
        return
    changed = replace(extension, enabled=enabled, suspended=False)
    if changed != extension:
        operation.tools.store.put(changed)
    if configuration := extension.wanted.extension_name:
        folder.write_configuration_state(configuration, "enabled" if enabled else "disabled")


def enabled(operation: Operation, name: str) -> bool:
    """Whether the configuration `name` is enabled now."""
    others = operation.tools.store.of_handler(operation.goal.handler)
    return any(one.enabled for one in others if one.wanted.extension_name == name)


def suspend(operation: Operation, names: list[str]) -> None:
    """A change of version has disabled the configurations called `names`."""
    for one in operation.tools.store.of_handler(operation.goal.handler):
        if one.wanted.extension_name in names:
            operation.tools.store.put(replace(one, enabled=False, suspended=True))


async def revive(operation: Operation, folder: Folder, *, extra: dict[str, str], again: str = "") -> None:
    """Enable the other configurations that a change of version has disabled.

    One that fails marks only itself. One that something new is wanted of has an operation of its own.
    """
    for name in [one.name for one in lost(operation)]:
        found = operation.tools.store.get(name)
        if found is None or not found.suspended:
            continue
        configuration = found.wanted.extension_name
        if found.settled or operation.ran(operation.key("enable", folder, configuration, again)):
            await _revive(operation, folder, found, extra=extra, again=again)


def lost(operation: Operation) -> list[Extension]:
    """The other configurations that a change of version has disabled."""
    others = operation.tools.store.of_handler(operation.goal.handler)
    return [one for one in others if one.name != operation.name and one.suspended]


async def _revive(
    operation: Operation, folder: Folder, found: Extension, *, extra: dict[str, str], again: str
) -> None:
    goal, tools = found.wanted, operation.tools
    name, number = goal.extension_name, settings.number(goal, found.protected)
    prefix = f"{again}." if again else ""

    async def written() -> None:
        folder.write_settings(number, name, settings.document(goal, found.protected, tools.vault))

    await operation.step(f"{prefix}settings:{folder.version}:{name}", written)
    try:
        ended = await operation.command(
            "enable", folder, extra=extra, extension=name, sequence=number, again=again
        )
        outcome.check(ended, "enable", folder.manifest.commands["enable"])
    except OperationError as error:
        text = tools.redactor.clean(error.message)
        tools.log.warning("enable of '%s' with %s: %s", found.name, folder.name, text, extra=by(MANAGER))
        failed(operation, folder, name, number, error)
        mark(operation, folder, found.name, enabled=False)
        return
    once = f"{prefix}state:{folder.version}:enabled"
    operation.state(ENABLED, "Plugin enabled", version=folder.version, ready=True, once=once)
    mark(operation, folder, found.name, enabled=True)


def failed(operation: Operation, folder: Folder, name: str, number: int, error: OperationError) -> None:
    """Write a status file for a configuration whose handler has failed without a word."""
    path = folder.status_file(number, name)
    if not path.exists():
        text = operation.tools.redactor.clean(error.message)
        made = status.Substatus(status="error", code=error.code, message=text).document()
        made |= {"operation": "Enable"}
        now = operation.tools.clock.now().isoformat()
        folder.write_status(path, {"version": 1.0, "timestampUTC": now, "status": made})
