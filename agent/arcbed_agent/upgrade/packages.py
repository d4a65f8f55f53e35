"""The package managers that the agent's packages are made for."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from arcbed_agent.errors import AgentError

#: Seconds of real time: another package manager may hold the lock for five minutes, then comes the download.
PATIENCE = 900
_VERSION = re.compile(r"\d+\.\d+(\.\d+){0,2}")
_LAST_LINES = 5

Run = Callable[[Sequence[str]], str]


def matches(wanted: str, version: str) -> bool:
    """Whether `version` is the `wanted` one: ``1.68`` is any ``1.68.x.y``."""
    return version == wanted or version.startswith(f"{wanted}.")


def checked(version: str) -> str:
    """`version` if it has the form of one: nothing else gets near a command line.

    Raises:
        AgentError: 23.
    """
    if not _VERSION.fullmatch(version):
        raise AgentError(23, f"'{version}' is not a version of the agent", "Write it as 1.68 or 1.68.0.0.")
    return version


class PackageManager(Protocol):
    """What upgrading takes."""

    def refresh(self) -> None:
        """Read what the agent's repository has.

        Raises:
            AgentError: 2, it cannot be reached or is not trusted.
        """

    def versions(self) -> list[str]:
        """Versions of the agent that can be had, in four numbers each."""

    def install(self, version: str) -> None:
        """Install one of `versions`; the agent's service is restarted by its package.

        Raises:
            AgentError: 2, it failed; the message is its own.
        """


@dataclass(frozen=True)
class Apt:
    """Debian and Ubuntu."""

    run: Run
    #: Only the repository that the install script added; the distribution's own are none of our business.
    list_file: str = "/etc/apt/sources.list.d/microsoft-prod.list"

    def refresh(self) -> None:
        """See `PackageManager`."""
        options = [f"Dir::Etc::sourcelist={self.list_file}", "Dir::Etc::sourceparts=-"]
        options += ["APT::Get::List-Cleanup=0", "APT::Update::Error-Mode=any", "DPkg::Lock::Timeout=300"]
        self.run(["apt-get", *(word for option in options for word in ("-o", option)), "-q", "update"])

    def versions(self) -> list[str]:
        """See `PackageManager`."""
        rows = (line.split("|") for line in self.run(["apt-cache", "madison", "azcmagent"]).splitlines())
        return [row[1].strip() for row in rows if len(row) > 1]

    def install(self, version: str) -> None:
        """See `PackageManager`."""
        self.run(
            [
                *("apt-get", "-o", "DPkg::Lock::Timeout=300", "-q", "-y", "--allow-downgrades"),
                *("install", f"azcmagent={version}"),
            ]
        )


@dataclass(frozen=True)
class Rpm:
    """dnf and yum."""

    run: Run
    program: str

    def refresh(self) -> None:
        """See `PackageManager`."""
        self.run([self.program, "-q", "-y", "makecache"])

    def versions(self) -> list[str]:
        """See `PackageManager`."""
        listing = self.run([self.program, "-q", "-y", "list", "--showduplicates", "azcmagent"])
        rows = (line.split() for line in listing.splitlines() if line.startswith("azcmagent"))
        return [row[1].replace("-", ".") for row in rows if len(row) > 1]

    def install(self, version: str) -> None:
        """See `PackageManager`."""
        number, _, release = version.rpartition(".")
        self.run([self.program, "-q", "-y", "install", f"azcmagent-{number}-{release}"])


def find_package_manager(run: Run | None = None) -> PackageManager | None:
    """The system's, or None where there is none that is known here.

    zypper is not: nobody has tried it.
    """
    does = run or _run
    if shutil.which("apt-get"):
        return Apt(does)
    program = next((name for name in ("dnf", "yum") if shutil.which(name)), None)
    return Rpm(does, program) if program else None


def _run(command: Sequence[str]) -> str:
    settings: Mapping[str, str] = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8"}
    try:
        done = subprocess.run(
            command, env=settings, capture_output=True, text=True, timeout=PATIENCE, check=False
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise AgentError(2, f"{command[0]} failed: {error}") from error
    if done.returncode:
        lines = (done.stderr or done.stdout).strip().splitlines()[-_LAST_LINES:]
        raise AgentError(2, f"{command[0]} failed with exit code {done.returncode}: {' '.join(lines)}")
    return done.stdout
