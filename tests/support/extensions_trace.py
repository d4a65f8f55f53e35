"""What handlers have seen, and what may be asked of them: the oracle of tests that let anything happen.

Every command of a handler made by `traced` writes down when it begins and how it ends, in one file for all
handlers, and of which operation it is a step. `read` proves that they came one at a time, `replay` that each
had a reason. The rules, from ``docs/wire.md`` section 12.2 and ``docs/handler-rules.toml``:

- a step of an operation runs once, whatever happens. Operations are told apart, not numbers: a deletion keeps
  the number of what it deletes, and configurations of one handler, which have numbers of their own, install,
  update and uninstall it together;
- what an operation begins comes before anything that a later one of the same extension begins;
- a handler is installed while it is not, enabled while it is installed and nothing else of it is, once for a
  number until it is disabled, disabled while it is enabled, updated and uninstalled while nothing of it is
  enabled;
- what was before an operation that has expired is done once more where the machine had done something else
  already and the service had not heard of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from extensions import COMMANDS, SUCCEED, handler

#: What a command is told of the run that it is.
LABEL = "ARCBED_TEST_RUN"
_BEGINS = (
    f'printf "begins %s KIND %s COMMAND %s %s\\n" "${LABEL}" "$AZURE_GUEST_AGENT_EXTENSION_VERSION" '
    '"$ConfigSequenceNumber" "${ConfigExtensionName:--}" >> FILE\n'
)
_WAITS = "[ -p FILE.COMMAND ] && read -r go < FILE.COMMAND\n"
_ENDS = f'printf "ends %s CODE\\n" "${LABEL}" >> FILE\nexit CODE\n'


def traced(file: Path, kind: str, fails: str, **manifest: Any) -> bytes:
    """A zip of a handler whose commands write into `file`; the command `fails` ends with 9."""
    scripts = {}
    for command in COMMANDS:
        code = "9" if command == fails else "0"
        says = SUCCEED if command == "enable" and code == "0" else ""
        script = (_BEGINS + _WAITS + says + _ENDS).replace("COMMAND", command).replace("CODE", code)
        scripts[command] = script.replace("KIND", kind).replace("FILE", str(file))
    return handler(Path("/dev/null"), scripts, **manifest)


def gate(file: Path, command: str) -> Path:
    """While there is a pipe of this name, the command waits there for a line."""
    return file.with_name(f"{file.name}.{command}")


class Labels:
    """A governor that tells each command of a handler which run of which operation it is.

    Args:
        inner: starts processes.
    """

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def launch(
        self, command: Sequence[str], *, environment: Mapping[str, str] | None = None, **named: Any
    ) -> Any:
        if "arc-extension" in command:
            run = Path(command[command.index("arc-extension") + 1]).name
            environment = {**(environment or {}), LABEL: run}
        return await self._inner.launch(command, environment=environment, **named)


@dataclass(frozen=True)
class Given:
    """An operation that the service has given to the machine.

    Args:
        name: of the extension.
        kind: of its handler.
        desired: ``enabled``, ``disabled`` or ``uninstalled``.
        version, number: that are wanted.
        automatic: an upgrade by the platform.
        package: the service has one.
        at: its place among all.
        back: it is what was before an operation that has expired, and may come more than once.
    """

    name: str
    kind: str
    desired: str
    version: str
    number: int
    automatic: bool
    package: bool
    at: int
    back: bool = False


@dataclass(frozen=True)
class Run:
    """A command that has run.

    Args:
        label: names operation and step.
        name: of the configuration that it is about or run for, ``-`` for a handler with one.
        code: it ended with.
    """

    label: str
    kind: str
    version: str
    command: str
    number: int
    name: str
    code: int

    @property
    def owner(self) -> str:
        """The extension whose operation it was."""
        return self.label.partition(".")[0]

    @property
    def operation(self) -> str:
        """Key of the operation: the first part of its id; without one, extension and number."""
        number, operation = self.label.split(".")[-2:]
        return without_id(self.owner, int(number)) if operation == "local" else operation

    @property
    def again(self) -> bool:
        """Whether it was on the way back after an automatic upgrade that failed."""
        return self.label.partition(".")[2].startswith("again")

    def __str__(self) -> str:
        words = [self.owner, self.operation, *(["again"] * self.again), "runs", self.version, self.command]
        words += [str(self.number), self.name, *([f"which fails with {self.code}"] if self.code else [])]
        return " ".join(words)


def without_id(name: str, number: int) -> str:
    """Key of an operation that has no id: the service lists what was before one that has expired."""
    return f"{name} {number}"


def read(file: Path) -> list[Run]:
    """What has run, in this order; proves that nothing ran beside anything else, and that nothing runs."""
    lines = file.read_text().splitlines() if file.exists() else []
    found = []
    for begins, ends in zip(lines[::2], [*lines[1::2], ""], strict=False):
        word, label, kind, version, command, number, name = begins.split()
        assert word == "begins", f"ended before it began: {begins}"
        assert ends.startswith(f"ends {label} "), f"{begins} had not ended when this came: {ends}"
        found.append(Run(label, kind, version, command, int(number), name, int(ends.split()[2])))
    return found


@dataclass
class Handler:
    """A handler as its commands have left it.

    Args:
        several: it takes several configurations.
        installed: versions; False: an uninstall has failed, and nobody knows what is left.
        enabled: versions by configuration.
        last: version and number of the last enable of a configuration that has not been disabled since.
        doubtful: configurations that could not be disabled by an automatic upgrade, which enables them again.
    """

    several: bool
    installed: dict[str, bool] = field(default_factory=dict)
    enabled: dict[str, str] = field(default_factory=dict)
    last: dict[str, tuple[str, int]] = field(default_factory=dict)
    doubtful: set[str] = field(default_factory=set)

    @property
    def surely(self) -> set[str]:
        """Configurations that are enabled without any doubt."""
        return set(self.enabled) - self.doubtful

    def take(self, run: Run, given: Given) -> str:
        """`run` has run; why it should not have, empty if it may."""
        answer: str = getattr(self, f"_{run.command}")(run, given)
        return answer

    def _install(self, run: Run, given: Given) -> str:
        if run.again:
            # The version that has failed is thrown away as it is.
            self.installed = {run.version: False} if run.version in self.installed else {}
            self.enabled, self.last, self.doubtful = {}, {}, set()
        why = "it is installed" if self.installed.get(run.version) else ""
        if not run.code:
            self.installed[run.version] = True
        return why

    def _enable(self, run: Run, given: Given) -> str:
        why = ""
        if list(self.installed) != [run.version]:
            why = f"installed is {list(self.installed)}"
        elif self.last.get(run.name) == (run.version, run.number) and not given.back:
            why = "that number has been enabled and not disabled since"
        self.last[run.name] = (run.version, run.number)
        self.doubtful.discard(run.name)
        if not run.code:
            self.enabled[run.name] = run.version
        elif run.again or not self.several:
            self.enabled.pop(run.name, None)
        return why

    def _disable(self, run: Run, given: Given) -> str:
        why = "" if self.enabled.get(run.name) == run.version else "it is not enabled"
        self.last.pop(run.name, None)
        self.doubtful.discard(run.name)
        if run.code and given.automatic:
            self.doubtful.add(run.name)
        passed_over = given.desired == "uninstalled" or (given.desired == "disabled" and self.several)
        if passed_over or not run.code:
            self.enabled.pop(run.name, None)
        return why

    def _update(self, run: Run, given: Given) -> str:
        if self.surely:
            return f"enabled is {self.surely}"
        if len(self.installed) != 1 or given.version in self.installed:
            return f"installed is {list(self.installed)}"
        return "" if run.version == max(given.version, *self.installed) else "the higher version updates"

    def _uninstall(self, run: Run, given: Given) -> str:
        why = f"enabled is {self.surely}" if self.surely else ""
        if run.version not in self.installed:
            return why or "it is not installed"
        if run.code and given.desired != "uninstalled":
            self.installed[run.version] = False
        else:
            del self.installed[run.version]
        return why


@dataclass(frozen=True)
class Heard:
    """While a command ran, the machine has heard of an operation.

    Args:
        begun: how many commands had begun.
        name: of the extension.
        operation: key of its operation.
    """

    begun: int
    name: str
    operation: str


def replay(
    runs: Sequence[Run], given: Mapping[str, Given], kinds: Mapping[str, bool], heard: Sequence[Heard] = ()
) -> dict[str, Handler]:
    """What `runs` have made of each handler; proves that each had a reason.

    Args:
        runs: all that has run.
        given: all operations, by the first part of their ids.
        kinds: of handlers, and whether they take several configurations.
        heard: operations that supersede older ones of the same extension.
    """
    handlers = {kind: Handler(several) for kind, several in kinds.items()}
    newest: dict[str, int] = {}
    for at, run in enumerate(runs):
        seen = "; ".join(str(one) for one in runs[: at + 1] if one.kind == run.kind)
        operation = given.get(run.operation)
        assert operation is not None, f"{run}: nobody has given this operation: {seen}"
        assert run.owner == operation.name, f"{run}: the operation was given to {operation.name}"
        if not operation.back:
            assert run.label not in {one.label for one in runs[:at]}, f"{run}: a step has run twice: {seen}"
            assert operation.at >= newest.get(run.owner, 0), f"{run}: something newer had begun: {seen}"
            newest[run.owner] = operation.at
            later = [given[one.operation].at for one in heard if one.name == run.owner and one.begun <= at]
            assert operation.at >= max(later, default=0), f"{run}: it was superseded: {seen}"
        _prove_number(run, given, seen)
        why = handlers[run.kind].take(run, operation)
        assert not why, f"{run} although {why}: {seen}"
    return handlers


def _prove_number(run: Run, given: Mapping[str, Given], seen: str) -> None:
    """Commands are told their operation's own number; those about another configuration, its own."""
    operation = given[run.operation]
    if run.name not in {"-", run.owner}:
        assert run.command in {"enable", "disable"}, f"{run}: it is run for {run.owner}: {seen}"
        numbers = {one.number for one in given.values() if one.name == run.name}
        assert run.number in numbers, f"{run}: no number of {run.name}: {seen}"
    else:
        assert run.number == operation.number, f"{run}: the number is {operation.number}: {seen}"


def contradiction(final: Mapping[str, Any], given: Given, runs: Sequence[Run]) -> str:
    """What is wrong with what was told at the end of an operation; empty: nothing.

    Args:
        final: the report.
        given: the operation.
        runs: what has run for it.
    """
    failed = [run for run in runs if run.code]
    if final["sequenceNumber"] != given.number:
        return f"the number is {given.number}"
    if final["state"] == "Failed":
        if given.desired == "uninstalled":
            return "a deletion does not fail"
        return "" if failed or not given.package else "nothing has failed"
    if given.desired != "enabled":
        return ""
    version = final["typeHandlerVersion"]
    if version != given.version and (not given.automatic or (given.package and not failed)):
        return "it has another version without need"
    own = [run for run in runs if run.command == "enable" and run.version == version and not run.code]
    own = [run for run in own if run.name in {"-", given.name}]
    untouched = version != given.version and not any(run.command == "disable" for run in runs)
    return "" if own or untouched else "enable has not run"
