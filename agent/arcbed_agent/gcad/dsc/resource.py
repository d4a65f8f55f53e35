"""What every resource is: an instance of a document that can be tested, set and got.

A family of resources is one module; `registry` finds the class by the name in the document.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

from arcbed_agent.gcad.dsc.accounts import SAFE_NAME
from arcbed_agent.gcad.dsc.host import DscHost
from arcbed_agent.gcad.dsc.mof import Instance, Value
from arcbed_agent.gcad.dsc.results import Reason


class ResourceFault(Exception):  # noqa: N818 - reads as what it becomes: a reason
    """A resource that cannot be evaluated or set.

    Args:
        detail: the last part of the reason's code, such as ``InvalidProperty``.
        phrase: one sentence.
    """

    def __init__(self, detail: str, phrase: str) -> None:
        super().__init__(phrase)
        self.detail = detail
        self.phrase = phrase


@dataclass
class Current:
    """What Get returns.

    Args:
        properties: the class's own properties as they are on the machine.
        reasons: what is to be said about them.
    """

    properties: dict[str, Any] = field(default_factory=dict)
    reasons: list[Reason] = field(default_factory=list)


class Resource:
    """One resource of a document.

    Args:
        instance: as the document gives it, parameters applied.
        host: the machine.
        folder: the unpacked package.
    """

    #: Class names that this resource goes by.
    names: ClassVar[tuple[str, ...]] = ()
    #: The word in reason codes; empty: the class name of the document.
    code: ClassVar[str] = ""
    #: Properties that must be given.
    keys: ClassVar[tuple[str, ...]] = ()
    #: Whether there is a Set.
    settable: ClassVar[bool] = True

    def __init__(self, instance: Instance, host: DscHost, folder: Path) -> None:
        self.instance = instance
        self.host = host
        self.folder = folder
        for key in self.keys:
            if instance.get(key) is None:
                raise ResourceFault("InvalidProperty", f"The property {key} is missing.")

    def inspect(self) -> Current:
        """Look at the machine."""
        raise NotImplementedError

    def is_compliant(self, current: Current) -> bool:
        """Whether `current` is what is desired; most resources give no reason then."""
        return not current.reasons

    def enforce(self) -> None:
        """Make it so.

        Raises:
            ResourceFault: it cannot be done.
            ChangeRefused: it may not be done.
        """
        raise ResourceFault("SetNotSupported", f"{self.type_name} has no Set.")

    # -- what the engine calls -------------------------------------------------------------------------------

    @cached_property
    def current(self) -> Current:
        """The state, looked at once until Set."""
        return self.inspect()

    def test(self) -> bool:
        """Whether the machine is as desired."""
        return self.is_compliant(self.current)

    def apply(self) -> None:
        """Set, and look again afterwards."""
        try:
            self.enforce()
        finally:
            self.__dict__.pop("current", None)
            self.host.forget()

    # -- properties and reasons ------------------------------------------------------------------------------

    @property
    def type_name(self) -> str:
        """The word in reason codes."""
        return self.code or self.instance.class_name

    def reason(self, detail: str, phrase: str) -> Reason:
        """A reason ``<Class>:<Class>:<detail>``."""
        return Reason(f"{self.type_name}:{self.type_name}:{detail}", phrase)

    def given(self, name: str) -> bool:
        """Whether the document gives this property."""
        return self.instance.get(name) is not None

    def text(self, name: str, default: str = "") -> str:
        """A text property.

        Raises:
            ResourceFault: it is something else.
        """
        value = self.instance.get(name)
        if value is None:
            return default
        if isinstance(value, bool):
            return "true" if value else "false"
        if isinstance(value, str | int | float):
            return str(value)
        raise ResourceFault("InvalidProperty", f"The property {name} must be text.")

    def flag(self, name: str, *, default: bool = False) -> bool:
        """A boolean property; parameters give it as text."""
        return self.optional_flag(name) if self.given(name) else default  # type: ignore[return-value]

    def optional_flag(self, name: str) -> bool | None:
        """A boolean property; None when not given.

        Raises:
            ResourceFault: it is something else.
        """
        value = self.instance.get(name)
        if value is None or isinstance(value, bool):
            return value
        words = {"true": True, "false": False, "1": True, "0": False}
        if isinstance(value, str | int) and str(value).casefold() in words:
            return words[str(value).casefold()]
        raise ResourceFault("InvalidProperty", f"The property {name} must be true or false.")

    def texts(self, name: str) -> list[str]:
        """An array of text; one text counts as an array of one.

        Raises:
            ResourceFault: it is something else.
        """
        value = self.instance.get(name)
        items: list[Value] = [] if value is None else value if isinstance(value, list) else [value]
        if not all(isinstance(item, str) for item in items):
            raise ResourceFault("InvalidProperty", f"The property {name} must be an array of text.")
        return [str(item) for item in items]

    def word(self, name: str, words: tuple[str, ...], default: str) -> str:
        """A property that is one of `words`, case ignored; spelled as in `words`.

        Raises:
            ResourceFault: it is something else.
        """
        text = self.text(name, default)
        for word in words:
            if word.casefold() == text.casefold():
                return word
        raise ResourceFault("InvalidProperty", f"{name} is '{text}' and must be one of {', '.join(words)}.")

    @property
    def wanted(self) -> bool:
        """`Ensure`: True for Present, the default."""
        return self.word("Ensure", ("Present", "Absent"), "Present") == "Present"

    def safe(self, name: str) -> str:
        """A name of an account or group that programs can be given.

        Raises:
            ResourceFault: it is none.
        """
        if not SAFE_NAME.fullmatch(name):
            raise ResourceFault("InvalidProperty", f"'{name}' is not the name of an account or group.")
        return name

    def command(self, *words: str, seconds: float = 600.0) -> None:
        """Run a program that changes the machine.

        Raises:
            ResourceFault: it failed.
        """
        answer = self.host.run(*words, seconds=seconds)
        if answer.code:
            raise ResourceFault("SetFailed", f"{words[0]} failed: {answer.complaint}")
