"""The files of the agent's packages: programs, modules with their dependencies, units.

Modules that are compiled for one Python lie side by side, as their file names tell them apart, so one
package serves every distribution whose Python is listed.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
PYTHONS = ("3.11", "3.12", "3.13")
#: Debian architecture to uv's name of the platform; glibc 2.34 is that of RHEL 9, Debian 12 and Ubuntu 22.04.
PLATFORMS = {"amd64": "x86_64-manylinux_2_34", "arm64": "aarch64-manylinux_2_34"}
UNITS = ("himdsd.service", "gcad.service", "extd.service")
#: Folders of programs below the root; policy agent and extension manager have their own.
PROGRAMS = {
    "opt/azcmagent/bin": ("azcmagent", "himds"),
    "opt/GC_Service/GC": ("gc_linux_service", "gc_worker"),
    "opt/GC_Ext/GC": ("gc_linux_service",),
}
#: Mode file of the policy agent, as seen on machines of Azure Arc.
GC_CONFIG = {
    "ServiceType": "GCArc",
    "Paths": {
        "BasePath": "/var/lib/GuestConfig/",
        "UserConfigurationsPath": "/var/lib/GuestConfig/Configuration/",
        "LogPath": "/var/lib/GuestConfig/arc_policy_logs/",
    },
}
_VERSION = re.compile(r'^AGENT_VERSION = "(.*)"$', re.MULTILINE)
#: Not needed at run time, and megabytes of it.
_LEFT_OUT = ("bin", "pip", "rich", "typer", "markdown_it", "mdurl", "pygments", "shellingham")


@dataclass(frozen=True)
class Build:
    """What is built.

    Args:
        version: four numbers; None keeps the agent's own.
        architecture: as Debian calls it.
        pythons: versions whose compiled modules come along, ``3.11`` and so on.
    """

    version: str
    architecture: str
    pythons: tuple[str, ...]


def agent_version() -> str:
    """The version in the agent's source."""
    found = _VERSION.search((ROOT / "agent/arcbed_agent/__init__.py").read_text())
    assert found, "AGENT_VERSION is gone"  # noqa: S101 - our own source
    return found[1]


def lay_out(build: Build, root: Path) -> None:
    """Write the tree that the packages install below `root`.

    Raises:
        subprocess.CalledProcessError: the dependencies could not be had.
    """
    library = root / "opt/azcmagent/lib"
    library.mkdir(parents=True)
    _dependencies(build, library)
    _agent(build, library)
    _programs(build, root)
    link = root / "usr/bin/azcmagent"
    link.parent.mkdir(parents=True)
    link.symlink_to("/opt/azcmagent/bin/azcmagent")
    for name in UNITS:
        _copy(HERE / "systemd" / name, root / "lib/systemd/system" / name)
    _copy(HERE / "systemd/azcmagent.conf", root / "lib/systemd/system.conf.d/azcmagent.conf")
    _settle(root)


def _requirements() -> list[str]:
    """What pyproject.toml says that the agent needs, without the command line framework of the others."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"], *project["optional-dependencies"]["agent"]]
    return [line for line in wanted if re.split(r"\W", line)[0] not in _LEFT_OUT]


def _dependencies(build: Build, library: Path) -> None:
    constraints: list[str] = []
    for python in build.pythons:
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch) / "lib"
            _install(_requirements(), constraints, folder, python, PLATFORMS[build.architecture])
            # The first Python settles the versions: modules in pure Python are shared by all.
            constraints = constraints or _installed(folder)
            shutil.copytree(folder, library, dirs_exist_ok=True)
    for name in _LEFT_OUT:
        shutil.rmtree(library / name, ignore_errors=True)
    for trace in (*library.glob(".lock"), *library.glob("*.dist-info/REQUESTED")):
        trace.unlink()


def _install(
    wanted: Sequence[str], constraints: Sequence[str], folder: Path, python: str, platform: str
) -> None:
    """Wheels only: nothing is compiled here, so the build machine may run another distribution."""
    pins = folder.parent / "constraints.txt"
    pins.write_text("\n".join(constraints))
    common = ["--only-binary", ":all:", "--python-version", python, "--target", str(folder)]
    if uv := shutil.which("uv"):
        command = [uv, "pip", "install", "-q", "--python-platform", platform, "-c", str(pins)]
    else:
        machine, _, glibc = platform.partition("-")
        tags = [f"{glibc}_{machine}", f"manylinux_2_28_{machine}", f"manylinux_2_17_{machine}"]
        command = [sys.executable, "-m", "pip", "install", "-q", "-c", str(pins)]
        command += [word for tag in (*tags, f"manylinux2014_{machine}") for word in ("--platform", tag)]
    subprocess.run([*command, *common, *wanted], check=True)


def _installed(folder: Path) -> list[str]:
    names = (path.name.removesuffix(".dist-info") for path in folder.glob("*.dist-info"))
    return [name.replace("-", "==", 1) for name in sorted(names)]


def _agent(build: Build, library: Path) -> None:
    package = library / "arcbed_agent"
    shutil.copytree(ROOT / "agent/arcbed_agent", package, ignore=shutil.ignore_patterns("__pycache__"))
    marker = package / "__init__.py"
    marker.write_text(_VERSION.sub(f'AGENT_VERSION = "{build.version}"', marker.read_text()))
    _metadata(build, library)
    shutil.copyfile(HERE / "bin/launch.py", library / "launch.py")


def _metadata(build: Build, library: Path) -> None:
    """Just enough for `azcmagent license`, which asks the installed distribution."""
    folder = library / f"arcbed-{build.version}.dist-info"
    (folder / "licenses").mkdir(parents=True)
    shutil.copyfile(ROOT / "LICENSE", folder / "licenses/LICENSE")
    (folder / "METADATA").write_text(f"Metadata-Version: 2.4\nName: arcbed\nVersion: {build.version}\n")
    (folder / "RECORD").write_text(f"{folder.name}/licenses/LICENSE,,\n{folder.name}/METADATA,,\n")


def _programs(build: Build, root: Path) -> None:
    launcher = (HERE / "bin/launcher").read_text()
    text = launcher.replace("@PYTHONS@", " ".join(["python3", *(f"python{v}" for v in build.pythons)]))
    for folder, names in PROGRAMS.items():
        (root / folder).mkdir(parents=True)
        for name in names:
            (root / folder / name).write_text(text)
    shutil.copyfile(HERE / "bin/azcmagent_proxy", root / "opt/azcmagent/bin/azcmagent_proxy")
    (root / "opt/GC_Service/GC/gc.config").write_text(json.dumps(GC_CONFIG, indent=2) + "\n")


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)


def _settle(root: Path) -> None:
    """Modes and times that depend on nothing but the sources, so that two builds give the same bytes."""
    epoch = int(os.environ.setdefault("SOURCE_DATE_EPOCH", _commit_time()))
    for folder, folders, files in os.walk(root):
        for name in ("__pycache__", "tests"):
            if name in folders:
                shutil.rmtree(Path(folder) / name)
                folders.remove(name)
        for name in files:
            path = Path(folder) / name
            if not path.is_symlink():
                runs = path.parent in {root / folder for folder in PROGRAMS} and path.suffix != ".config"
                path.chmod(0o755 if runs else 0o644)
            os.utime(path, (epoch, epoch), follow_symlinks=False)
    for folder, _folders, _files in os.walk(root, topdown=False):
        Path(folder).chmod(0o755)
        os.utime(folder, (epoch, epoch))


def _commit_time() -> str:
    asked = subprocess.run(
        ["git", "-C", str(ROOT), "log", "-1", "--format=%ct"], capture_output=True, text=True, check=False
    )
    return asked.stdout.strip() or "1735689600"
