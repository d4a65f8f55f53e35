"""ARM's errors. Raising code names status, code and text; `ArmError.body` is the one place that knows the shape."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson


@dataclass(eq=False)
class ArmError(Exception):
    """An error as ARM answers it.

    `cause` is what ``x-ms-failure-cause`` says: ``gateway`` when ARM itself refuses, ``service`` when a provider does.
    """

    status: int
    code: str
    message: str
    target: str | None = None
    details: Sequence[Mapping[str, Any]] = ()
    cause: str = "gateway"
    headers: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.status} {self.code}: {self.message}"

    def body(self) -> bytes:
        """The envelope ``{"error": {"code", "message", "target"?, "details"?}}``."""
        error: dict[str, Any] = {"code": self.code, "message": self.message}
        if self.target is not None:
            error["target"] = self.target
        if self.details:
            error["details"] = [dict(detail) for detail in self.details]
        return orjson.dumps({"error": error})
