"""The entry point of a machine that is a container: environment to files, then PID 1.

systemd hands none of PID 1's environment to its services, so all that a service needs is written down first.

==================  ==========================================================================================
ARC_INIT            ``auto`` (default), ``systemd`` or ``supervisor``
ARC_CA              certificate to trust; default /usr/local/share/ca-certificates/arcbed.crt, if it is there
ARC_CONFIG_<key>    a value of localconfig.json; dots of the key are written as two underscores
ARC_FLAVOUR         whose os-release the machine shows, such as ``rhel-9``: ``docs/reference/flavours.md``
ARC_HARDWARE        seed of the manufacturer, model and serial number that the machine shows
ARC_ONBOARDING      file with the onboarding principal; the machine then connects itself when it starts
ARC_RESOURCE_GROUP  where to; likewise ARC_LOCATION, ARC_RESOURCE_NAME, ARC_TAGS and ARC_CLOUD
ARC_LOGS            log files that go to the container's output, with colons between them
==================  ==========================================================================================
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

TRUSTED = Path("/usr/local/share/ca-certificates/arcbed.crt")
BUNDLE = Path("/etc/ssl/certs/ca-certificates.crt")
LINK = Path("/etc/ssl/certs/arcbed.pem")
LOCAL_CONFIG = Path("/var/opt/azcmagent/localconfig.json")
SHADOW = Path("/etc/arcbed/shows")
FLAVOURS = Path("/usr/share/arcbed/flavours")
MANAGER = Path("/etc/systemd/system.conf.d/arcbed.conf")
CONNECT = Path("/etc/arcbed/connect.json")
ONBOARD_LINK = Path("/etc/systemd/system/multi-user.target.wants/arcbed-onboard.service")
ONBOARD_UNIT = Path("/lib/systemd/system/arcbed-onboard.service")
#: What services see of the container's environment, beside what their units say.
PASSED = (
    "HTTPS_PROXY",
    "HTTP_PROXY",
    "NO_PROXY",
    "https_proxy",
    "http_proxy",
    "no_proxy",
    "TZ",
    "MSFT_ARC_TEST",
    "ARC_IMDS_ADDRESS",
)
SYSTEMD = "/lib/systemd/systemd"


class StartError(RuntimeError):
    """The machine cannot start as it was told to; the message says why."""


def trust(environment: Mapping[str, str]) -> None:
    """Add the bed's authority to the system's store."""
    given = Path(environment.get("ARC_CA") or TRUSTED)
    if not given.is_file():
        if environment.get("ARC_CA"):
            raise StartError(f"ARC_CA: there is no file {given}")
        return
    certificate = given.read_text()
    if certificate in BUNDLE.read_text():
        return
    known = LINK.is_symlink()
    if given != TRUSTED:
        TRUSTED.write_text(certificate)
    if known:
        _run(given, "update-ca-certificates")
    else:
        _add(given, certificate)


def _add(given: Path, certificate: str) -> None:
    """As update-ca-certificates, but for one certificate: going through all others takes a second."""
    digest = _run(given, "openssl", "x509", "-noout", "-hash", "-in", str(TRUSTED))
    LINK.symlink_to(TRUSTED)
    LINK.with_name(f"{digest}.0").symlink_to(LINK.name)
    with BUNDLE.open("a") as bundle:
        bundle.write(certificate)


def _run(given: Path, *command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise StartError(f"{given} cannot be trusted: {done.stderr.strip()}")
    return done.stdout.strip()


def configure(environment: Mapping[str, str]) -> None:
    """Write ARC_CONFIG_... into localconfig.json; what is there and not named stays."""
    given: dict[str, Any] = {"host.root": str(SHADOW)} if environment.get("ARC_HARDWARE") else {}
    given |= {
        name.removeprefix("ARC_CONFIG_").replace("__", "."): _value(text)
        for name, text in environment.items()
        if name.startswith("ARC_CONFIG_")
    }
    if not given:
        return
    try:
        document: dict[str, Any] = json.loads(LOCAL_CONFIG.read_bytes())
    except FileNotFoundError:
        document = {}
    LOCAL_CONFIG.parent.mkdir(parents=True, exist_ok=True)
    LOCAL_CONFIG.write_text(json.dumps(document | given, indent=2) + "\n")
    LOCAL_CONFIG.chmod(0o644)


def _value(text: str) -> Any:
    """JSON where it is JSON (true, 5, ["22"]), else a string."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def dress(environment: Mapping[str, str]) -> None:
    """Show another distribution's release files."""
    name = environment.get("ARC_FLAVOUR", "")
    if not name:
        return
    flavour = FLAVOURS / name
    if not re.fullmatch(r"[\w.-]+", name) or not flavour.is_dir():
        known = ", ".join(sorted(path.name for path in FLAVOURS.iterdir()))
        raise StartError(f"ARC_FLAVOUR={name}: known are {known}")
    for source in flavour.iterdir():
        target = Path("/etc") / source.name
        target.unlink(missing_ok=True)
        shutil.copyfile(source, target)


def equip(environment: Mapping[str, str]) -> None:
    """Show hardware drawn from a seed."""
    if seed := environment.get("ARC_HARDWARE"):
        from arcbed_init.hardware import install

        install(seed, SHADOW)


def hand_over(environment: Mapping[str, str]) -> None:
    """Give services the variables of the container that they may need."""
    lines = [f'DefaultEnvironment="{name}={environment[name]}"' for name in PASSED if environment.get(name)]
    MANAGER.unlink(missing_ok=True)
    if lines:
        MANAGER.parent.mkdir(parents=True, exist_ok=True)
        MANAGER.write_text("\n".join(["[Manager]", *lines, ""]))
        MANAGER.chmod(0o644)


def onboard(environment: Mapping[str, str]) -> None:
    """Arrange that the machine connects itself."""
    ONBOARD_LINK.unlink(missing_ok=True)
    if not environment.get("ARC_ONBOARDING"):
        return
    names = {
        "resource-group": "ARC_RESOURCE_GROUP",
        "location": "ARC_LOCATION",
        "resource-name": "ARC_RESOURCE_NAME",
        "tags": "ARC_TAGS",
        "cloud": "ARC_CLOUD",
    }
    wanted = {flag: environment[name] for flag, name in names.items() if environment.get(name)}
    CONNECT.parent.mkdir(parents=True, exist_ok=True)
    CONNECT.write_text(json.dumps({"onboarding": environment["ARC_ONBOARDING"], "flags": wanted}))
    ONBOARD_LINK.parent.mkdir(parents=True, exist_ok=True)
    ONBOARD_LINK.symlink_to(ONBOARD_UNIT)


def mode(environment: Mapping[str, str]) -> str:
    """``systemd`` or ``supervisor``.

    Raises:
        StartError: systemd was asked for and cannot run, or the word is none.
    """
    wanted = environment.get("ARC_INIT") or "auto"
    if wanted not in {"auto", "systemd", "supervisor"}:
        raise StartError(f"ARC_INIT={wanted}: use auto, systemd or supervisor")
    if wanted == "supervisor":
        return wanted
    obstacle = _obstacle()
    if wanted == "systemd" and obstacle:
        raise StartError(f"ARC_INIT=systemd: {obstacle}; see docs/how-to/run-in-containers.md")
    return "supervisor" if obstacle else "systemd"


def _obstacle() -> str:
    """Why systemd cannot run here; empty if it can."""
    if os.getpid() != 1:
        return "this is not PID 1"
    if not Path(SYSTEMD).exists():
        return "systemd is not installed"
    tree = _own_group()
    if tree is None or not os.access(tree, os.W_OK):
        return f"the cgroup tree {tree or 'of systemd'} is not writable"
    return ""


def _own_group() -> Path | None:
    """This process's group in systemd's hierarchy, as it is mounted here."""
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers == "name=systemd":
            return _mounted("/sys/fs/cgroup/systemd", path)
    return _mounted("/sys/fs/cgroup", "/") if Path("/sys/fs/cgroup/cgroup.controllers").exists() else None


def _mounted(root: str, path: str) -> Path | None:
    folder = Path(root + path)
    return folder if folder.is_dir() else None


def main() -> None:
    """Prepare, then become PID 1. With arguments: prepare, then run them instead."""
    environment = dict(os.environ)
    try:
        for step in (trust, configure, dress, equip, hand_over, onboard):
            step(environment)
        if sys.argv[1:]:
            os.execvp(sys.argv[1], sys.argv[1:])  # noqa: S606 - the command that docker run was given
        chosen = mode(environment)
    except (StartError, OSError, ValueError) as error:
        sys.exit(f"arcbed machine: {error}")
    if chosen == "systemd":
        os.environ["container"] = "docker"  # noqa: SIM112 - systemd's own spelling
        os.execv(SYSTEMD, ["/sbin/init"])  # noqa: S606
    from arcbed_init.supervisor import main as supervise

    supervise()


if __name__ == "__main__":
    main()
