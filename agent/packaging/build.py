"""Build ``azcmagent_<version>_<architecture>.deb`` and, where rpmbuild is, the .rpm.

``make packages``, or ``python agent/packaging/build.py --output dist``. Nothing is installed on this machine
and no root is needed.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

import payload
from payload import HERE, PLATFORMS, PYTHONS, ROOT, Build

sys.path.insert(0, str(ROOT / "agent"))
from arcbed_agent.host.support import CURRENT, TABLES

DESCRIPTION = (
    "The agent of the arcbed testbed: azcmagent and himds, which connect this machine to a testbed's control "
    "plane as the Azure Connected Machine agent connects one to Azure. It is not Microsoft's agent."
)
SCRIPTS = ("preinst", "postinst", "prerm", "postrm")
RPM_ARCHITECTURES = {"amd64": "x86_64", "arm64": "aarch64"}


def _fill(text: str, values: Mapping[str, str]) -> str:
    """`text` with each ``@NAME@`` replaced, also within what was put in.

    Raises:
        KeyError: there is no such name.
    """
    while found := re.search(r"@([A-Z_]+)@", text):
        text = text.replace(found[0], values[found[1]])
    return text


def _values() -> dict[str, str]:
    rows = [
        f"{name} {version}" for name, versions in TABLES[CURRENT].versions.items() for version in versions
    ]
    return {
        "REFUSE": (HERE / "scripts/refuse").read_text(),
        "LIFECYCLE": (HERE / "scripts/lifecycle").read_text(),
        "SUPPORTED": "\n".join(rows),
        "DESCRIPTION": DESCRIPTION,
    }


def _deb(build: Build, root: Path, output: Path) -> Path:
    control = root / "DEBIAN"
    control.mkdir()
    for name in SCRIPTS:
        script = control / name
        script.write_text(_fill((HERE / "scripts" / name).read_text(), _values()))
        script.chmod(0o755)
    (control / "control").write_text(_control(build, root))
    made = output / f"azcmagent_{build.version}_{build.architecture}.deb"
    subprocess.run(
        ["dpkg-deb", "--root-owner-group", "-Zxz", "-z6", "--build", str(root), str(made)],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    shutil.rmtree(control)
    return made


def _control(build: Build, root: Path) -> str:
    size = sum(path.lstat().st_size for path in root.rglob("*") if path.is_file()) // 1024
    oldest, newest = build.pythons[0], build.pythons[-1]
    after = f"3.{int(newest.partition('.')[2]) + 1}"
    return (
        f"Package: azcmagent\nVersion: {build.version}\nArchitecture: {build.architecture}\n"
        f"Maintainer: The arcbed authors <arcbed@localhost>\nInstalled-Size: {size}\n"
        f"Depends: python3 (>= {oldest}), python3 (<< {after}~), passwd\nRecommends: ca-certificates\n"
        f"Section: admin\nPriority: optional\n"
        f"Description: Azure Connected Machine agent of the arcbed testbed\n {DESCRIPTION}\n"
    )


def _rpm(build: Build, root: Path, output: Path) -> Path:
    major, minor, patch, release = build.version.split(".")
    architecture = RPM_ARCHITECTURES[build.architecture]
    units = [path for path in root.rglob("*") if path.is_file() and "systemd" in path.parts]
    values = _values() | {
        "RPM_VERSION": f"{major}.{minor}.{patch}",
        "RPM_RELEASE": release,
        "RPM_ARCH": architecture,
        "RPM_PYTHONS": " or ".join(f"python{python}" for python in build.pythons),
        "RPM_UNITS": "\n".join(f"/{path.relative_to(root)}" for path in sorted(units)),
        "PAYLOAD": str(root),
    }
    with tempfile.TemporaryDirectory() as scratch:
        spec = Path(scratch) / "azcmagent.spec"
        # A percent sign in a script would start one of rpm's macros.
        values["REFUSE"], values["LIFECYCLE"] = (
            values[name].replace("%", "%%") for name in ("REFUSE", "LIFECYCLE")
        )
        spec.write_text(_fill((HERE / "azcmagent.spec").read_text(), values))
        subprocess.run(
            [
                *("rpmbuild", "-bb", "--quiet", "--target", architecture),
                *("--define", f"_topdir {scratch}", "--define", f"_rpmdir {scratch}/out", str(spec)),
            ],
            check=True,
            stdout=subprocess.DEVNULL,
            env=os.environ | {"HOME": scratch},
        )
        found = next((Path(scratch) / "out").rglob("*.rpm"))
        return Path(shutil.move(found, output / found.name))


def build(wanted: Build, output: Path, kinds: tuple[str, ...]) -> list[Path]:
    """Build the packages of `kinds` ("deb", "rpm") into `output`.

    Raises:
        subprocess.CalledProcessError: a tool failed; it has said why.
    """
    makers: Mapping[str, Callable[[Build, Path, Path], Path]] = {"deb": _deb, "rpm": _rpm}
    output.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch) / "root"
        payload.lay_out(wanted, root)
        return [makers[kind](wanted, root, output) for kind in kinds]


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=ROOT / "dist", help="folder for the packages")
    parser.add_argument("--version", default=payload.agent_version(), help="for tests of upgrades: A.B.C.D")
    parser.add_argument("--architecture", choices=sorted(PLATFORMS), default="amd64")
    parser.add_argument("--python", action="append", help=f"default: {', '.join(PYTHONS)}; repeatable")
    parser.add_argument(
        "--kind", action="append", choices=("deb", "rpm"), help="default: what can be built here"
    )
    given = parser.parse_args()
    if not re.fullmatch(r"\d+\.\d+\.\d+\.\d+", given.version):
        parser.error(f"--version must be four numbers with dots, not '{given.version}'")
    return given


def main() -> None:
    """Build and say what was built."""
    given = _arguments()
    tools = {"deb": "dpkg-deb", "rpm": "rpmbuild"}
    kinds = tuple(given.kind or [kind for kind, tool in tools.items() if shutil.which(tool)])
    for kind in kinds:
        if not shutil.which(tools[kind]):
            sys.exit(f"{tools[kind]} is not installed; it is needed for a .{kind}.")
    wanted = Build(given.version, given.architecture, tuple(given.python or PYTHONS))
    try:
        made = build(wanted, given.output, kinds)
    except subprocess.CalledProcessError as error:
        sys.exit(f"{error.cmd[0]} failed with exit code {error.returncode}.")
    for path in made:
        print(f"{path}  {path.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
