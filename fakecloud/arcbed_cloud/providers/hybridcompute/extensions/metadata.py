"""What can be installed: publishers, types and versions, as both generations of ARM's API list them.

The first (2022-08-11-preview on) is asked in a subscription and echoes publisher and type in lower case, as
recorded; the second (2025-01-13 on) is asked in the tenant and says more of each version.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson

from arcbed_cloud.arm.context import ProviderContext
from arcbed_cloud.arm.errors import ArmError
from arcbed_cloud.arm.paging import page_of
from arcbed_cloud.arm.request import ArmRequest, ArmResponse
from arcbed_cloud.arm.table import On, ResourceType, Scope, Verb
from arcbed_cloud.arm.validation import normalised
from arcbed_cloud.providers.hybridcompute.extensions.schemas import METADATA
from arcbed_cloud.providers.hybridcompute.manifest import NAMESPACE, REGIONS
from arcbed_cloud.providers.hybridcompute.versions import API_VERSIONS
from arcbed_cloud.services.extensions import Gallery, Published
from arcbed_cloud.store.contract import Document

FIRST, SECOND = "2022-08-11-preview", "2025-01-13"
STABLE = ("2026-07-15", "2025-01-13")
# Swagger and recordings: members that the first generation answered in the versions between.
LOCATION_SINCE, LOCATION_UNTIL = "2022-12-27", "2024-05-20-preview"
_PLACES = frozenset(normalised(place) for place in REGIONS)
_PATH = "locations/publishers/extensionTypes/versions"


class MetadataHandlers:
    """One coroutine for each verb."""

    def __init__(self, context: ProviderContext, gallery: Gallery) -> None:
        self._wall = context.plane.clock.wall
        self._gallery = gallery

    async def get(self, request: ArmRequest) -> ArmResponse:
        """ExtensionMetadata_Get."""
        return ArmResponse(200, _value(self._one(request), request))

    async def list_versions(self, request: ArmRequest) -> ArmResponse:
        """ExtensionMetadata_List: one page, newest first."""
        return ArmResponse(200, {"value": [_value(entry, request) for entry in self._versions(request)]})

    async def get_v2(self, request: ArmRequest) -> ArmResponse:
        """ExtensionMetadataV2_Get."""
        return ArmResponse(200, self._value_v2(self._one(request), request))

    async def list_versions_v2(self, request: ArmRequest) -> ArmResponse:
        """ExtensionMetadataV2_List."""
        return ArmResponse(
            200, {"value": [self._value_v2(entry, request) for entry in self._versions(request)]}
        )

    async def list_types(self, request: ArmRequest) -> ArmResponse:
        """ExtensionType_List."""
        publisher = request.parameters["publisher"].lower()
        found = [entry for entry in self._here(request) if entry.publisher.lower() == publisher]
        if not found:
            raise _not_found(request)
        return _named(request, {entry.type for entry in found})

    async def list_publishers(self, request: ArmRequest) -> ArmResponse:
        """ExtensionPublisher_List."""
        return _named(request, {entry.publisher for entry in self._here(request)})

    def _here(self, request: ArmRequest) -> Sequence[Published]:
        place = normalised(request.parameters["location"])
        if place not in _PLACES:
            raise ArmError(
                400,
                "LocationNotAvailableForResourceType",
                f"The provided location '{place}' is not available for resource type "
                f"'{NAMESPACE}/locations/publishers'.",
            )
        return [entry for entry in self._gallery.all() if entry.is_in(place)]

    def _versions(self, request: ArmRequest) -> list[Published]:
        publisher, kind = request.parameters["publisher"], request.parameters["extensionType"]
        found = [entry for entry in self._here(request) if entry.is_of(publisher, kind)]
        if not found:
            raise _not_found(request)
        return found[::-1]

    def _one(self, request: ArmRequest) -> Published:
        wanted = request.parameters["version"]
        for entry in self._versions(request):
            if entry.version == wanted:
                return entry
        raise _not_found(request)

    def _value_v2(self, entry: Published, request: ArmRequest) -> Document:
        place = normalised(request.parameters["location"])
        now = self._wall()
        return {
            "id": _id(
                f"/providers/{NAMESPACE}/locations/{place}", entry.publisher, entry.type, entry.version
            ),
            "name": entry.version,
            "type": f"{NAMESPACE}/{_PATH}",
            "properties": {
                "version": entry.version,
                "extensionType": entry.type,
                "publisher": entry.publisher,
                "extensionUris": [self._gallery.address(entry.file, now)],
                "extensionSignatureUri": self._gallery.address(entry.catalog, now),
                "operatingSystem": "Linux",
                "architecture": list(entry.architectures) or ["x64", "arm64"],
            },
        }


def _value(entry: Published, request: ArmRequest) -> Document:
    place = normalised(request.parameters["location"])
    publisher, kind = entry.publisher.lower(), entry.type.lower()
    root = f"/subscriptions/{request.target.subscription}/providers/{NAMESPACE}/locations/{place}"
    value: Document = {
        "id": _id(root, publisher, kind, entry.version),
        "properties": {"version": entry.version, "extensionType": kind, "publisher": publisher},
    }
    if LOCATION_SINCE <= request.api_version <= LOCATION_UNTIL:
        value["location"] = place
    return value


def _id(root: str, publisher: str, kind: str, version: str) -> str:
    return f"{root}/publishers/{publisher}/extensionTypes/{kind}/versions/{version}"


def _named(request: ArmRequest, names: set[str]) -> ArmResponse:
    root = request.target.text
    shown = [{"id": f"{root}/{name}", "name": name} for name in sorted(names, key=str.lower)]
    return page_of(request, shown, orjson.dumps, key=lambda entry: entry["name"].lower())


def _not_found(request: ArmRequest) -> ArmError:
    names = "/".join(request.target.names[1:])
    return ArmError(
        404, "HCRP404", f"ExtensionNotFound: '{names}' was not found in this location.", cause="service"
    )


def metadata_types(on: MetadataHandlers) -> list[ResourceType]:
    """The rows of publishers, types and versions."""

    def verb(name: str, place: On, handler: Any, answer: str, **more: Any) -> Verb:
        return Verb(
            operation_id=name, method="GET", on=place, handler=handler, success=(200,), answer=answer, **more
        )

    def tenant(path: str, parameter: str, handler: Any, name: str) -> ResourceType:
        many = verb(f"{name}_List", On.TENANT_LIST, handler, f"{name}ListResult", permission="")
        return ResourceType(
            namespace=NAMESPACE,
            path=path,
            scope=Scope.TENANT,
            api_versions=STABLE,
            locations=REGIONS,
            verbs=(many,),
            name_parameter=parameter,
            schemas=METADATA,
        )

    second = {"since": SECOND, "permission": ""}
    value, value_v2 = "ExtensionValue", "ExtensionValueV2"
    return [
        tenant("locations/publishers", "publisher", on.list_publishers, "ExtensionPublisher"),
        tenant("locations/publishers/extensionTypes", "extensionType", on.list_types, "ExtensionType"),
        ResourceType(
            namespace=NAMESPACE,
            path=_PATH,
            scope=Scope.SUBSCRIPTION_AND_TENANT,
            api_versions=tuple(version for version in API_VERSIONS if version >= FIRST),
            locations=REGIONS,
            verbs=(
                verb("ExtensionMetadata_Get", On.ITEM, on.get, value),
                verb("ExtensionMetadata_List", On.SUBSCRIPTION_LIST, on.list_versions, f"{value}ListResult"),
                verb("ExtensionMetadataV2_Get", On.TENANT_ITEM, on.get_v2, value_v2, **second),
                verb(
                    "ExtensionMetadataV2_List",
                    On.TENANT_LIST,
                    on.list_versions_v2,
                    f"{value_v2}ListResult",
                    **second,
                ),
            ),
            name_parameter="version",
        ),
    ]
