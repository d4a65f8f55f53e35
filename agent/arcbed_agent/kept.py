"""What daemons keep in files between two starts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any, Self


class Kept:
    """A dataclass that is kept in a file; members of the file that are not known are ignored."""

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        """Read `document`.

        Raises:
            TypeError: a member is missing.
        """
        names = {item.name for item in fields(cls)}  # type: ignore[arg-type]  # subclasses are dataclasses
        return cls(**{key: value for key, value in document.items() if key in names})

    def to_json(self) -> dict[str, Any]:
        """The JSON object."""
        return asdict(self)  # type: ignore[call-overload,no-any-return]  # subclasses are dataclasses
