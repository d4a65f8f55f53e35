"""Sample extension handlers: small, real packages, one for each behaviour that a manager must cope with.

`build` makes the zip as a publisher ships it. A sample is a folder beside this file; ``bin/common.sh`` is
added to it.
"""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).parent
PUBLISHER: Final = "Arcbed.Samples"


def samples() -> list[str]:
    """The names of all samples, as `build` takes them."""
    return sorted(path.parent.name for path in HERE.glob("*/HandlerManifest.json"))


def kind_of(sample: str) -> str:
    """The extension type of a sample: ``well_behaved`` is ``WellBehaved``."""
    return "".join(word.title() for word in sample.split("_"))


def build(sample: str, folder: Path, *, version: str = "1.0.0") -> Path:
    """Zip a sample into `folder` as ``Arcbed.Samples.<Type>__<version>.zip``.

    Zips lose modes in the field, so none is set here either. The same sample is the same zip, byte for byte.

    Raises:
        FileNotFoundError: there is no such sample.
    """
    source = HERE / sample
    if not (source / "HandlerManifest.json").is_file():
        raise FileNotFoundError(f"no sample handler '{sample}'; there are {', '.join(samples())}")
    path = folder / f"{PUBLISHER}.{kind_of(sample)}__{version}.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(source.rglob("*")):
            if file.is_file():
                _add(archive, file.relative_to(source).as_posix(), file)
        _add(archive, "bin/common.sh", HERE / "common" / "handler.sh")
    return path


def _add(archive: zipfile.ZipFile, name: str, file: Path) -> None:
    member = zipfile.ZipInfo(name, (2022, 3, 1, 0, 0, 0))
    member.compress_type = zipfile.ZIP_DEFLATED
    archive.writestr(member, file.read_bytes())
