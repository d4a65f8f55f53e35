"""The loop that gets packages and puts them in place, one attempt at a time."""

from __future__ import annotations

import asyncio
import fnmatch
import json
import logging
import os
import random
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

from arcbed_agent.clock import Clock
from arcbed_agent.cloud import blobs
from arcbed_agent.cloud.transport import CloudError, UnreachableError
from arcbed_agent.errors import AgentError
from arcbed_agent.exchange.local import LocalIdentity
from arcbed_agent.files import write_durably
from arcbed_agent.gc_logs import VALIDATOR, by
from arcbed_agent.gcad.dsc.parameters import write_into
from arcbed_agent.gcad.dsc.results import Parameter
from arcbed_agent.gcad.package import Limits, Package, PackageError, open_package
from arcbed_agent.gcad.records import (
    INTERVAL_MINUTES,
    Assignment,
    Published,
    assignment_type,
    generation,
    moment_of,
    parameters_of,
    written,
)
from arcbed_agent.gcad.service import PolicyService
from arcbed_agent.gcad.signature import keys_in
from arcbed_agent.gcad.store import Store, package_key
from arcbed_agent.himds.backoff import BackOff

#: ``docs/wire.md`` section 15.1, class F.
BACKOFF: Final = BackOff(3.0, 60.0)
TRIES: Final = 10
#: Of the machine's time, for one download with all its tries.
LIMIT: Final = timedelta(minutes=30)
STORAGE: Final = "https://storage.azure.com/"
STORAGE_VERSION: Final = "2025-11-05"
ALLOWED_TAG: Final = "allowedGuestConfigPkgUrls"

Failed = Callable[[Assignment, str, str], None]


class Publisher:
    """Publishes what is stale.

    Args:
        name: of the clock task, ``machine/gcad/publish``.
        busy: which assignment is being evaluated: its folder must not move now.
        published: told of each assignment that can be evaluated anew.
        failed: told of each that cannot be had: assignment, code, sentence.
        keys: folder of public keys; once it holds any, packages must be signed with one of them.
    """

    def __init__(
        self,
        *,
        name: str,
        clock: Clock,
        chance: random.Random,
        store: Store,
        service: PolicyService,
        identity: LocalIdentity,
        busy: Callable[[], str],
        published: Callable[[str], None],
        failed: Failed,
        log: logging.Logger,
        keys: Path,
        limits: Limits | None = None,
    ) -> None:
        self._clock = clock
        self._task = clock.task(name)
        self._chance = chance
        self._store = store
        self._service = service
        self._identity = identity
        self._busy = busy
        self._published = published
        self._failed = failed
        self._log = log
        self._keys = keys
        self._limits = limits or Limits()
        self._wake = asyncio.Event()
        self._began: dict[str, datetime] = {}

    def wake(self) -> None:
        """Something is stale, or an evaluation has ended."""
        self._wake.set()

    async def run(self) -> None:
        """Publish until cancelled."""
        async with self._task as task:
            while True:
                self._wake.clear()
                found, at = self._next()
                if found is None:
                    await task.sleep_until(at, self._wake)
                    continue
                try:
                    await self._attempt(found)
                except Exception as error:  # noqa: BLE001 - one assignment must not end the loop
                    self._log.exception(
                        "Assignment '%s' cannot be published", found.name, extra=by(VALIDATOR)
                    )
                    self._give_up(found, "PublishFailed", f"{type(error).__name__}: {error}")

    def _next(self) -> tuple[Assignment | None, datetime | None]:
        """What to work on now, or when to look again."""
        waiting = [item for item in self._store if item.stale and not item.gave_up]
        now, soonest = self._clock.now(), None
        for item in waiting:
            at = moment_of(item.retry_at)
            if at is not None and at > now:
                soonest = at if soonest is None else min(soonest, at)
            elif item.name != self._busy():
                return item, None
        return None, soonest

    async def _attempt(self, assignment: Assignment) -> None:
        guest = assignment.guest_configuration
        key = package_key(guest)
        began = self._began.setdefault(assignment.name, self._clock.now())
        try:
            archive = await self._archive(assignment, key)
            staged = self._store.staging(assignment.name)
            published = await asyncio.to_thread(self._unpack, assignment, archive, staged)
            self._put_in_place(assignment, published, staged)
        except (UnreachableError, CloudError, blobs.Interrupted) as error:
            self._retry_or_give_up(assignment, error, began)
        except (blobs.DownloadError, PackageError) as error:
            self._store.package(key).unlink(missing_ok=True)
            self._give_up(assignment, error.code, str(error))
        except (OSError, AgentError) as error:
            self._give_up(assignment, "PublishFailed", str(error))

    def _retry_or_give_up(self, assignment: Assignment, error: Exception, began: datetime) -> None:
        tries = assignment.tries + 1
        for_good = isinstance(error, CloudError) and blobs.refused_for_good(error)
        if for_good or tries >= TRIES or self._clock.now() - began >= LIMIT:
            code = _code(error)
            self._give_up(assignment, code, f"The package cannot be downloaded: {error}")
            return
        wait = BACKOFF.delay(tries - 1, self._chance, getattr(error, "retry_after", None))
        at = self._clock.now() + timedelta(seconds=wait)
        self._keep(assignment, tries=tries, retry_at=written(at))
        text = "Download of '%s' failed (%d of %d): %s"
        self._log.warning(text, assignment.name, tries, TRIES, error, extra=by(VALIDATOR))

    def _give_up(self, assignment: Assignment, code: str, message: str) -> None:
        self._began.pop(assignment.name, None)
        self._log.error("Package of '%s': %s: %s", assignment.name, code, message, extra=by(VALIDATOR))
        if kept := self._keep(assignment, tries=0, retry_at="", gave_up=True):
            self._failed(kept, code, message)

    def _keep(self, assignment: Assignment, **changes: Any) -> Assignment | None:
        """Change the record, unless a pull has replaced the item meanwhile."""
        now = self._store.get(assignment.name)
        if now is None or now.item != assignment.item or not now.stale:
            return None
        return self._store.put(replace(now, **changes))

    # -- the zip ---------------------------------------------------------------------------------------------

    async def _archive(self, assignment: Assignment, key: str) -> Path:
        """The package's zip: the one that is there if the assignment names its hash, else fetched."""
        guest = assignment.guest_configuration
        path = self._store.package(key)
        url = str(guest.get("contentUri") or "")
        await self._check_allowed(guest, url)
        if path.exists() and guest.get("contentHash"):
            return path
        part = self._store.part(key)
        self._log.info("Downloading the package of '%s'", assignment.name, extra=by(VALIDATOR))
        headers = await self._headers(guest, url)
        await blobs.fetch(
            self._service.transport, url, part, limit=self._limits.archive_bytes, headers=headers
        )
        os.replace(part, path)  # noqa: PTH105 - from here on it is whole
        blobs.discard(part)
        return path

    async def _check_allowed(self, guest: Mapping[str, Any], url: str) -> None:
        """The machine's tag names the places that custom packages may come from (agent 1.21)."""
        allowed = (await self._identity.tags()).get(ALLOWED_TAG, "")
        patterns = [word.strip() for word in allowed.split(",") if word.strip()]
        if str(guest.get("contentType") or "") == "Builtin" or not patterns:
            return
        address = url.partition("?")[0]
        if not any(fnmatch.fnmatchcase(address, pattern) for pattern in patterns):
            raise blobs.DownloadError(
                "PackageUrlNotAllowed", f"The tag {ALLOWED_TAG} does not allow {address}."
            )

    async def _headers(self, guest: Mapping[str, Any], url: str) -> dict[str, str]:
        """A token where the address is the service's own, or where an identity is named; else none."""
        if self._service.base and url.startswith(f"{self._service.base}/"):
            return {"Authorization": f"Bearer {await self._identity.token()}"}
        if guest.get("contentManagedIdentity"):
            token = await self._service.token(STORAGE)
            return {"Authorization": f"Bearer {token}", "x-ms-version": STORAGE_VERSION}
        return {}

    # -- the folder ------------------------------------------------------------------------------------------

    def _unpack(self, assignment: Assignment, archive: Path, staged: Path) -> Published:
        """In a thread: a package may be large."""
        stated = assignment.guest_configuration.get("contentHash")
        package = open_package(
            archive,
            staged,
            name=assignment.configuration,
            sha256=str(stated) if stated else None,
            limits=self._limits,
            keys=keys_in(self._keys),
        )
        parameters = [Parameter(name, value) for name, value in parameters_of(assignment.item)]
        for warning in write_into(package.document, parameters):
            self._log.warning("%s", warning, extra=by(VALIDATOR))
        published = _published(assignment, package)
        _merge_settings(package, assignment, published)
        return published

    def _put_in_place(self, assignment: Assignment, published: Published, staged: Path) -> None:
        now = self._store.get(assignment.name)
        if now is None or generation(now.item) != generation(assignment.item):
            return
        self._began.pop(assignment.name, None)
        self._store.publish(now.delivered(published, self._clock.now()), staged)
        self._store.tidy()
        self._log.info("Package of '%s' is published", assignment.name, extra=by(VALIDATOR))
        self._published(assignment.name)


def _published(assignment: Assignment, package: Package) -> Published:
    stated = str(assignment.guest_configuration.get("version") or "")
    return Published(
        item=assignment.item,
        configuration=package.name,
        version=package.metaconfig.version if not stated or "*" in stated else stated,
        kind=package.metaconfig.type,
        minutes=max(INTERVAL_MINUTES, package.metaconfig.configuration_mode_frequency_mins or 0),
    )


def _merge_settings(package: Package, assignment: Assignment, published: Published) -> None:
    """The metaconfig in the folder says the assignment's mode and interval, as the product's does."""
    document = {
        **package.metaconfig.document,
        "Type": package.metaconfig.type,
        "Version": published.version,
        "configurationMode": assignment_type(assignment.item),
        "configurationModeFrequencyMins": published.minutes,
    }
    path = package.document.with_name(f"{package.name}.metaconfig.json")
    write_durably(path, json.dumps(document, indent=2) + "\n", mode=0o644)


def _code(error: Exception) -> str:
    if isinstance(error, CloudError) and error.status == 403:
        return "PackageAccessDenied"
    if isinstance(error, CloudError) and error.status == 404:
        return "PackageNotFound"
    return "PackageDownloadFailed"
