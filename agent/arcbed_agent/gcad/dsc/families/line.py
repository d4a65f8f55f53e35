"""nxFileLine and nxFileContentReplace: lines and patterns of a text file.

Source: Azure/nxtools, classes nxFileLine and nxFileContentReplace.
"""

from __future__ import annotations

import glob
import re
from typing import Any, ClassVar

from arcbed_agent.gcad.dsc.resource import Current, Resource, ResourceFault

_MODES = ("Append", "AfterLinePatternMatch", "BeforeLinePatternMatch")
_GROUP = re.compile(r"\$(?:\{(\w+)\}|(\d+)|(\$))")
_NAMED = re.compile(r"\(\?<(?![=!])")


class _TextFile(Resource):
    """What both have in common: one file, and patterns that ignore case unless asked not to."""

    def _file(self, current: Current) -> str | None:
        """The text; None with a reason when it is not one file."""
        path = self.text("FilePath")
        try:
            pattern = str(self.host.path(path))
        except ValueError as problem:
            raise ResourceFault("InvalidProperty", f"FilePath: {problem}.") from problem
        found = [pattern]
        if glob.has_magic(path):
            found = glob.glob(glob.escape(str(self.host.root)) + path)  # noqa: PTH207 - the pattern is absolute
        if len(found) > 1:
            listed = ", ".join(sorted(found))
            detail = "ResolvedToMultipleFiles"
            current.reasons.append(
                self.reason(detail, f"The path '{path}' stands for several files: {listed}.")
            )
            return None
        name = "/" + found[0][len(str(self.host.root)) :].lstrip("/") if found else path
        text = self.host.text(name)
        if text is None:
            current.reasons.append(self.reason("FileNotFound", f"The file '{path}' was not found."))
        self._name = name
        return text

    def _compiled(self, name: str, *, simple: bool = False, multiline: bool = False) -> re.Pattern[str]:
        """A .NET pattern as one of Python's."""
        text = self.text(name)
        pattern = re.escape(text) if simple else _NAMED.sub("(?P<", text)
        flags = 0 if self.flag("CaseSensitive") else re.IGNORECASE
        try:
            return re.compile(pattern, flags | (re.MULTILINE if multiline else 0))
        except re.error as problem:
            raise ResourceFault("InvalidProperty", f"{name} is not a pattern: {problem}.") from problem

    def _mine(self, *names: str) -> dict[str, Any]:
        return {name: self.instance.get(name) for name in names}


class FileLine(_TextFile):
    """A line that must be in a file, and a pattern that must not."""

    names: ClassVar[tuple[str, ...]] = ("nxFileLine",)
    code: ClassVar = "nxFileLine"
    keys: ClassVar = ("FilePath", "ContainsLine")

    def inspect(self) -> Current:
        """Look for the line, and for the pattern."""
        current = Current(
            self._mine("FilePath", "ContainsLine", "DoesNotContainPattern", "LinePattern")
            | {
                "CaseSensitive": self.flag("CaseSensitive"),
                "AddLineMode": self.word("AddLineMode", _MODES, "Append"),
            }
        )
        text = self._file(current)
        if text is None:
            return current
        lines = text.splitlines()
        if line := self.text("ContainsLine"):
            found = self._numbers(lines, "ContainsLine", simple=True)
            for number in found:
                phrase = f"[Compliant]The expected line '{line}' was found at line number '{number}'."
                current.reasons.append(self.reason("LineFound", phrase))
            if not found:
                current.reasons.append(self.reason("LineNotFound", f"Can't find the expected line '{line}'."))
        for number in self._unexpected(lines):
            pattern = self.text("DoesNotContainPattern")
            phrase = f"The pattern '{pattern}' was found at line '{number}' but is expected to be absent."
            current.reasons.append(self.reason("LineUnexpected", phrase))
        return current

    def is_compliant(self, current: Current) -> bool:
        """A line that was found is a reason, but not a failure."""
        return all(reason.code.endswith(":LineFound") for reason in current.reasons)

    def _numbers(self, lines: list[str], name: str, *, simple: bool = False) -> list[int]:
        pattern = self._compiled(name, simple=simple)
        return [number for number, line in enumerate(lines, 1) if pattern.search(line)]

    def _unexpected(self, lines: list[str]) -> list[int]:
        return self._numbers(lines, "DoesNotContainPattern") if self.text("DoesNotContainPattern") else []

    def enforce(self) -> None:
        """Remove what must not be there, then add what must."""
        text = self._file(Current())
        if text is None:
            raise ResourceFault("SetFailed", f"The file '{self.text('FilePath')}' is not one existing file.")
        lines = text.splitlines()
        unwanted = set(self._unexpected(lines))
        lines = [line for number, line in enumerate(lines, 1) if number not in unwanted]
        wanted = self.text("ContainsLine")
        if wanted and not self._numbers(lines, "ContainsLine", simple=True):
            lines.insert(self._place(lines), wanted)
        self.host.replace(self._name, "\n".join(lines) + ("\n" if lines else ""))

    def _place(self, lines: list[str]) -> int:
        mode = self.word("AddLineMode", _MODES, "Append")
        if mode == "Append" or not self.text("LinePattern"):
            return len(lines)
        found = self._numbers(lines, "LinePattern")
        if not found:
            return len(lines)
        return found[-1] if mode == "AfterLinePatternMatch" else found[0] - 1


class FileContentReplace(_TextFile):
    """A pattern that must, or must not, be in a file, and what replaces what."""

    names: ClassVar[tuple[str, ...]] = ("nxFileContentReplace",)
    code: ClassVar = "nxFileContentReplace"
    keys: ClassVar = ("FilePath", "EnsureExpectedPattern")

    def inspect(self) -> Current:
        """Look for the pattern."""
        current = Current(
            self._mine("FilePath", "EnsureExpectedPattern", "SearchPattern", "ReplacementString")
        )
        text = self._file(current)
        if text is None:
            return current
        pattern = self._compiled(
            "EnsureExpectedPattern", simple=self.flag("SimpleMatch"), multiline=self.flag("Multiline")
        )
        found = sum(1 for part in self._parts(text) if pattern.search(part))
        current.properties["Ensure"] = "Present" if found else "Absent"
        expected, path = self.text("EnsureExpectedPattern"), self.text("FilePath")
        if self.wanted and not found:
            phrase = f"The pattern '{expected}' is expected in '{path}' but was not found."
            current.reasons.append(self.reason("ExpectedPatternNotFound", phrase))
        elif found and not self.wanted:
            phrase = f"The undesired pattern '{expected}' was found {found} times in '{path}'."
            current.reasons.append(self.reason("UndesiredPatternFound", phrase))
        return current

    def _parts(self, text: str) -> list[str]:
        return [text] if self.flag("Multiline") else text.splitlines()

    def enforce(self) -> None:
        """Replace SearchPattern wherever it is found."""
        text = self._file(Current())
        if text is None:
            raise ResourceFault("SetFailed", f"The file '{self.text('FilePath')}' is not one existing file.")
        if not self.text("SearchPattern"):
            raise ResourceFault("SetFailed", "There is no SearchPattern to replace.")
        pattern = self._compiled("SearchPattern", multiline=True)
        try:
            self.host.replace(self._name, pattern.sub(_replacement(self.text("ReplacementString")), text))
        except (re.error, IndexError) as problem:
            raise ResourceFault("InvalidProperty", f"ReplacementString: {problem}.") from problem


def _replacement(text: str) -> str:
    r"""``${name}`` and ``$1`` of .NET as ``\g<name>`` of Python."""

    def group(match: re.Match[str]) -> str:
        return "$" if match.group(3) else rf"\g<{match.group(1) or match.group(2)}>"

    return _GROUP.sub(group, text.replace("\\", r"\\"))
