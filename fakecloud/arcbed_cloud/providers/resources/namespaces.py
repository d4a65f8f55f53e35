"""Resource providers: their documents, registration, and the list of their operations."""

from __future__ import annotations

from typing import Any

import orjson

from arcbed_cloud.arm import versions
from arcbed_cloud.arm.context import ProviderContext
from arcbed_cloud.arm.errors import ArmError
from arcbed_cloud.arm.paging import page_of
from arcbed_cloud.arm.registration import FREE
from arcbed_cloud.arm.request import ArmRequest, ArmResponse
from arcbed_cloud.arm.table import On, ResourceType, Scope, Verb
from arcbed_cloud.providers.resources import schemas
from arcbed_cloud.providers.resources.manifests import NAMESPACES
from arcbed_cloud.store.contract import Document

TENANT_VERSIONS = [version for version in versions.RESOURCES if version >= "2019-05-10"]
RESOURCE_TYPES_SINCE = "2020-08-01"


class Namespaces:
    """The handlers."""

    def __init__(self, context: ProviderContext) -> None:
        self._context = context

    async def list_all(self, request: ArmRequest) -> ArmResponse:
        """All providers; ``$select=namespace,registrationState`` trims them to those members."""
        wanted = {
            word.strip().lower() for word in request.query.get("$select", "").split(",") if word.strip()
        }
        subscription = request.target.subscription
        shown = [self._document(namespace, subscription) for namespace in self._names()]
        if wanted:
            shown = [
                {name: value for name, value in document.items() if name.lower() in wanted}
                | {"namespace": document["namespace"]}
                for document in shown
            ]
        return page_of(request, shown, orjson.dumps, key=lambda document: document["namespace"].lower())

    async def get(self, request: ArmRequest) -> ArmResponse:
        """One provider."""
        return ArmResponse(document=self._document(self._named(request), request.target.subscription))

    async def list_types(self, request: ArmRequest) -> ArmResponse:
        """The types of one provider."""
        document = self._document(self._named(request), request.target.subscription)
        return ArmResponse(document={"value": document["resourceTypes"]})

    async def register(self, request: ArmRequest) -> ArmResponse:
        """Answers ``Registering`` at once; later reads say how it went on."""
        return await self._change(request, register=True)

    async def unregister(self, request: ArmRequest) -> ArmResponse:
        """Answers ``Unregistering``; refused while the subscription still has resources of the provider."""
        namespace = self._named(request)
        prefix = f"{namespace.lower()}/"
        rows = self._context.plane.store.rows("resources")
        if any(row.kind.startswith(prefix) for row in rows) and namespace.lower() not in FREE:
            raise ArmError(
                409,
                "CannotUnregisterResourceProvider",
                f"Cannot unregister namespace '{namespace}' because the subscription still has resources of "
                "it.",
            )
        return await self._change(request, register=False)

    async def list_operations(self, request: ArmRequest) -> ArmResponse:
        """What roles can name: one entry for each action that the table knows in the namespace."""
        namespace = (request.target.namespace or "").lower()
        found: dict[str, Document] = {}
        for row in self._context.table.values():
            if row.namespace.lower() == namespace:
                for verb in row.verbs:
                    action = row.permission(verb) or row.derived(verb)
                    if "{" not in action:
                        found.setdefault(action.lower(), _operation(row, action))
        shown = [found[name] for name in sorted(found)]
        return page_of(request, shown, orjson.dumps, key=lambda entry: entry["name"].lower())

    async def _change(self, request: ArmRequest, *, register: bool) -> ArmResponse:
        namespace = self._named(request)
        subscription = request.target.subscription or ""
        async with self._context.plane.store.unit() as unit:
            state = self._context.registrations.change(unit, subscription, namespace, register=register)
        return ArmResponse(document={**self._document(namespace, subscription), "registrationState": state})

    def _names(self) -> list[str]:
        found = {row.namespace.lower(): row.namespace for row in self._context.table.values()}
        found.update({namespace.lower(): namespace for namespace in NAMESPACES})
        return [found[name] for name in sorted(found)]

    def _named(self, request: ArmRequest) -> str:
        wanted = (request.target.namespace or "").lower()
        for namespace in self._names():
            if namespace.lower() == wanted:
                return namespace
        raise ArmError(
            404,
            "InvalidResourceNamespace",
            f"The resource namespace '{request.target.namespace}' is invalid.",
        )

    def _document(self, namespace: str, subscription: str | None) -> Document:
        free = namespace.lower() in FREE
        document: Document = {
            "id": f"/providers/{namespace}"
            if subscription is None
            else f"/subscriptions/{subscription}/providers/{namespace}",
            "namespace": namespace,
        }
        if applications := NAMESPACES.get(namespace):
            document["authorizations"] = [{"applicationId": name} for name in applications]
        document["resourceTypes"] = [
            _type(row) for row in self._context.table.values() if row.namespace == namespace
        ]
        if subscription is not None:
            document["registrationState"] = self._context.registrations.state(subscription, namespace)
        document["registrationPolicy"] = "RegistrationFree" if free else "RegistrationRequired"
        return document


def _type(row: ResourceType) -> Document:
    stable = [version for version in row.api_versions if not version.endswith("preview")]
    return {
        "resourceType": row.path,
        "locations": list(row.locations),
        "apiVersions": list(row.api_versions),
        "defaultApiVersion": (stable or list(row.api_versions))[0],
        "capabilities": row.capabilities,
    }


def _operation(row: ResourceType, action: str) -> Document:
    what = action.rsplit("/", 2 if action.endswith("/action") else 1)[1]
    return {
        "name": action,
        "isDataAction": False,
        "display": {
            "provider": row.namespace,
            "resource": row.path,
            "operation": what,
            "description": f"{what} on {row.type}",
        },
    }


def operations_type(context: ProviderContext, namespace: str) -> ResourceType:
    """The row ``GET /providers/{namespace}/operations``."""
    rows = [row for row in context.table.values() if row.namespace == namespace]
    known = sorted({version for row in rows for version in row.api_versions}, reverse=True)
    verb = Verb(
        operation_id="Operations_List",
        method="GET",
        on=On.TENANT_LIST,
        handler=Namespaces(context).list_operations,
        success=(200,),
        answer="OperationListResult",
        permission="",
    )
    return ResourceType(
        namespace=namespace,
        path="operations",
        scope=Scope.TENANT,
        api_versions=known,
        verbs=(verb,),
        name_parameter="operationName",
        schemas=schemas.OPERATIONS,
    )


def resource_types(context: ProviderContext) -> list[ResourceType]:
    """Rows of the table."""
    handlers = Namespaces(context)

    def verb(operation_id: str, method: str, on: On, handler: Any, answer: str, **more: Any) -> Verb:
        return Verb(
            operation_id=operation_id,
            method=method,
            on=on,
            handler=handler,
            success=(200,),
            answer=answer,
            **more,
        )

    def row(path: str, api_versions: list[str], *verbs: Verb) -> ResourceType:
        return ResourceType(
            namespace="Microsoft.Resources",
            path=path,
            scope=Scope.SUBSCRIPTION if "subscriptions" in path else Scope.TENANT,
            api_versions=api_versions,
            verbs=verbs,
            name_parameter="resourceProviderNamespace",
            root=True,
            schemas=schemas.PROVIDERS,
        )

    many: dict[str, Any] = {"parameters": ("$top", "$select")}
    registering: dict[str, Any] = {"permission": "{resourceProviderNamespace}/register/action"}
    unregistering: dict[str, Any] = {"permission": "{resourceProviderNamespace}/unregister/action"}
    types: dict[str, Any] = {
        "action": "resourceTypes",
        "permission": "Microsoft.Resources/subscriptions/providers/read",
        "since": RESOURCE_TYPES_SINCE,
    }
    return [
        row(
            "subscriptions/providers",
            versions.RESOURCES,
            verb(
                "Providers_List",
                "GET",
                On.SUBSCRIPTION_LIST,
                handlers.list_all,
                "ProviderListResult",
                **many,
            ),
            verb("Providers_Get", "GET", On.ITEM, handlers.get, "Provider"),
            verb(
                "Providers_Register",
                "POST",
                On.ACTION,
                handlers.register,
                "Provider",
                action="register",
                **registering,
            ),
            verb(
                "Providers_Unregister",
                "POST",
                On.ACTION,
                handlers.unregister,
                "Provider",
                action="unregister",
                **unregistering,
            ),
            verb(
                "ProviderResourceTypes_List",
                "GET",
                On.ACTION,
                handlers.list_types,
                "ProviderResourceTypeListResult",
                **types,
            ),
        ),
        row(
            "providers",
            TENANT_VERSIONS,
            verb(
                "Providers_ListAtTenantScope",
                "GET",
                On.TENANT_LIST,
                handlers.list_all,
                "ProviderListResult",
                permission="",
                **many,
            ),
            verb("Providers_GetAtTenantScope", "GET", On.ITEM, handlers.get, "Provider", permission=""),
        ),
    ]
