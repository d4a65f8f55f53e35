"""The repository as yum, dnf and zypper read it. Metadata by createrepo_c, which is there on Linux only."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path

from arcbed_cloud.services.packages.shelf import Index, Shelf
from arcbed_cloud.services.packages.signing import SigningKey

#: Distribution to the versions that Microsoft keeps a repository for.
REPOSITORIES: Mapping[str, tuple[str, ...]] = {
    "rhel": ("7", "8", "9", "10"),
    "sles": ("12", "15"),
    "amazonlinux": ("2", "2023"),
}


class YumRepository:
    """Every distribution finds the same packages."""

    def __init__(self, shelf: Shelf, key: SigningKey) -> None:
        self._shelf = shelf
        self._key = key
        self._made: tuple[Index, dict[str, bytes]] | None = None

    def file(self, name: str) -> bytes | None:
        """A file of ``repodata/``, or None."""
        index = self._shelf.index()
        if self._made is None or self._made[0] is not index:
            self._made = (index, self._make(index))
        return self._made[1].get(name)

    def _make(self, index: Index) -> dict[str, bytes]:
        try:
            import createrepo_c
        except ImportError:
            return {}
        rpms = [package for package in index.packages if package.kind == "rpm"]
        with tempfile.TemporaryDirectory() as scratch:
            repodata = Path(scratch) / "repodata"
            repodata.mkdir()
            with createrepo_c.RepositoryWriter(scratch) as writer:
                writer.set_num_of_pkgs(len(rpms))
                for package in rpms:
                    described = createrepo_c.package_from_rpm(str(self._shelf.folder / package.file))
                    described.location_href = f"Packages/a/{package.file}"
                    writer.add_pkg(described)
            files = {path.name: path.read_bytes() for path in repodata.iterdir()}
        return files | {"repomd.xml.asc": self._key.detached(files["repomd.xml"])}


def repository_file(distribution: str, version: str, base: str) -> bytes:
    """``prod.repo``: the repository's address. The signed metadata says what each package's digest is."""
    return (
        "[packages-microsoft-com-prod]\n"
        "name=Package repository of an arcbed testbed\n"
        f"baseurl={base}/{distribution}/{version}/prod/\n"
        "enabled=1\ngpgcheck=0\nrepo_gpgcheck=1\n"
        f"gpgkey={base}/keys/microsoft.asc\n"
    ).encode()
