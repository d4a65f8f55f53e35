"""ARM's front door in process, with real tokens, and a provider that exists for tests only."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from arcbed_cloud.arm import validation
from arcbed_cloud.arm.context import ProviderContext
from arcbed_cloud.arm.errors import resource_not_found
from arcbed_cloud.arm.front import ArmFront
from arcbed_cloud.arm.paging import page
from arcbed_cloud.arm.request import ArmRequest, ArmResponse
from arcbed_cloud.arm.table import On, ResourceType, Scope, Verb
from arcbed_cloud.clock import Keeper
from arcbed_cloud.ids import Ids
from arcbed_cloud.plane import Plane
from arcbed_cloud.providers.authorization import grant
from arcbed_cloud.providers.resources import subscriptions
from arcbed_cloud.services.entra import Directory, Tokens
from arcbed_cloud.services.entra.keys import SigningKeys
from arcbed_cloud.settings import Settings
from arcbed_cloud.store import SqliteStore
from arcbed_cloud.store.contract import Row, Unit
from arcbed_cloud.trust import CertificateAuthority

START = datetime(2026, 3, 1, tzinfo=UTC)
TENANT = "11111111-1111-4111-8111-111111111111"
SUBSCRIPTION = "22222222-2222-4222-8222-222222222222"
OWNER = "33333333-3333-4333-8333-333333333333"
OTHER = "44444444-4444-4444-8444-444444444444"
BASE = "https://localhost:8443"
AUDIENCE = "https://management.azure.com/"


class Widgets:
    """A provider of one tracked type with children: enough to exercise what ARM does for any provider."""

    def __init__(self, context: ProviderContext) -> None:
        self.context = context
        self.store = context.plane.store
        self.deleted: list[str] = []
        self.types: list[ResourceType] = []
        context.operations.perform("widgets.delete", self._delete_work)

    async def put(self, request: ArmRequest) -> ArmResponse:
        body = request.json()
        row = self.context.table[request.target.type.lower()]
        if row.tracked:
            validation.resource_name(request.target.name, row)
        async with self.store.unit() as unit:
            before = self.store.get("resources", request.target.key)
            document: dict[str, Any] = {
                "id": str(request.target),
                "name": request.target.name,
                "type": row.type,
                "location": validation.location(body.get("location"), row),
                "tags": validation.tags(body.get("tags")),
                "properties": {"provisioningState": "Succeeded"},
                "systemData": {"createdAt": "2026-03-01T00:00:00Z"},
            }
            scope = request.target.scope.lower()
            unit.put("resources", request.target.key, document, kind=row.type.lower(), scope=scope)
        return ArmResponse(200 if before else 201, document)

    async def get(self, request: ArmRequest) -> ArmResponse:
        row = self.store.get("resources", request.target.key)
        if row is None:
            raise resource_not_found(request.target)
        return ArmResponse(body=row.body)

    async def list_group(self, request: ArmRequest) -> ArmResponse:
        rows = self.store.rows("resources", kind="microsoft.test/widgets", scope=request.target.scope.lower())
        return page(request, rows, lambda row: row.body, size=3)

    async def delete(self, request: ArmRequest) -> ArmResponse:
        async with self.store.unit() as unit:
            operation = self.context.operations.begin(
                unit,
                request,
                namespace="Microsoft.Test",
                location="westeurope",
                work="widgets.delete",
                after=30,
                arguments={"key": request.target.key},
            )
        return ArmResponse(202, headers=operation.headers(request))

    async def _delete_work(self, operation: dict[str, Any]) -> None:
        async with self.store.unit() as unit:
            unit.delete("resources", operation["work"]["arguments"]["key"])
            self.context.operations.succeed(unit, operation["name"])

    async def explode(self, _request: ArmRequest) -> ArmResponse:
        raise RuntimeError("a secret detail")

    async def poke(self, request: ArmRequest) -> ArmResponse:
        return ArmResponse(document=dict(request.parameters))

    def on_delete(self, _unit: Unit, row: Row) -> None:
        self.deleted.append(row.document["name"])


def widget_types(widgets: Widgets) -> list[ResourceType]:
    versions = ["2026-02-01", "2025-01-01-preview", "2024-01-01"]

    def verb(name: str, method: str, handler: Any, on: On = On.ITEM, **more: Any) -> Verb:
        more = {"success": (200,), **more}
        return Verb(operation_id=name, method=method, on=on, handler=handler, **more)

    def row(path: str, parameter: str, *verbs: Verb, **more: Any) -> ResourceType:
        more = {"scope": Scope.GROUP, "locations": ("West Europe", "North Europe"), **more}
        return ResourceType(
            namespace="Microsoft.Test",
            path=path,
            api_versions=versions,
            name_parameter=parameter,
            verbs=verbs,
            **more,
        )

    return [
        row(
            "widgets",
            "widgetName",
            verb("Widgets_Create", "PUT", widgets.put, success=(200, 201)),
            verb("Widgets_Get", "GET", widgets.get),
            verb("Widgets_List", "GET", widgets.list_group, On.GROUP_LIST),
            verb("Widgets_Delete", "DELETE", widgets.delete, success=(202,), until="2025-12-31"),
            verb("Widgets_Delete2", "DELETE", widgets.explode, since="2026-01-01"),
            verb("Widgets_Poke", "POST", widgets.poke, On.ACTION, action="poke"),
            verb("Widgets_Check", "POST", widgets.poke, On.SUBSCRIPTION_ACTION, action="checkWidget"),
            tracked=True,
            name_pattern=r"[a-zA-Z0-9-_\.]{1,54}",
            on_delete=widgets.on_delete,
        ),
        row(
            "widgets/parts",
            "partName",
            verb("Parts_Create", "PUT", widgets.put),
            verb("Parts_Get", "GET", widgets.get),
            on_delete=widgets.on_delete,
        ),
        row("gauges", "gaugeName", verb("Gauges_Get", "GET", widgets.poke), scope=Scope.ANY),
        *widgets.context.operations.resource_types("Microsoft.Test", versions),
    ]


@dataclass
class Arm:
    """The front door and ways to call it as somebody."""

    plane: Plane
    directory: Directory
    tokens: Tokens
    front: ArmFront
    widgets: Widgets
    client: httpx.AsyncClient

    def token(self, object_id: str = OWNER, audience: str = AUDIENCE) -> str:
        principal = self.directory.principal(object_id)
        assert principal is not None
        return self.tokens.issue_application(principal, audience, acr="1")[0]

    async def call(
        self,
        method: str,
        path: str,
        *,
        version: str | None = "2022-09-01",
        who: str = OWNER,
        json: Any = None,
        headers: dict[str, str] | None = None,
        **more: Any,
    ) -> httpx.Response:
        """Call `path`, which may carry a query or be a whole URL."""
        if version is not None and "api-version=" not in path:
            path += f"{'&' if '?' in path else '?'}api-version={version}"
        sent = {"Authorization": f"Bearer {self.token(who)}", **(headers or {})}
        return await self.client.request(method, path, json=json, headers=sent, **more)

    async def group(self, name: str = "rg1", **more: Any) -> str:
        """Make a resource group; returns its id."""
        path = f"/subscriptions/{SUBSCRIPTION}/resourcegroups/{name}"
        answer = await self.call("PUT", path, json={"location": "westeurope"}, **more)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])

    async def widget(self, name: str = "w1", group: str = "rg1", **body: Any) -> httpx.Response:
        """Make a widget."""
        return await self.call(
            "PUT",
            widget_path(name, group),
            version="2026-02-01",
            json={"location": "West Europe", **body},
        )

    async def register(self) -> None:
        path = f"/subscriptions/{SUBSCRIPTION}/providers/Microsoft.Test/register"
        assert (await self.call("POST", path)).status_code == 200

    async def grant(self, role: str, scope: str, who: str = OTHER) -> str:
        """Assign a built-in role; returns the assignment's key."""
        async with self.plane.store.unit() as unit:
            return str(grant(unit, self.plane, scope=scope, role=role, principal_id=who)["id"])


def widget_path(name: str = "w1", group: str = "rg1") -> str:
    root = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{group}"
    return f"{root}/providers/Microsoft.Test/widgets/{name}"


def error(answer: httpx.Response) -> tuple[int, str, str]:
    """Status, code and message of an error answer."""
    body = answer.json()["error"]
    return answer.status_code, body["code"], body["message"]


def make_plane(folder: Path, *, path: Path | None = None, boot: int = 1, **settings: Any) -> Plane:
    store = SqliteStore(path)
    clock = Keeper("stepped", start=START)
    return Plane(
        settings=Settings(state=folder, **settings),
        clock=clock,
        store=store,
        ids=Ids("tests", boot),
        authority=CertificateAuthority(folder / "ca"),
    )


async def open_arm(plane: Plane) -> Arm:
    """Compose a front door on a plane; seeds it if it is empty."""
    directory = Directory(plane, tenant_id=TENANT)
    if directory.principal(OWNER) is None:
        async with plane.store.unit() as unit:
            directory.found(unit, tenant_id=TENANT, subscription_id=SUBSCRIPTION, domain="x.onmicrosoft.com")
            subscriptions.add(unit, subscription_id=SUBSCRIPTION, tenant_id=TENANT, display_name="tests")
            directory.add_principal(
                unit, kind="ServicePrincipal", name="owner", object_id=OWNER, app_id=OWNER
            )
            directory.add_principal(
                unit, kind="ServicePrincipal", name="other", object_id=OTHER, app_id=OTHER
            )
            grant(unit, plane, scope=f"/subscriptions/{SUBSCRIPTION}", role="Owner", principal_id=OWNER)
    tokens = Tokens(plane, directory)
    front = ArmFront(plane, tokens, directory)
    widgets = Widgets(front.context)
    front.register(widget_types(widgets))
    front.startup()
    transport = httpx.ASGITransport(app=front, raise_app_exceptions=False)
    client = httpx.AsyncClient(transport=transport, base_url=BASE)
    return Arm(plane, directory, tokens, front, widgets, client)


async def close_arm(arm: Arm) -> None:
    await arm.front.shutdown()
    await arm.client.aclose()
    arm.plane.store.close()


@pytest.fixture(scope="session")
def signing_keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A key file made once: an RSA key costs more than the rest of a test."""
    folder = tmp_path_factory.mktemp("keys")
    assert SigningKeys(folder, Keeper()).current.kid
    return folder / "token-keys.pem"


@pytest.fixture
async def arm(tmp_path: Path, signing_keys: Path) -> AsyncIterator[Arm]:
    """A fresh control plane with an owner, somebody without roles, and a stopped clock."""
    shutil.copy(signing_keys, tmp_path)
    opened = await open_arm(make_plane(tmp_path))
    yield opened
    await close_arm(opened)
