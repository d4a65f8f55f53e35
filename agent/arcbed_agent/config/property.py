"""One property of `localconfig.json`, and what its values may be."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from arcbed_agent.errors import AgentError

Value = bool | int | str | tuple[str, ...]


@dataclass(frozen=True)
class Property:
    """One name of `localconfig.json`.

    Args:
        name: with dots, as `azcmagent config` takes it.
        default: what holds when it is not set; its type is the property's type.
        meaning: one line for people.
        check: raises ValueError with a sentence when the value will not do.
        ours: a setting of the testbed, not shown by ``config list``.
    """

    name: str
    default: Value
    meaning: str
    check: Callable[[Any], None] | None = None
    ours: bool = False

    @property
    def is_list(self) -> bool:
        """Whether it takes ``--add`` and ``--remove``."""
        return isinstance(self.default, tuple)

    def parse(self, text: str) -> Value:
        """The value that a person typed.

        Raises:
            AgentError: 23, it is not one.
        """
        if self.is_list:
            return self.accept([part.strip() for part in text.strip().strip("[]").split(",") if part.strip()])
        if isinstance(self.default, bool):
            return self.accept({"true": True, "false": False}.get(text.strip().lower(), text))
        if isinstance(self.default, int):
            stripped = text.strip()
            return self.accept(int(stripped) if re.fullmatch(r"-?\d{1,9}", stripped) else text)
        return self.accept(text.strip())

    def accept(self, value: object) -> Value:
        """`value` from JSON in this property's type.

        Raises:
            AgentError: 23, the type or the value is wrong.
        """
        found: object = tuple(value) if isinstance(value, list) else value
        if type(found) is not type(self.default):
            raise self._refused(f"expected {_TYPES[type(self.default)]}")
        if isinstance(found, tuple) and not all(isinstance(item, str) for item in found):
            raise self._refused("expected a list of strings")
        if self.check is not None:
            try:
                self.check(found)
            except ValueError as error:
                raise self._refused(str(error)) from None
        return found

    def _refused(self, why: str) -> AgentError:
        return AgentError(23, f"invalid value for config property {self.name}: {why}")


_TYPES = {bool: "true or false", int: "a whole number", str: "a string", tuple: "a list"}
