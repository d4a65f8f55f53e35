"""Getting a handler's package: downloaded, compared with hash and catalogue, unpacked.

Documented ("Extensions security"): packages come from blob storage, and a signed catalogue that is fetched
separately must match. Ten tries (agent 1.50), 2 GB (agent 1.65). The catalogue is one line as ``sha256sum``
writes it, clear-signed with OpenPGP (ours). With ``extd.catalogKey`` that key's signature is needed;
without, none.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
import random
import re
import shutil
import zipfile
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from arcbed_agent import archives, openpgp
from arcbed_agent.archives import ArchiveError, ArchiveLimits
from arcbed_agent.clock import Clock, ClockTask
from arcbed_agent.cloud import blobs
from arcbed_agent.cloud.transport import CloudError, UnreachableError
from arcbed_agent.errors import AgentError
from arcbed_agent.extd import builtin, failure
from arcbed_agent.extd.failure import OperationError
from arcbed_agent.extd.folder import Folder
from arcbed_agent.extd.goal import Goal, Package
from arcbed_agent.extd.manifest import ManifestError
from arcbed_agent.extd.service import ExtensionService
from arcbed_agent.files import make_folder, write_durably
from arcbed_agent.gc_logs import by
from arcbed_agent.himds.backoff import BackOff, asked_wait

LIMITS: Final = ArchiveLimits(2 * 1024**3, 2 * 1024**3, 100_000)
CATALOGUE_BYTES: Final = 256 * 1024
#: ``docs/wire.md`` section 15.1, class F.
BACKOFF: Final = BackOff(3.0, 60.0)
TRIES: Final = 10
#: Of the machine's time, for one package.
LIMIT: Final = timedelta(minutes=30)
#: Fresh addresses that are asked for when one has expired.
REFRESHES: Final = 3
DOWNLOADER: Final = "PACKAGE_DOWNLOADER"
_LINE: Final = re.compile(r"([0-9a-fA-F]{64}) [ *](\S+)")

#: Asks the service for the goal once more; the package as it is now, None if it is not wanted any more.
Refresh = Callable[[Goal], Awaitable[Package | None]]


class Packages:
    """Downloads and unpacks.

    Args:
        name: of the clock's child, ``machine/extd/download``.
        refresh: gets a fresh address.
        key: the file with the key that catalogues must be signed with, as the configuration says now; empty:
            they need no signature.
        limits: how much is accepted.
    """

    def __init__(
        self,
        *,
        name: str,
        clock: Clock,
        chance: random.Random,
        service: ExtensionService,
        refresh: Refresh,
        key: Callable[[], str],
        log: logging.Logger,
        limits: ArchiveLimits | None = None,
    ) -> None:
        self._name = name
        self._clock = clock
        self._chance = chance
        self._service = service
        self._refresh = refresh
        self._key = key
        self._log = log
        self._limits = limits or LIMITS

    async def fetch(self, task: ClockTask, goal: Goal, folder: Folder) -> None:
        """Have the zip of `goal` where `folder` says, checked.

        Raises:
            OperationError: 1004.
        """
        package = goal.package
        make_folder(folder.archive.parent, mode=0o700)
        if package is None and (brought := builtin.archive(goal.handler)) is not None:
            write_durably(folder.archive, brought, mode=0o600)
            return
        if package is None or not package.sha256:
            raise OperationError(failure.DOWNLOAD, f"The service has no package of {folder.name}")
        part = folder.archive.with_suffix(".part")
        if folder.archive.exists() and not _differs(folder.archive, package.sha256):
            blobs.discard(part)
            return
        folder.archive.unlink(missing_ok=True)
        deadline = self._clock.now() + LIMIT
        package = await self._download(task, goal, package, part, deadline, lambda found: found.uri)
        try:
            await asyncio.to_thread(archives.check_file, part, package.sha256, self._limits)
            await self._check_catalogue(task, goal, package, folder, deadline)
        except ArchiveError as error:
            blobs.discard(part)
            raise OperationError(failure.DOWNLOAD, f"{error.code}: {error.message}") from error
        except OperationError:
            blobs.discard(part)
            raise
        os.replace(part, folder.archive)  # noqa: PTH105 - from here on it is whole
        blobs.discard(part)

    async def _check_catalogue(
        self, task: ClockTask, goal: Goal, package: Package, folder: Folder, deadline: datetime
    ) -> None:
        if not package.catalog_uri:
            return
        part = folder.archive.with_suffix(".cat.part")
        blobs.discard(part)
        try:
            found = await self._download(
                task, goal, package, part, deadline, lambda one: one.catalog_uri, limit=CATALOGUE_BYTES
            )
            await asyncio.to_thread(check_catalogue, part, found, folder.archive.name, self._key())
        finally:
            blobs.discard(part)

    # -- bytes -----------------------------------------------------------------------------------------------

    async def _download(
        self,
        task: ClockTask,
        goal: Goal,
        package: Package,
        part: Path,
        deadline: datetime,
        address: Callable[[Package], str],
        *,
        limit: int | None = None,
    ) -> Package:
        """Fetch until it is there; answers the package whose address worked."""
        tries = refreshes = 0
        while True:
            try:
                await self._attempt(
                    task, address(package), part, deadline, limit or self._limits.archive_bytes
                )
            except blobs.DownloadError as error:
                raise OperationError(failure.DOWNLOAD, f"{error.code}: {error}") from error
            except (UnreachableError, CloudError, blobs.Interrupted, AgentError, OSError) as error:
                tries += 1
                fresh = None
                if isinstance(error, CloudError) and error.status == 403 and refreshes < REFRESHES:
                    refreshes += 1
                    fresh = await self._fresh(goal)
                self._after(error, tries, refreshed=fresh is not None)
                if fresh is not None:
                    package = fresh
                    continue
                wait = BACKOFF.delay(tries - 1, self._chance, asked_wait(error))
                if self._clock.now() + timedelta(seconds=wait) >= deadline:
                    raise OperationError(failure.DOWNLOAD, _timed_out(error)) from error
                await task.sleep(wait)
            else:
                return package

    async def _fresh(self, goal: Goal) -> Package | None:
        with suppress(UnreachableError, CloudError, AgentError):
            return await self._refresh(goal)
        return None

    def _after(self, error: Exception, tries: int, *, refreshed: bool) -> None:
        """Note a failure; raises OperationError when it was the last one."""
        text = "Download failed (%d of %d): %s"
        self._log.warning(text, tries, TRIES, error, extra=by(DOWNLOADER))
        for_good = isinstance(error, CloudError) and blobs.refused_for_good(error) and not refreshed
        if for_good or tries >= TRIES:
            raise OperationError(failure.DOWNLOAD, f"The package cannot be downloaded: {error}") from error

    async def _attempt(self, task: ClockTask, url: str, part: Path, deadline: datetime, limit: int) -> None:
        """One try, ended when the time for all of them is over."""
        over = asyncio.Event()
        headers = await self._service.headers(url)
        fetching = asyncio.ensure_future(
            blobs.fetch(self._service.transport, url, part, limit=limit, headers=headers)
        )
        fetching.add_done_callback(lambda _: over.set())
        async with self._clock.child(self._name):
            try:
                if not await task.sleep_until(deadline, over) and not fetching.done():
                    raise OperationError(failure.DOWNLOAD, _timed_out(None))
            finally:
                if not fetching.done():
                    fetching.cancel()
                    await asyncio.gather(fetching, return_exceptions=True)
        await fetching

    # -- unpacking -------------------------------------------------------------------------------------------

    async def unpack(self, folder: Folder) -> None:
        """Make the handler's folder from its zip; what was there is replaced.

        Raises:
            OperationError: 1002, 1003 or 1005; the zip is deleted, so that the next try fetches it again.
        """
        await asyncio.to_thread(self._unpack, folder)

    def _unpack(self, folder: Folder) -> None:
        make_folder(folder.path.parent, mode=0o755)
        staged = folder.path.with_name(f".{folder.name}.new")
        shutil.rmtree(staged, ignore_errors=True)
        try:
            with zipfile.ZipFile(folder.archive) as archive:
                members = archives.checked_members(archive, self._limits)
                archives.extract(archive, members, staged, self._limits)
            folder.adopt(staged)
        except ManifestError as error:
            raise OperationError(error.code, str(error)) from error
        except ArchiveError as error:
            folder.archive.unlink(missing_ok=True)
            raise OperationError(failure.UNPACK, f"{error.code}: {error.message}") from error
        except (*archives.NO_ZIP, OSError) as error:
            folder.archive.unlink(missing_ok=True)
            text = f"PackageNotZip: The package cannot be unpacked: {error}"
            raise OperationError(failure.UNPACK, text) from error
        finally:
            shutil.rmtree(staged, ignore_errors=True)


def check_catalogue(catalogue: Path, package: Package, file: str, key: str = "") -> None:
    """Compare a package with its catalogue.

    Args:
        catalogue: as it was downloaded.
        package: with the hashes that the service states.
        file: how the catalogue calls the zip.
        key: the file with the key that must have signed it; empty: it needs no signature.

    Raises:
        OperationError: 1004, they do not match, or the catalogue is signed by nobody or somebody else.
    """
    data = catalogue.read_bytes()
    stated = package.catalog_sha256
    if stated and hashlib.sha256(data).hexdigest() != stated.lower():
        raise OperationError(
            failure.DOWNLOAD, "CatalogMismatch: The catalog is not the one that was published"
        )
    if key:
        try:
            data = openpgp.signed_text(catalogue, [Path(key)])
        except openpgp.SignatureError as error:
            raise OperationError(
                failure.DOWNLOAD, f"CatalogNotSigned: The catalog is not signed with {key}: {error}"
            ) from error
    listed = {match[2]: match[1].lower() for match in _LINE.finditer(data.decode(errors="replace"))}
    found = listed.get(file)
    if found is None:
        raise OperationError(failure.DOWNLOAD, f"CatalogMismatch: The catalog does not name {file}")
    if found != package.sha256.lower():
        raise OperationError(failure.DOWNLOAD, f"CatalogMismatch: {file} is not what the catalog says")


def _differs(path: Path, sha256: str) -> bool:
    """Whether the file is another one than is wanted."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest() != sha256.lower()


def _timed_out(error: Exception | None) -> str:
    minutes = int(LIMIT.total_seconds() // 60)
    why = f": {error}" if error else ""
    return f"The package could not be downloaded within {minutes} minutes{why}"
