"""The places where beds can run, by the name that people give to ``--backend``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from arcbed.harness.contract import Backend
from arcbed.harness.errors import BedError
from arcbed.harness.process_backend import LACKS, ProcessBackend


@dataclass(frozen=True)
class Place:
    """A kind of back end.

    Args:
        name: of ``--backend``.
        make: a back end that may use a folder, which is there and empty.
        lacks: what a story may need and does not find here, with the reason.
    """

    name: str
    make: Callable[[Path], Backend]
    lacks: Mapping[str, str] = field(default_factory=dict)


PROCESS = Place("process", ProcessBackend, LACKS)


def _docker(folder: Path, *, systemd: bool = False) -> Backend:
    try:
        from arcbed.harness.containers.backend import DockerBackend
    except ImportError as error:
        raise BedError(
            "the back end docker needs the Docker SDK: pip install 'arcbed[containers]'"
        ) from error
    return DockerBackend(folder, systemd=systemd)


DOCKER = Place("docker", _docker)
#: Machines whose PID 1 is systemd, where docker has a supervisor that stands in for it.
DOCKER_SYSTEMD = Place("docker-systemd", partial(_docker, systemd=True))
PLACES: Mapping[str, Place] = {place.name: place for place in (PROCESS, DOCKER, DOCKER_SYSTEMD)}


def named(name: str) -> Place:
    """The place called `name`.

    Raises:
        BedError: there is none.
    """
    if name not in PLACES:
        raise BedError(f"no back end called {name}; there are: {', '.join(PLACES)}")
    return PLACES[name]
