"""TestFile: the resource of the public test packages.

Source: Azure/GuestConfiguration, tests (module TestFileModule).
"""

from __future__ import annotations

from typing import ClassVar

from arcbed_agent.gcad.dsc.host import write_whole
from arcbed_agent.gcad.dsc.resource import Current, Resource, ResourceFault


class TestFile(Resource):
    """A file with exactly this content."""

    names: ClassVar[tuple[str, ...]] = ("TestFile",)
    code: ClassVar = "TestFile"
    keys: ClassVar = ("Path",)

    def inspect(self) -> Current:
        """There is always one reason."""
        name = self.text("Path")
        try:
            content = self.host.text(name)
        except ValueError as problem:
            raise ResourceFault("InvalidProperty", f"Path: {problem}.") from problem
        current = Current({"Path": name, "Content": content})
        if content is None:
            reason = self.reason("FileNotExists", f"The file '{name}' does not exist.")
        elif content != self.text("Content"):
            reason = self.reason("ContentMismatch", f"The file '{name}' has another content.")
        else:
            reason = self.reason("Compliant", f"The file '{name}' has the expected content.")
        current.reasons.append(reason)
        return current

    def is_compliant(self, current: Current) -> bool:
        """The compliant case has a reason too."""
        return current.reasons[0].code.endswith(":Compliant")

    def enforce(self) -> None:
        """Write it."""
        path = self.host.path(self.text("Path"))
        self.host.may_change(path)
        write_whole(path, self.text("Content").encode("utf-8", "surrogateescape"), mode=0o644)
