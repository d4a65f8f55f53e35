"""Machines are shaped by the api-version that was asked for."""

from __future__ import annotations

import json

import pytest

from arcbed_cloud.providers.hybridcompute.rendering import render, shaped
from arcbed_cloud.providers.hybridcompute.versions import API_VERSIONS, PUBLISHED, SINCE, at_least, has
from arcbed_cloud.store import Row

FULL = {
    "id": "/subscriptions/s/resourceGroups/g/providers/Microsoft.HybridCompute/machines/m",
    "name": "m",
    "type": "Microsoft.HybridCompute/machines",
    "location": "westeurope",
    "tags": {},
    "kind": "VMware",
    "systemData": {"createdBy": "x"},
    "properties": {
        "provisioningState": "Succeeded",
        "status": "Connected",
        "vmId": "v",
        "statusReason": "Cloned",
        "locationData": {"name": "Redmond", "city": "r"},
        "agentConfiguration": {"proxyUrl": "", "extensionsEnabled": "true", "configMode": "full"},
        "osProfile": {
            "computerName": "m",
            "linuxConfiguration": {"patchSettings": {"patchMode": "Manual", "enableHotpatching": False}},
        },
        "networkProfile": {"networkInterfaces": [{"name": "eth0", "ipAddresses": [{"address": "10.0.0.1"}]}]},
        "extensions": [],
        "osEdition": "unknown",
        "hardwareProfile": {},
    },
}


def row(document=FULL):
    return Row("key", "microsoft.hybridcompute/machines", "scope", json.dumps(document).encode())


def no_children(_key):
    return []


def test_there_are_37_versions_and_the_newest_comes_first():
    assert len(set(API_VERSIONS)) == 37
    assert API_VERSIONS[0] == "2026-07-15"
    assert at_least("2022-12-27", "2022-12-27-preview")
    assert not at_least("2022-12-27-preview", "2022-12-27")


def test_newest_version_shows_everything():
    assert shaped(FULL, "2026-07-15") == FULL


def test_2022_03_10_knows_the_lists_of_extensions_but_not_the_mode():
    properties = shaped(FULL, "2022-03-10")["properties"]
    assert properties["agentConfiguration"] == {"proxyUrl": "", "extensionsEnabled": "true"}
    assert properties["extensions"] == []
    assert {"networkProfile", "osEdition", "statusReason", "hardwareProfile"}.isdisjoint(properties)
    assert properties["osProfile"]["linuxConfiguration"] == {"patchSettings": {"patchMode": "Manual"}}


def test_2024_07_10_has_networks_without_the_names_of_interfaces():
    properties = shaped(FULL, "2024-07-10")["properties"]
    assert properties["networkProfile"] == {"networkInterfaces": [{"ipAddresses": [{"address": "10.0.0.1"}]}]}
    assert "hardwareProfile" not in properties


def test_first_versions_call_the_place_physical_location():
    first = shaped(FULL, "2019-03-18-preview")
    assert first["properties"]["physicalLocation"] == "Redmond"
    assert set(first) == {"id", "name", "type", "location", "tags", "properties"}
    assert "extensions" not in first["properties"]


@pytest.mark.parametrize("version", ["2022-05-10-preview", "2022-08-11-preview"])
def test_extensions_had_gone_missing_from_two_previews(version):
    assert "extensions" not in shaped(FULL, version)["properties"]
    assert "extensions" in shaped(FULL, "2022-11-10")["properties"]


def test_awaiting_connection_is_no_status_for_versions_before_it():
    awaiting = {**FULL, "properties": {**FULL["properties"], "status": "AwaitingConnection"}}
    assert shaped(awaiting, "2026-07-15")["properties"]["status"] == "AwaitingConnection"
    assert "status" not in shaped(awaiting, "2026-06-16-preview")["properties"]
    expired = {**FULL, "properties": {**FULL["properties"], "status": "Expired"}}
    assert shaped(expired, "2019-03-18-preview")["properties"]["status"] == "Expired"


@pytest.mark.parametrize("version", PUBLISHED)
def test_every_version_leaves_out_exactly_what_came_later(version):
    """Each member of the table is put into a document of its own, so that none hides another."""
    for member in SINCE:
        head, *tail = member.split(".")
        value = {"x": 1}
        for name in reversed(tail):
            value = {name: value}
        document = {"properties": {"vmId": "v"}}
        if head == "properties":
            document["properties"] |= value
        else:
            document[head] = value
        found = shaped(document, version)
        for name in (head, *tail):
            found = found.get(name) if isinstance(found, dict) else None
        shown = all(has(version, ".".join((head, *tail)[: n + 1])) for n in range(len(tail) + 1))
        assert (found is not None) == shown, member


def test_bytes_are_made_once_for_each_version():
    stored = row()
    first = render(stored, "2024-07-10", no_children)
    assert render(stored, "2024-07-10", no_children) is first
    assert render(stored, "2022-03-10", no_children) != first
    assert stored.document == FULL, "the shared document is not touched"


def test_instance_view_shows_the_state_of_each_extension():
    child = {"name": "e", "properties": {"instanceView": {"name": "e", "status": {"code": "0"}}}}
    children = [Row("key/extensions/e", "k", "key", json.dumps(child).encode())]
    plain = json.loads(render(row(), "2024-07-10", lambda _key: children))
    assert plain["resources"] == [child]
    assert plain["properties"]["extensions"] == []
    expanded = json.loads(render(row(), "2024-07-10", lambda _key: children, instance_view=True))
    assert expanded["properties"]["extensions"] == [child["properties"]["instanceView"]]
