"""Controls of InSpec in their plain form, read without Ruby.

The form: ``control``, ``title``, ``desc``, ``impact``, ``tag``, ``describe <resource>('<name>')``, and in it
``it { should [not] ... }`` and ``its('<property>') { should [not] <matcher> <literal> }``. Loops, conditions,
variables and other resources make a control not supported.
"""

from __future__ import annotations

import re
import stat
from collections.abc import Callable
from dataclasses import dataclass, field

from arcbed_agent.gcad.dsc.host import DscHost

_CONTROL = re.compile(r"control\s+(?:'([^']*)'|\"([^\"]*)\")\s+do")
_WORDS = re.compile(r"(?:impact|title|desc|tag|ref)\b.*")
_TITLE = re.compile(r"title\s+(?:'([^']*)'|\"([^\"]*)\")")
_DESCRIBE = re.compile(r"describe\s+(\w+)\s*\(\s*(?:'([^'#]*)'|\"([^\"#]*)\")\s*\)\s+do")
_IT = re.compile(r"it\s*\{\s*should(_not)?\s+(\w+)(?:[\s(]+(.+?)\)?)?\s*\}")
_ITS = re.compile(r"its\s*\(?\s*['\"](\w+)['\"]\s*\)?\s*\{\s*should(_not)?\s+(\w+)[\s(]+(.+?)\)?\s*\}")
_LITERAL = re.compile(r"'([^']*)'|\"([^\"#]*)\"|(-?\d+)|/((?:[^/\\]|\\.)*)/(i?)")


class NotSupported(Exception):  # noqa: N818 - an outcome rather than an error
    """A control that is written in a way that is not read here."""


@dataclass(frozen=True)
class Expectation:
    """One ``it`` or ``its``.

    Args:
        kind: the resource, such as ``file``.
        name: what it is called on the machine.
        subject: the property, empty for ``it``.
        wanted: False for ``should_not``.
        matcher: such as ``exist`` or ``cmp``.
        literal: the argument as written.
    """

    kind: str
    name: str
    subject: str
    wanted: bool
    matcher: str
    literal: str


@dataclass
class Control:
    """A control; `problem` says why it cannot be evaluated."""

    name: str
    title: str = ""
    expectations: list[Expectation] = field(default_factory=list)
    problem: str = ""


def read_controls(text: str) -> list[Control]:
    """The controls of a file of Ruby."""
    controls: list[Control] = []
    described: tuple[str, str] | None = None
    for raw in text.splitlines():
        line = raw.strip()
        if not line or line.startswith("#"):
            continue
        if match := _CONTROL.fullmatch(line):
            controls.append(Control(match.group(1) or match.group(2) or ""))
        elif not controls:
            # What stands before the first control, attributes for one, makes the whole file another form.
            controls.append(Control("(profile)", problem=f"'{line}'"))
        elif match := _DESCRIBE.fullmatch(line):
            described = (match.group(1), match.group(2) or match.group(3) or "")
        elif line == "end" or _WORDS.fullmatch(line):
            _note(controls[-1], line)
        else:
            _expect(controls[-1], described, line)
    return controls


def _note(control: Control, line: str) -> None:
    if match := _TITLE.match(line):
        control.title = match.group(1) or match.group(2) or ""


def _expect(control: Control, described: tuple[str, str] | None, line: str) -> None:
    its, it = _ITS.fullmatch(line), _IT.fullmatch(line)
    if described and its:
        subject, negative, matcher, literal = its.groups()
        control.expectations.append(Expectation(*described, subject, not negative, matcher, literal))
    elif described and it:
        negative, matcher, literal = it.groups()
        control.expectations.append(Expectation(*described, "", not negative, matcher, literal or ""))
    else:
        control.problem = control.problem or f"'{line}'"


def examine(host: DscHost, control: Control) -> list[str]:
    """What fails.

    Raises:
        NotSupported: it cannot be told.
    """
    if control.problem or not control.expectations:
        raise NotSupported(control.problem or "nothing is expected")
    return [failure for one in control.expectations if (failure := _failure(host, one))]


def _failure(host: DscHost, one: Expectation) -> str | None:
    look = _SUBJECTS.get((one.kind, one.subject or one.matcher))
    if look is None:
        raise NotSupported(f"{one.kind} {one.subject or one.matcher}")
    found = look(host, one)
    held = bool(found) if not one.subject else _matches(found, one)
    if held is one.wanted:
        return None
    what = f"its {one.subject} is '{found}'" if one.subject else f"does{'' if held else ' not'} {one.matcher}"
    return f"{one.kind} {one.name} {what}"


def _value(literal: str) -> tuple[str, bool, bool]:
    """The text, whether it is a pattern, and whether that ignores case."""
    match = _LITERAL.fullmatch(literal.strip())
    if match is None:
        raise NotSupported(literal)
    pattern = match.group(4)
    text = next((group for group in match.groups()[:4] if group is not None), "")
    return text, pattern is not None, match.group(5) == "i"


def _matches(found: object, one: Expectation) -> bool:
    text, is_pattern, ignores_case = _value(one.literal)
    shown = "" if found is None else str(found)
    if one.matcher == "match" and is_pattern:
        try:
            return re.search(text, shown, re.IGNORECASE if ignores_case else 0) is not None
        except re.error as problem:
            raise NotSupported(f"/{text}/: {problem}") from problem
    if is_pattern or one.matcher not in {"eq", "cmp", "include"}:
        raise NotSupported(f"{one.matcher} {one.literal}")
    if one.matcher == "include":
        return text in shown
    if one.subject == "mode" and re.fullmatch("[0-7]+", text):
        return int(shown or "-1", 8) == int(text, 8)
    if one.matcher == "cmp":
        return shown.casefold() == text.casefold()
    return shown == text


def _is(test: Callable[[int], bool]) -> Callable[[DscHost, Expectation], object]:
    def look(host: DscHost, one: Expectation) -> object:
        status = host.status(one.name)
        return status is not None and test(status.st_mode)

    return look


def _mode(host: DscHost, one: Expectation) -> object:
    status = host.status(one.name)
    return None if status is None else f"{stat.S_IMODE(status.st_mode):04o}"


def _owner(host: DscHost, one: Expectation) -> object:
    status = host.status(one.name)
    return status and next((account.name for account in host.accounts if account.uid == status.st_uid), None)


def _group(host: DscHost, one: Expectation) -> object:
    status = host.status(one.name)
    return status and next((group.name for group in host.groups if group.gid == status.st_gid), None)


def _owned_by(host: DscHost, one: Expectation) -> object:
    return _owner(host, one) == _value(one.literal)[0]


def _version(host: DscHost, one: Expectation) -> object:
    found = host.software.find(one.name)
    return found and found.version


def _enabled(host: DscHost, one: Expectation) -> object:
    return host.run("systemctl", "is-enabled", "--", one.name).code == 0


def _kernel(host: DscHost, one: Expectation) -> object:
    return (host.text("/proc/sys/" + one.name.replace(".", "/")) or "").strip()


_SUBJECTS: dict[tuple[str, str], Callable[[DscHost, Expectation], object]] = {
    ("file", "exist"): _is(lambda _mode: True),
    ("file", "be_file"): _is(stat.S_ISREG),
    ("file", "be_directory"): _is(stat.S_ISDIR),
    ("directory", "exist"): _is(stat.S_ISDIR),
    ("file", "be_owned_by"): _owned_by,
    ("file", "mode"): _mode,
    ("file", "owner"): _owner,
    ("file", "group"): _group,
    ("file", "content"): lambda host, one: host.text(one.name),
    ("package", "be_installed"): lambda host, one: host.software.any(one.name),
    ("package", "version"): _version,
    ("service", "be_running"): lambda host, one: host.active(one.name),
    ("service", "be_enabled"): _enabled,
    ("user", "exist"): lambda host, one: host.account(one.name) is not None,
    ("group", "exist"): lambda host, one: host.group(one.name) is not None,
    ("kernel_parameter", "value"): _kernel,
}
