"""What the agent knows of each guest assignment, and of its last contact with the service."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Final, Self

from arcbed_agent.kept import Kept

#: Documented: 14 days. The service says it with each pull.
RETENTION_SECONDS: Final = 1_209_600
PERIOD: Final = 300
#: A shorter gap between two contacts is none.
REAPPLY_AFTER_SECONDS: Final = 900
#: The least time between two evaluations of an assignment.
INTERVAL_MINUTES: Final = 15

#: A pull item of the wire, ``docs/wire.md`` section 11.3.
Item = Mapping[str, Any]


def written(moment: datetime) -> str:
    """`moment` for a file, to the microsecond."""
    return moment.isoformat()


def moment_of(text: str) -> datetime | None:
    """What `written` wrote; None for an empty text."""
    return datetime.fromisoformat(text) if text else None


def generation(item: Item) -> int:
    """`itemGeneration`: which PUT of the assignment in ARM the item is."""
    value = item.get("itemGeneration")
    return value if isinstance(value, int) else 0


@dataclass(frozen=True, kw_only=True)
class Sync(Kept):
    """The last contact with the service.

    Args:
        last: time of the last pull that was answered with 200 or 304.
        etag: what that answer was marked with; empty makes the next pull unconditional.
        retention_seconds: how long assignments outlive the last contact.
        reapply_after_seconds: the gap after which they are applied again.
        purged: when assignments were deleted because that was over; empty if they were not since.
        vm_id: the machine that all this belongs to.
    """

    last: str = ""
    etag: str = ""
    retention_seconds: int = RETENTION_SECONDS
    reapply_after_seconds: int = REAPPLY_AFTER_SECONDS
    purged: str = ""
    vm_id: str = ""

    def gap(self, now: datetime) -> timedelta | None:
        """How long ago the last contact was."""
        last = moment_of(self.last)
        return None if last is None else now - last

    @property
    def end(self) -> datetime | None:
        """The last moment at which assignments are still kept."""
        last = moment_of(self.last)
        return None if last is None else last + timedelta(seconds=self.retention_seconds)

    def over(self, now: datetime) -> bool:
        """Whether the retention is over; exactly its length is not."""
        end = self.end
        return end is not None and now > end


@dataclass(frozen=True, kw_only=True)
class Published(Kept):
    """The package that is in the assignment's folder.

    Args:
        item: the pull item that it was published for.
        configuration: name of the configuration, the base name of its MOF.
        version: of the package.
        kind: `Type` of its metaconfig, ``Audit`` or ``AuditAndSet``.
        minutes: between two evaluations.
    """

    item: dict[str, Any]
    configuration: str
    version: str = "1.0.0"
    kind: str = "Audit"
    minutes: int = INTERVAL_MINUTES


@dataclass(frozen=True, kw_only=True)
class Assignment(Kept):
    """One assignment.

    Args:
        name: of the guest assignment, also of its folder.
        item: the newest pull item.
        stale: the package has to be published, for the first time or again.
        tries: attempts to get the package that have failed in a row.
        retry_at: when to try again; empty: at once.
        gave_up: it is not tried again before the next pull.
        published: what can be evaluated now.
        status: of the last evaluation; what the next one is told.
        initial: no evaluation since it was published.
        due: time of the next evaluation; empty: none.
        seq: number of the newest report.
        told: digest of what the newest report said.
        told_at: when that was.
        report: the newest report, while the service has not taken it.
        used: CPU time of the newest evaluation, as members of a report's `engine`; empty: not known.
    """

    name: str
    item: dict[str, Any]
    stale: bool = True
    tries: int = 0
    retry_at: str = ""
    gave_up: bool = False
    published: Published | None = None
    status: str = "Pending"
    initial: bool = True
    due: str = ""
    seq: int = 0
    told: str = ""
    told_at: str = ""
    report: dict[str, Any] | None = None
    used: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        """Read `document`.

        Raises:
            TypeError: a member is missing.
        """
        published = document.get("published")
        kept = super().from_json(document)
        return replace(kept, published=Published.from_json(published) if published else None)

    @property
    def guest_configuration(self) -> dict[str, Any]:
        """`guestConfiguration` of the newest item."""
        return _guest_configuration(self.item)

    @property
    def configuration(self) -> str:
        """The configuration's name as the service gives it."""
        return str(self.guest_configuration.get("name") or self.name)

    def refreshed(self, item: Item) -> Assignment:
        """The same assignment with another item: its package is published and run as if new."""
        return replace(self, item=dict(item), stale=True, tries=0, retry_at="", gave_up=False)

    def delivered(self, published: Published, now: datetime) -> Assignment:
        """Its package is in place and is evaluated at once."""
        return replace(
            self,
            published=published,
            stale=False,
            tries=0,
            retry_at="",
            gave_up=False,
            status="Pending",
            initial=True,
            due=written(now),
        )


def _guest_configuration(item: Item) -> dict[str, Any]:
    found = item.get("guestConfiguration")
    return found if isinstance(found, dict) else {}


def parameters_of(item: Item) -> list[tuple[str, str]]:
    """Name and value of all parameters of an item, protected ones included."""
    guest = _guest_configuration(item)
    found: list[tuple[str, str]] = []
    for member in ("configurationParameter", "configurationProtectedParameter"):
        listed = guest.get(member)
        found += [
            (str(entry["name"]), str(entry.get("value", "")))
            for entry in (listed if isinstance(listed, list) else [])
            if isinstance(entry, dict) and entry.get("name")
        ]
    return found


def assignment_type(item: Item) -> str:
    """`assignmentType` of an item; Audit where it says nothing."""
    return str(_guest_configuration(item).get("assignmentType") or "Audit")


@dataclass(frozen=True)
class Changes:
    """What a pull changed: names of assignments."""

    fresh: tuple[str, ...] = field(default=())
    gone: tuple[str, ...] = field(default=())
    refused: tuple[str, ...] = field(default=())
