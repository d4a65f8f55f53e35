"""The repository as apt reads it, and the package that tells apt of it.

Source: Debian's "Debian Repository Format". Paths are those of packages.microsoft.com, from Microsoft's
"Linux software repository for Microsoft products".
"""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Callable, Mapping
from email.utils import formatdate

from arcbed_cloud.services.packages.formats import write_deb
from arcbed_cloud.services.packages.shelf import Index, Shelf
from arcbed_cloud.services.packages.signing import SigningKey

#: Distribution, version, suite. Microsoft keeps one repository for each.
SUITES: Mapping[tuple[str, str], str] = {
    ("debian", "11"): "bullseye",
    ("debian", "12"): "bookworm",
    ("debian", "13"): "trixie",
    ("ubuntu", "18.04"): "bionic",
    ("ubuntu", "20.04"): "focal",
    ("ubuntu", "22.04"): "jammy",
    ("ubuntu", "24.04"): "noble",
}
ARCHITECTURES = ("amd64", "arm64")
KEYRING = "/usr/share/keyrings/microsoft-prod.gpg"


class AptRepository:
    """Every suite holds the same packages: one .deb serves all distributions."""

    def __init__(self, shelf: Shelf, key: SigningKey, now: Callable[[], float]) -> None:
        self._shelf = shelf
        self._key = key
        self._now = now
        self._made: dict[str, tuple[Index, dict[str, bytes]]] = {}

    def file(self, suite: str, path: str) -> bytes | None:
        """A file below ``dists/<suite>/``, or None."""
        index = self._shelf.index()
        kept = self._made.get(suite)
        if kept is None or kept[0] is not index:
            kept = self._made[suite] = (index, self._make(suite, index))
        return kept[1].get(path)

    def _make(self, suite: str, index: Index) -> dict[str, bytes]:
        files: dict[str, bytes] = {}
        for architecture in ARCHITECTURES:
            listing = _packages(index, architecture)
            files[f"main/binary-{architecture}/Packages"] = listing
            files[f"main/binary-{architecture}/Packages.gz"] = gzip.compress(listing, mtime=0)
        release = self._release(suite, files)
        return files | {
            "Release": release,
            "Release.gpg": self._key.detached(release),
            "InRelease": self._key.clear(release),
        }

    def _release(self, suite: str, files: Mapping[str, bytes]) -> bytes:
        # Real time: apt holds the date against the machine's clock.
        lines = [
            f"Origin: arcbed {suite}",
            "Label: arcbed",
            f"Suite: {suite}",
            f"Codename: {suite}",
            f"Date: {formatdate(self._now(), usegmt=True).replace('GMT', 'UTC')}",
            f"Architectures: {' '.join(ARCHITECTURES)}",
            "Components: main",
            "SHA256:",
        ]
        lines += [
            f" {hashlib.sha256(content).hexdigest()} {len(content)} {path}" for path, content in files.items()
        ]
        return ("\n".join(lines) + "\n").encode()


def _packages(index: Index, architecture: str) -> bytes:
    stanzas = [
        f"{package.control.rstrip()}\nFilename: pool/main/a/azcmagent/{package.file}\n"
        f"Size: {package.size}\nSHA256: {package.sha256}\n"
        for package in index.packages
        if package.kind == "deb" and package.architecture in {architecture, "all"}
    ]
    return "\n".join(stanzas).encode()


def repository_package(distribution: str, version: str, base: str, key: SigningKey) -> bytes:
    """``packages-microsoft-prod.deb``: the repository's address and key.

    Args:
        distribution: ``debian`` or ``ubuntu``.
        version: of the distribution; with it a key of `SUITES`.
        base: where the repositories are, without a slash at the end.
        key: signs them.
    """
    suite = SUITES[distribution, version]
    line = (
        f"deb [arch={','.join(ARCHITECTURES)} signed-by={KEYRING}] "
        f"{base}/{distribution}/{version}/prod {suite} main\n"
    )
    control = (
        "Package: packages-microsoft-prod\n"
        f"Version: 1.1-{distribution}{version}\n"
        "Architecture: all\n"
        "Maintainer: The arcbed authors <arcbed@localhost>\n"
        "Section: admin\nPriority: optional\n"
        "Description: Package repository of an arcbed testbed\n"
        " Stands where Microsoft's repository package stands, and points to the testbed instead.\n"
    )
    return write_deb(
        control, {"/etc/apt/sources.list.d/microsoft-prod.list": line.encode(), KEYRING: key.public}
    )
