"""systemd's unit files, as far as services on a machine of the bed use them.

Source: systemd.unit(5), systemd.service(5), systemd.exec(5). What is read: `Service`, below.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

#: In order of precedence.
UNIT_FOLDERS = ("etc/systemd/system", "run/systemd/system", "lib/systemd/system", "usr/lib/systemd/system")
MANAGER_FOLDERS = ("lib/systemd/system.conf.d", "usr/lib/systemd/system.conf.d", "etc/systemd/system.conf.d")
WANTS = "etc/systemd/system/{target}.wants"
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_VARIABLE = re.compile(r"\$\{(\w+)\}|\$(\w+)")
_SECONDS = {"": 1.0, "s": 1.0, "sec": 1.0, "ms": 0.001, "min": 60.0, "m": 60.0, "h": 3600.0, "d": 86400.0}

Sections = dict[str, dict[str, list[str]]]


def parse(text: str, into: Sections | None = None) -> Sections:
    """Sections to settings to values; an empty value forgets the ones before it."""
    found: Sections = {} if into is None else into
    section: dict[str, list[str]] = {}
    for line in re.sub(r"\\\n", " ", text).splitlines():
        line = line.strip()  # noqa: PLW2901 - the same line, without its edges
        if not line or line[0] in "#;":
            continue
        if line[0] == "[":
            section = found.setdefault(line.strip("[]"), {})
            continue
        name, _, value = line.partition("=")
        values = section.setdefault(name.strip(), [])
        if value.strip():
            values.append(value.strip())
        else:
            values.clear()
    return found


def words(text: str) -> list[str]:
    """The words of a command or list, with quotes taken off; broken quotes are taken as they stand."""
    try:
        return shlex.split(text)
    except ValueError:
        return text.split()


def seconds(text: str, default: float) -> float:
    """A time span such as ``5``, ``100ms`` or ``1min 30s``; ``infinity`` and nonsense are `default`."""
    parts = re.findall(r"([\d.]+)\s*([a-z]*)", text)
    if not parts or any(unit not in _SECONDS for _, unit in parts):
        return default
    return sum(float(number) * _SECONDS[unit] for number, unit in parts)


def pairs(values: list[str]) -> dict[str, str]:
    """``Environment=`` lines as a mapping."""
    found = (word.partition("=") for value in values for word in words(value))
    return {name: value for name, _, value in found}


def full_name(name: str) -> str:
    """``himdsd`` is ``himdsd.service``."""
    return (
        name
        if re.search(r"\.(service|target|socket|timer|slice|mount|path|scope)$", name)
        else f"{name}.service"
    )


@dataclass(frozen=True)
class Command:
    """One ``Exec...=`` line; ``tolerated`` is its ``-``."""

    line: str
    tolerated: bool

    def argv(self, environment: Mapping[str, str]) -> list[str]:
        """The words, with variables filled in: a bare ``$NAME`` may become several words or none."""
        found: list[str] = []
        for word in words(self.line):
            bare = re.fullmatch(r"\$(\w+)", word)
            if bare:
                found += environment.get(bare[1], "").split()
            else:
                found.append(
                    _VARIABLE.sub(lambda m: environment.get(m[1] or m[2], ""), word).replace("%%", "%")
                )
        return found


@dataclass(frozen=True)
class Unit:
    """A unit as its files describe it."""

    name: str
    path: Path
    sections: Sections
    drop_ins: tuple[Path, ...] = ()

    def last(self, name: str, default: str = "", section: str = "Service") -> str:
        """The value of a setting that has one."""
        return (self.sections.get(section, {}).get(name) or [default])[-1]

    def all(self, name: str, section: str = "Service") -> list[str]:
        """The values of a setting that may be repeated."""
        return self.sections.get(section, {}).get(name, [])

    def commands(self, name: str) -> list[Command]:
        """The commands of ``ExecStart`` and its kin; prefixes other than ``-`` change nothing here."""
        return [
            Command(line.lstrip("-@:+!"), "-" in line[: len(line) - len(line.lstrip("-@:+!"))])
            for line in self.all(name)
        ]

    @property
    def description(self) -> str:
        """``Description=``, or the name."""
        return self.last("Description", self.name, "Unit")

    def targets(self) -> list[str]:
        """What ``enable`` hooks it into."""
        return [word for value in self.all("WantedBy", "Install") for word in value.split()]


class UnitFiles:
    """The unit files below `root`."""

    def __init__(self, root: Path = Path("/")) -> None:
        self.root = root

    def find(self, name: str) -> Unit | None:
        """The unit called `name`, with its drop-ins; None if there is none or it is masked."""
        name = full_name(name)
        for folder in UNIT_FOLDERS:
            path = self.root / folder / name
            if path.is_file():
                return self._read(name, path)
            if path.is_symlink() and str(path.readlink()) == os.devnull:
                return None
        return None

    def _read(self, name: str, path: Path) -> Unit:
        sections = parse(path.read_text(errors="replace"))
        extra = {
            file.name: file
            for folder in reversed(UNIT_FOLDERS)
            for file in sorted((self.root / folder / f"{name}.d").glob("*.conf"))
        }
        for file in (files := [extra[key] for key in sorted(extra)]):
            parse(file.read_text(errors="replace"), sections)
        return Unit(name, path, sections, tuple(files))

    def wanted(self, target: str = "multi-user.target") -> list[str]:
        """The services that `target` pulls in, in alphabetical order."""
        folder = self.root / WANTS.format(target=target)
        return sorted(path.name for path in folder.glob("*.service")) if folder.is_dir() else []

    def state(self, unit: Unit) -> str:
        """``enabled``, ``disabled`` or ``static``."""
        if not unit.targets():
            return "static"
        return "enabled" if any(path.is_symlink() for path in self._hooks(unit)) else "disabled"

    def enable(self, unit: Unit) -> list[Path]:
        """Hook it into its targets; the links that are new."""
        made = []
        for link in self._hooks(unit):
            if not link.is_symlink():
                link.parent.mkdir(parents=True, exist_ok=True)
                link.symlink_to(Path("/") / unit.path.relative_to(self.root))
                made.append(link)
        return made

    def disable(self, unit: Unit) -> list[Path]:
        """Take it out of its targets; the links that are gone."""
        gone = [link for link in self._hooks(unit) if link.is_symlink()]
        for link in gone:
            link.unlink()
        return gone

    def _hooks(self, unit: Unit) -> list[Path]:
        return [self.root / WANTS.format(target=target) / unit.name for target in unit.targets()]

    def default_environment(self) -> dict[str, str]:
        """``DefaultEnvironment=`` of systemd's own configuration: every service gets it."""
        found: dict[str, str] = {}
        for file in self._manager_files():
            found |= pairs(
                parse(file.read_text(errors="replace")).get("Manager", {}).get("DefaultEnvironment", [])
            )
        return found

    def _manager_files(self) -> Iterator[Path]:
        named = {
            path.name: path
            for folder in MANAGER_FOLDERS
            for path in sorted((self.root / folder).glob("*.conf"))
        }
        yield from (named[name] for name in sorted(named))


def environment_files(unit: Unit, root: Path = Path("/")) -> dict[str, str]:
    """``EnvironmentFile=`` of a unit.

    Raises:
        OSError: a file that is not marked with ``-`` cannot be read.
    """
    found: dict[str, str] = {}
    for value in unit.all("EnvironmentFile"):
        path = root / value.lstrip("-").lstrip("/")
        try:
            lines = path.read_text().splitlines()
        except OSError:
            if value.startswith("-"):
                continue
            raise
        found |= pairs([line for line in lines if "=" in line and line.lstrip()[:1] not in {"#", ";"}])
    return found
