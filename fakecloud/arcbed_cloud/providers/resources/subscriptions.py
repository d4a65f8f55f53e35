"""Subscriptions, tenants and locations (Subscriptions_List, _Get, _ListLocations, Tenants_List)."""

from __future__ import annotations

from typing import Any

import orjson

from arcbed_cloud.arm import versions
from arcbed_cloud.arm.context import ProviderContext
from arcbed_cloud.arm.paging import page, page_of
from arcbed_cloud.arm.request import ArmRequest, ArmResponse
from arcbed_cloud.arm.table import On, ResourceType, Scope, Verb
from arcbed_cloud.providers.resources import regions, schemas
from arcbed_cloud.store.contract import Row, Unit

KIND = "microsoft.resources/subscriptions"
DISPLAY_NAME = "arcbed"


def key_of(subscription_id: str) -> str:
    """Where a subscription's row stands in the table ``resources``."""
    return f"/subscriptions/{subscription_id.lower()}"


def add(unit: Unit, *, subscription_id: str, tenant_id: str, display_name: str) -> None:
    """Write a subscription."""
    document = {
        "id": f"/subscriptions/{subscription_id}",
        "authorizationSource": "RoleBased",
        "managedByTenants": [],
        "subscriptionId": subscription_id,
        "tenantId": tenant_id,
        "displayName": display_name,
        "state": "Enabled",
        "subscriptionPolicies": {
            "locationPlacementId": "Public_2014-09-01",
            "quotaId": "PayAsYouGo_2014-09-01",
            "spendingLimit": "Off",
        },
    }
    unit.put("resources", key_of(subscription_id), document, kind=KIND)


class Subscriptions:
    """The handlers."""

    def __init__(self, context: ProviderContext) -> None:
        self._context = context

    async def list_all(self, request: ArmRequest) -> ArmResponse:
        """Subscriptions in which the caller holds any role."""
        access, caller = self._context.access, request.caller.object_id
        rows = [
            row
            for row in self._context.plane.store.rows("resources", kind=KIND)
            if access.sees(caller, row.key)
        ]
        return page(request, rows, self._render)

    async def get(self, request: ArmRequest) -> ArmResponse:
        """One subscription; the front door has seen that it exists."""
        row = self._context.plane.store.get("resources", key_of(request.target.subscription or ""))
        return ArmResponse(body=self._render(row) if row else b"")

    async def list_locations(self, request: ArmRequest) -> ArmResponse:
        """The regions, on a single page."""
        return ArmResponse(document={"value": regions.locations(request.target.subscription or "")})

    async def list_tenants(self, request: ArmRequest) -> ArmResponse:
        """The one tenant."""
        directory = self._context.directory
        tenant: dict[str, Any] = {
            "id": f"/tenants/{directory.tenant_id}",
            "tenantId": directory.tenant_id,
            "countryCode": "US",
            "displayName": DISPLAY_NAME,
            "domains": [directory.domain],
            "defaultDomain": directory.domain,
            "tenantType": "AAD",
            "tenantCategory": "Home",
        }
        return page_of(request, [tenant], orjson.dumps, key=lambda entry: entry["id"])

    @staticmethod
    def _render(row: Row) -> bytes:
        return row.body


def resource_types(context: ProviderContext) -> list[ResourceType]:
    """Rows of the table."""
    handlers = Subscriptions(context)

    def row(path: str, parameter: str, *verbs: Verb) -> ResourceType:
        return ResourceType(
            namespace="Microsoft.Resources",
            path=path,
            scope=Scope.TENANT,
            api_versions=versions.OWN,
            verbs=verbs,
            name_parameter=parameter,
            root=True,
            schemas=schemas.SUBSCRIPTIONS,
        )

    def get(operation_id: str, on: On, handler: Any, answer: str, permission: str | None = None) -> Verb:
        return Verb(
            operation_id=operation_id,
            method="GET",
            on=on,
            handler=handler,
            success=(200,),
            answer=answer,
            permission=permission,
        )

    return [
        row(
            "subscriptions",
            "subscriptionId",
            get("Subscriptions_List", On.TENANT_LIST, handlers.list_all, "SubscriptionListResult", ""),
            get("Subscriptions_Get", On.ITEM, handlers.get, "Subscription"),
        ),
        row(
            "subscriptions/locations",
            "location",
            get(
                "Subscriptions_ListLocations",
                On.SUBSCRIPTION_LIST,
                handlers.list_locations,
                "LocationListResult",
            ),
        ),
        row(
            "tenants",
            "tenantId",
            get("Tenants_List", On.TENANT_LIST, handlers.list_tenants, "TenantListResult", ""),
        ),
    ]
