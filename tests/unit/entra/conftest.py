"""A directory of one tenant in memory, with one application, one person and one machine."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from arcbed_cloud.clock import Keeper
from arcbed_cloud.ids import Ids
from arcbed_cloud.plane import Plane
from arcbed_cloud.services.entra import Directory, Principal, Tokens
from arcbed_cloud.services.entra.signin import SignIn
from arcbed_cloud.settings import Settings
from arcbed_cloud.store import SqliteStore
from arcbed_cloud.trust import CertificateAuthority

TENANT = "11111111-2222-4333-8444-555555555555"
MACHINE_ID = "/subscriptions/s1/resourceGroups/rg1/providers/Microsoft.HybridCompute/machines/web-01"


class SteeredKeeper(Keeper):
    """A keeper whose real time a test moves by hand; its bed time stands still until advanced."""

    def __init__(self) -> None:
        super().__init__("stepped")
        self.shift = 0.0

    def wall(self) -> float:
        return super().wall() + self.shift


@dataclass
class Tenant:
    """Everything a test of the authority needs."""

    plane: Plane
    clock: SteeredKeeper
    directory: Directory
    tokens: Tokens
    signin: SignIn
    app: Principal
    secret: str
    person: Principal
    machine: Principal

    def with_settings(self, **changes: object) -> Tenant:
        plane = replace(self.plane, settings=replace(self.plane.settings, **changes))
        directory = Directory(plane)
        tokens = Tokens(plane, directory)
        return replace(
            self, plane=plane, directory=directory, tokens=tokens, signin=SignIn(plane, directory, tokens)
        )


@pytest.fixture
async def tenant(tmp_path: Path):
    clock = SteeredKeeper()
    store = SqliteStore(None)
    plane = Plane(Settings(state=tmp_path), clock, store, Ids("test"), CertificateAuthority(tmp_path))
    directory = Directory(plane)
    tokens = Tokens(plane, directory)
    async with store.unit() as unit:
        directory.found(unit, tenant_id=TENANT, subscription_id="s1", domain="arcbed.onmicrosoft.com")
    async with store.unit() as unit:
        app = directory.add_principal(unit, kind="ServicePrincipal", name="app")
        secret, _ = directory.add_secret(unit, app.object_id, expires=clock.wall() + 86_400)
        person = directory.add_principal(
            unit, kind="User", name="Ada", user_principal_name="ada@arcbed.onmicrosoft.com"
        )
        machine = directory.add_machine(unit, name="web-01", resource_id=MACHINE_ID)
    yield Tenant(
        plane, clock, directory, tokens, SignIn(plane, directory, tokens), app, secret, person, machine
    )
    store.close()
