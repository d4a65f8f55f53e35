"""A place for beds that starts nothing: what the harness asks of it is noted instead."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import certifi
import pytest

from arcbed.harness import Bed, CloudOptions, Completed, NotReadyError, ProcessDiedError
from arcbed.harness.admin import Admin
from arcbed.harness.errors import NotCoveredError
from arcbed.harness.process_backend import endpoints
from arcbed.harness.recorder import Recorder, StoryRun
from arcbed_agent.host.layout import Layout

ENV: dict[str, Any] = {
    "armEndpoint": "https://localhost:9",
    "authority": "https://localhost:9",
    "tenantId": "11111111-1111-4111-8111-111111111111",
    "subscriptionId": "22222222-2222-4222-8222-222222222222",
    "caFile": certifi.where(),
    "owner": {"clientId": "o", "clientSecret": "o-secret", "objectId": "oo"},
    "onboarding": {"clientId": "b", "clientSecret": "b-secret", "objectId": "bb"},
}


class PaperHost:
    """A control plane or a machine on paper."""

    def __init__(self, name: str, folder: Path, notes: list[str]) -> None:
        self.name = name
        self.root = self.state = folder
        self.env: Mapping[str, Any] = ENV
        self.notes = notes
        self.dead = False
        self.exit_code = 0
        self.endpoint = "http://localhost:9"
        self.admin = Admin(folder)

    @property
    def network(self) -> object:
        raise NotCoveredError("paper has no network")

    def path(self, key: str) -> Path:
        return Layout(self.root)[key]

    def files(self) -> Mapping[str, str]:
        return {"/etc/paper": "0644"}

    def note(self, what: str) -> None:
        self.notes.append(f"{self.name} {what}")

    async def start(self) -> None:
        self.note("start")

    async def stop(self) -> None:
        self.note("stop")

    async def kill(self) -> None:
        self.note("kill")

    async def boot(self) -> None:
        self.note("boot")

    async def start_agent(self) -> None:
        self.note("start_agent")

    async def stop_agent(self) -> None:
        self.note("stop_agent")

    async def kill_agent(self) -> None:
        self.note("kill_agent")

    async def run(
        self,
        program: str,
        arguments: Sequence[str],
        *,
        limit: float,
        shown: Sequence[str] | None = None,
        terminal: bool = False,
        env: Mapping[str, str] | None = None,
    ) -> Completed:
        self.note(f"run {arguments[0]}")
        return Completed((program, *(shown or arguments)), self.exit_code, "said\n", "", 0.01)

    async def remove(self) -> None:
        self.note("remove")

    def check(self) -> None:
        if self.dead:
            raise ProcessDiedError(f"{self.name} ended with exit code 3")

    def logs(self) -> Mapping[str, str]:
        return {f"{self.name}.log": f"log of {self.name}"}


class PaperBackend:
    """Makes hosts on paper; `ready=False` is a control plane that does not come up."""

    def __init__(self, folder: Path, *, ready: bool = True) -> None:
        self.folder = folder
        self.ready = ready
        self.notes: list[str] = []
        self.configs: dict[str, Mapping[str, Any]] = {}

    async def cloud(self, options: CloudOptions) -> PaperHost:
        if not self.ready:
            raise NotReadyError("fakecloud was not ready within 30 s")
        self.notes.append(f"cloud up, seed {options.seed}")
        return PaperHost("cloud", self.folder, self.notes)

    def settings(self, env: Mapping[str, Any]) -> Mapping[str, Any]:
        return endpoints(env) | {"himds.port": 0}

    async def close(self, *, keep: bool) -> None:
        pass

    async def machine(
        self,
        name: str,
        config: Mapping[str, Any],
        environment: Mapping[str, str],
        *,
        bare: bool = False,
        cuttable: bool = False,
        by_name: bool = False,
    ) -> PaperHost:
        self.configs[name] = config
        root = self.folder / name
        root.mkdir()
        return PaperHost(name, root, self.notes)


@pytest.fixture
def backend(tmp_path: Path) -> PaperBackend:
    return PaperBackend(tmp_path)


@pytest.fixture
def recorder() -> Recorder:
    return Recorder(StoryRun("paper", "On paper", "", "2022-03-03T00:00:00Z"))


@pytest.fixture
async def bed(backend: PaperBackend, recorder: Recorder, tmp_path: Path):
    async with Bed(recorder=recorder, backend=backend, folder=tmp_path) as made:
        yield made
