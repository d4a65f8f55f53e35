"""The bed's one source of chance: ids, spreads and shuffles from a printed seed."""

from __future__ import annotations

import random

# Version 4 and variant 1 of a GUID, as bits of its number.
_FREE_BITS = ~((0xF << 76) | (0x3 << 62))
_FIXED_BITS = (0x4 << 76) | (0x2 << 62)


_READS = frozenset({"GET", "HEAD", "OPTIONS"})


def _guid(chance: random.Random) -> str:
    # By hand: every answer carries one, and `uuid.UUID` would cost three times as much.
    digits = f"{chance.getrandbits(128) & _FREE_BITS | _FIXED_BITS:032x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


class Ids:
    """Seeded ids. The same seed and boot give the same sequence.

    Args:
        seed: any text; printed at start so that a run can be repeated.
        boot: how often this state has been opened; keeps ids of a reopened bed apart from the earlier ones.
    """

    def __init__(self, seed: str, boot: int = 0) -> None:
        self.seed = seed
        self._random = random.Random(f"{seed}:{boot}")  # noqa: S311 - repeatability, not secrecy
        self._reads = random.Random(f"{seed}:{boot}:reads")  # noqa: S311 - as above
        self._writes = random.Random(f"{seed}:{boot}:writes")  # noqa: S311 - as above

    def guid(self) -> str:
        """A lower-case version 4 GUID."""
        return _guid(self._random)

    def request_guid(self, method: str) -> str:
        """The id of a request; how often somebody reads changes neither the ids of writes nor other ids."""
        return _guid(self._reads if method in _READS else self._writes)

    def hex(self, digits: int) -> str:
        """`digits` lower-case hexadecimal digits."""
        return f"{self._random.getrandbits(digits * 4):0{digits}x}"

    def integer(self, low: int, high: int) -> int:
        """A whole number from `low` to `high`, both included."""
        return self._random.randint(low, high)
