"""Taking beds away: every container, network and volume that carries their label, whoever made them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import docker
from docker.errors import APIError, NotFound

from arcbed.harness.containers.engine import ANY_LABEL, BED_LABEL, DIRECTORY_LABEL

#: What docker-compose says of the project that it made an object for.
COMPOSE_DIRECTORY = "com.docker.compose.project.working_dir"
COMPOSE_PROJECT = "com.docker.compose.project"
_GONE = (404, 409)


@dataclass
class Found:
    """A bed as the engine knows it: names of what belongs to it, and for which folder it was made."""

    bed: str
    containers: list[str] = field(default_factory=list)
    networks: list[str] = field(default_factory=list)
    volumes: list[str] = field(default_factory=list)
    directories: set[str] = field(default_factory=set)

    @property
    def count(self) -> int:
        """How many objects it has."""
        return len(self.containers) + len(self.networks) + len(self.volumes)


def beds(client: docker.DockerClient, directory: Path | None = None) -> list[Found]:
    """Every bed of the engine, or those that were made in `directory`; sorted by id."""
    found: dict[str, Found] = {}
    for kind, name, labels in _objects(client, f"{ANY_LABEL}=true"):
        bed = labels.get(BED_LABEL) or labels.get(COMPOSE_PROJECT)
        if not bed:
            continue
        one = found.setdefault(bed, Found(bed))
        getattr(one, kind).append(name)
        one.directories |= {labels[key] for key in (DIRECTORY_LABEL, COMPOSE_DIRECTORY) if labels.get(key)}
    chosen = [one for one in found.values() if directory is None or str(directory) in one.directories]
    return sorted(chosen, key=lambda one: one.bed)


def remove(client: docker.DockerClient, bed: str) -> int:
    """Take away everything of `bed`; how many objects that were.

    Containers first: networks and volumes cannot go before them. What somebody else takes away meanwhile is
    no error.
    """
    objects: dict[str, list[str]] = defaultdict(list)
    for label in (f"{BED_LABEL}={bed}", f"{COMPOSE_PROJECT}={bed}"):
        for kind, name, labels in _objects(client, label):
            if labels.get(ANY_LABEL) == "true" and name not in objects[kind]:
                objects[kind].append(name)
    for name in objects["containers"]:
        with _missing_is_fine():
            client.api.remove_container(name, v=True, force=True)
    for name in objects["networks"]:
        with _missing_is_fine():
            client.api.remove_network(name)
    for name in objects["volumes"]:
        with _missing_is_fine():
            client.api.remove_volume(name)
    return sum(map(len, objects.values()))


def _objects(client: docker.DockerClient, label: str) -> Iterator[tuple[str, str, dict[str, str]]]:
    """Kind, name and labels of every object that carries `label`."""
    wanted = {"label": label}
    for container in client.api.containers(all=True, filters=wanted):
        yield "containers", container["Names"][0].lstrip("/"), container["Labels"] or {}
    for network in client.api.networks(filters=wanted):
        yield "networks", network["Name"], network["Labels"] or {}
    for volume in client.api.volumes(filters=wanted)["Volumes"] or ():
        yield "volumes", volume["Name"], volume["Labels"] or {}


@contextmanager
def _missing_is_fine() -> Iterator[None]:
    try:
        yield
    except NotFound:
        pass
    except APIError as error:
        # 409: a removal is under way already, or an endpoint is just leaving; the next pass sees to it.
        if error.status_code not in _GONE and "active endpoints" not in str(error):
            raise
