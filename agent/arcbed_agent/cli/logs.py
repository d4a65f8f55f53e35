"""azcmagent logs.

Extension handlers write their own logs, and may write their protected settings into them. What extd remembers
of those settings is taken out, in all forms that programs usually write it in; where it cannot know all of
them, and from what is no text, nothing goes into the zip.
"""

from __future__ import annotations

import codecs
import gzip
import json
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from arcbed_agent.cli import flags
from arcbed_agent.cli.command import Arguments, Command
from arcbed_agent.cli.session import Session
from arcbed_agent.errors import AgentError

if TYPE_CHECKING:
    from arcbed_agent.extd.secrets import Known

#: Folders of log files in the layout.
_FOLDERS = ("logs", "policy_logs", "extension_manager_logs", "extension_logs")
#: So many of each service without ``--full`` (agent 1.17).
_NEWEST = 2
#: Nothing with such a name is ever taken, wherever it lies.
_NEVER = (".pem", ".key", ".pfx", ".p12")
_NO_TEXT = "Left out: this is no text, so nobody can tell whether there are secrets in it.\n"
_LOST = "Left out: protected settings that may be in it cannot be read any more, so nobody can redact them.\n"
_JOURNAL_UNITS = ("himdsd", "gcad", "extd", "arcproxyd")


def run(session: Session, arguments: Arguments) -> dict[str, str] | None:
    """Write a zip of logs, configuration and ``show``; keys, tokens and secrets stay out of it.

    Raises:
        AgentError: 101, the file cannot be written.
    """
    path = Path(arguments.text("output") or _default_name(session)).absolute()
    try:
        _write(session, path, full=arguments.on("full"))
    except OSError as error:
        raise AgentError(101, f"cannot write {path}: {error.strerror}") from error
    if session.terminal.as_json:
        return {"path": str(path)}
    session.terminal.result(f"Log files are in {path}")
    return None


def _default_name(session: Session) -> str:
    """``azcmagent-logs-240731T1021-host.zip`` in the working directory."""
    return f"azcmagent-logs-{session.clock.now():%y%m%dT%H%M}-{session.host.hostname()}.zip"


def _write(session: Session, path: Path, *, full: bool) -> None:
    unfinished = path.with_name(f".{path.name}.new")
    try:
        unfinished.touch(mode=0o600)
        with zipfile.ZipFile(unfinished, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, text in _contents(session, full=full):
                archive.writestr(session.redactor.clean(name), session.redactor.clean(text))
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def _contents(session: Session, *, full: bool) -> Iterator[tuple[str, str]]:
    """Names in the zip, as the paths on a machine are, and texts."""
    layout = session.layout
    known = _conceal_settings(session)
    for folder in _FOLDERS:
        for file in _chosen(layout[folder], full=full):
            owner = file.relative_to(layout[folder]).parts[0]
            lost = folder == "extension_logs" and known.may_hold_more(owner)
            yield layout.shown(file).lstrip("/"), _LOST if lost else _text(file)
    for name in ("agent_config", "local_config"):
        if layout[name].is_file():
            yield layout.shown(layout[name]).lstrip("/"), _text(layout[name])
    yield "azcmagent-show.json", json.dumps(_shown(session), indent=2)
    if full and session.production:
        yield from _journal()


def _conceal_settings(session: Session) -> Known:
    """Make the session's redactor know what extensions were given in confidence."""
    from arcbed_agent.extd import secrets

    known = secrets.known(session.layout)
    for word in known.words:
        session.redactor.conceal(word)
    return known


def _chosen(folder: Path, *, full: bool) -> list[Path]:
    """All log files below `folder`, or the two newest of each service."""
    files = [
        file
        for file in folder.rglob("*")
        if file.is_file() and not file.is_symlink() and file.suffix not in _NEVER
    ]
    if full:
        return sorted(files)
    services: dict[tuple[Path, str], list[Path]] = {}
    for file in files:
        services.setdefault((file.parent, file.name.partition(".")[0]), []).append(file)
    return sorted(
        file
        for group in services.values()
        for file in sorted(group, key=lambda item: item.stat().st_mtime, reverse=True)[:_NEWEST]
    )


def _text(file: Path) -> str:
    """What is in a file, or why that is left out."""
    try:
        data = file.read_bytes()
    except FileNotFoundError:  # whoever writes it has just put it away
        return f"{file.name} is gone\n"
    if file.suffix == ".gz":
        try:
            data = gzip.decompress(data)
        except (OSError, EOFError, zlib.error):
            return f"{file.name} is not a readable archive\n"
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return data.decode("utf-16", errors="replace")
    if b"\0" in data:
        return _NO_TEXT
    return data.decode("utf-8", errors="replace")


def _shown(session: Session) -> dict[str, object]:
    from arcbed_agent.cli.show import describe

    try:
        return describe(session, with_system=True).document()
    except AgentError as error:
        return {"error": str(error)}


def _journal() -> Iterator[tuple[str, str]]:
    from arcbed_agent.host.sources import this_machine

    for unit in _JOURNAL_UNITS:
        if text := this_machine().run(["journalctl", "--no-pager", "--lines", "5000", "--unit", unit]):
            yield f"journal/{unit}.log", text


COMMAND = Command(
    "Collect log files in a .zip file",
    run,
    flags=flags.LOGS,
    description="Collect log files in a .zip file in the current folder.",
    needs_root=True,
)
