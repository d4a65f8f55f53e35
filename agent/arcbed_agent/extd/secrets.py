"""Which texts must not leave this machine: every protected setting that its handlers have ever been given.

A handler may write its settings into its own logs, which outlive the settings and the handler. So the words
are remembered as long as those logs are there: one file for each handler, each batch of words sealed to the
machine's own certificate.
"""

from __future__ import annotations

import base64
import json
import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, quote_plus

from arcbed_agent.errors import AgentError
from arcbed_agent.extd.store import Store, file_name
from arcbed_agent.extd.vault import Vault
from arcbed_agent.files import make_folder, remove_durably, sweep, write_durably
from arcbed_agent.host.layout import Layout
from arcbed_agent.logging import Redactor

#: Shorter texts and numbers would blank ordinary text.
SHORTEST: Final = 4
SHORTEST_NUMBER: Final = 6
#: These, too; nobody has them for a secret.
ORDINARY: Final = frozenset({"true", "false", "null", "none"})
#: Members of reports that take one of a few words, or what is no secret.
_OWN_WORDS: Final = frozenset(
    {"status", "state", "phase", "level", "code", "displayStatus", "time", "typeHandlerVersion", "lang"}
)


class Secrets:
    """Remembers what has to be concealed.

    Args:
        layout: the machine's files.
        vault: seals what is remembered.
        redactor: told of every word.
    """

    def __init__(self, layout: Layout, vault: Vault, redactor: Redactor) -> None:
        self._layout = layout
        self._vault = vault
        self._redactor = redactor
        self._words: dict[str, set[str]] = {}

    def recall(self, store: Store) -> None:
        """Conceal all that is remembered, and forget handlers that are gone together with their logs.

        Raises:
            OSError: the folder cannot be used.
        """
        wanted = [one for one in store if not (one.wanted.removal and one.settled)]
        handlers = {one.wanted.handler for one in wanted} | {one.name for one in store.handlers}
        folder = make_folder(_folder(self._layout), mode=0o700)
        sweep(folder)
        for path, handler, batches in _remembered(self._layout):
            if handler not in handlers and not _logs(self._layout, handler):
                remove_durably(path)
                continue
            words, _ = _opened(self._vault, batches)
            self._words[handler] = words
            self._conceal(words)
        for extension in wanted:
            if extension.protected:
                with suppress(ValueError):
                    self.learn(extension.wanted.handler, self._vault.unseal(extension.protected))

    def learn(self, handler: str, settings: object) -> None:
        """Conceal protected settings from now on, also after a restart.

        Raises:
            OSError: they cannot be remembered.
        """
        words = set(words_of(settings))
        self._conceal(words)
        fresh = words - self._words.get(handler, set())
        if not fresh:
            return
        path = make_folder(_folder(self._layout), mode=0o700) / file_name(handler)
        batches = [*_batches(path), self._vault.seal({"words": sorted(fresh)})]
        write_durably(path, json.dumps({"handler": handler, "sealed": batches}))
        self._words.setdefault(handler, set()).update(fresh)

    def clean(self, text: str) -> str:
        """`text` without secrets."""
        return self._redactor.clean(text)

    def cleaned(self, report: Mapping[str, Any]) -> dict[str, Any]:
        """`report` with all its texts cleaned; the contract's own words stay, whatever settings say."""
        return {key: _mapped(key, value, self._redactor.clean) for key, value in report.items()}

    def _conceal(self, words: Iterable[str]) -> None:
        for word in words:
            for form in forms(word):
                self._redactor.conceal(form)


@dataclass(frozen=True)
class Known:
    """What is remembered, for who passes logs on.

    Args:
        words: in all forms that they may be written in.
        lost: handlers with words that cannot be read any more.
    """

    words: frozenset[str] = field(default=frozenset(), repr=False)
    lost: frozenset[str] = frozenset()

    def may_hold_more(self, name: str) -> bool:
        """Whether a file or folder of ``extension_logs`` belongs to a handler whose words are lost."""
        return any(name.startswith((f"{handler}-", f"{handler}.")) for handler in self.lost)


def known(layout: Layout) -> Known:
    """All that is remembered below `layout`, whether extd runs or not; changes nothing."""
    vault, words, lost = Vault(layout["extensions"]), set[str](), set[str]()
    vault.read()
    for _, handler, batches in _remembered(layout):
        found, whole = _opened(vault, batches)
        words |= {form for word in found for form in forms(word)}
        if not whole:
            lost.add(handler)
    return Known(frozenset(words), frozenset(lost))


def words_of(settings: object) -> list[str]:
    """Every text and every number in `settings` that is long enough to be told from ordinary text."""
    if isinstance(settings, dict):
        return [word for value in settings.values() for word in words_of(value)]
    if isinstance(settings, list):
        return [word for value in settings for word in words_of(value)]
    if isinstance(settings, str):
        return [settings] if len(settings) >= SHORTEST and settings.lower() not in ORDINARY else []
    if isinstance(settings, int | float) and not isinstance(settings, bool):
        return [str(settings)] if len(str(settings)) >= SHORTEST_NUMBER else []
    return []


def forms(word: str) -> set[str]:
    """How programs write `word`: as it is, in JSON, in addresses, in base64, quoted for a shell."""
    return {
        word,
        json.dumps(word)[1:-1],
        json.dumps(word, ensure_ascii=False)[1:-1],
        quote(word, safe=""),
        quote_plus(word),
        shlex.quote(word).strip("'"),
        repr(word)[1:-1],
        base64.b64encode(word.encode(errors="surrogatepass")).decode(),
    }


def _folder(layout: Layout) -> Path:
    return layout["extension_state"] / "secrets"


def _logs(layout: Layout, handler: str) -> bool:
    return any(layout["extension_logs"].glob(f"{handler}-*"))


def _remembered(layout: Layout) -> Iterator[tuple[Path, str, list[str]]]:
    """File, handler and sealed batches of each handler; the handler's name is all that is in clear text."""
    for path in sorted(_folder(layout).glob("*.json")):
        with suppress(OSError, ValueError, KeyError, TypeError):
            yield path, str(json.loads(path.read_bytes())["handler"]), _batches(path)


def _batches(path: Path) -> list[str]:
    try:
        return [str(one) for one in json.loads(path.read_bytes())["sealed"]]
    except (OSError, ValueError, KeyError, TypeError):
        return []


def _opened(vault: Vault, batches: Iterable[str]) -> tuple[set[str], bool]:
    """The words, and whether these are all."""
    words, whole = set[str](), True
    for batch in batches:
        try:
            words.update(vault.unseal(batch)["words"])
        except (AgentError, ValueError, KeyError, TypeError):
            whole = False
    return words, whole


def _mapped(name: str, value: Any, change: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return value if name in _OWN_WORDS else change(value)
    if isinstance(value, dict):
        return {key: _mapped(key, inner, change) for key, inner in value.items()}
    if isinstance(value, list):
        return [_mapped(name, inner, change) for inner in value]
    return value
