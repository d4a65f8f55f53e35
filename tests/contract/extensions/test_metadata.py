"""What can be installed, as ARM lists it."""

from __future__ import annotations

import hashlib

import pytest

TENANT = "/providers/Microsoft.HybridCompute/locations/westeurope/publishers"


@pytest.fixture
def three(bed):
    for name, version in (("Probe", "1.9.0"), ("Probe", "1.10.0"), ("Gauge", "2.0.0")):
        bed.publish(version, name=f"Contoso.Tools.{name}")
    bed.publish("1.0.0", name="Fabrikam.Only", regions=("eastus",))
    return bed


async def names(bed, path):
    answer = await bed.arm("GET", path, version="2026-07-15")
    assert answer.status_code == 200, answer.text
    return [entry["name"] for entry in answer.json()["value"]]


async def test_publishers_types_and_versions_are_listed_in_the_tenant(three):
    assert await names(three, TENANT) == ["Contoso.Tools"]
    assert await names(three, f"{TENANT}/contoso.tools/extensionTypes") == ["Gauge", "Probe"]
    versions = f"{TENANT}/Contoso.Tools/extensionTypes/Probe/versions"
    assert await names(three, versions) == ["1.10.0", "1.9.0"]
    one = (await three.arm("GET", f"{versions}/1.9.0", version="2026-07-15")).json()["properties"]
    assert one["operatingSystem"] == "Linux"
    assert one["extensionUris"][0].startswith("https://arcbedextensions.blob.core.windows.net/packages/")
    package = await three.http.get(one["extensionUris"][0])
    entry = three.cloud.extensions.gallery.get("Contoso.Tools", "Probe", "1.9.0")
    assert hashlib.sha256(package.content).hexdigest() == entry.sha256


async def test_versions_are_listed_in_a_subscription_with_names_in_lower_case(three):
    root = f"/subscriptions/{three.cloud.estate.subscription_id}{TENANT}"
    path = f"{root}/Contoso.Tools/extensionTypes/Probe/versions"
    listed = (await three.arm("GET", path)).json()["value"]
    assert [entry["properties"]["version"] for entry in listed] == ["1.10.0", "1.9.0"]
    assert listed[0]["properties"]["publisher"] == "contoso.tools"
    assert listed[0]["id"] == f"{root}/contoso.tools/extensionTypes/probe/versions/1.10.0"
    assert "location" not in listed[0]
    one = await three.arm("GET", f"{path}/1.9.0", version="2023-06-20-preview")
    assert one.json()["location"] == "westeurope"


@pytest.mark.parametrize(
    "end", ["Nobody/extensionTypes", "Contoso.Tools/extensionTypes/Other/versions", "Fabrikam/extensionTypes"]
)
async def test_what_is_not_offered_there_is_not_found(three, end):
    answer = await three.arm("GET", f"{TENANT}/{end}", version="2026-07-15")
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "HCRP404")


async def test_tenant_routes_begin_with_the_second_generation(three):
    path = f"{TENANT}/Contoso.Tools/extensionTypes/Probe/versions"
    assert (await three.arm("GET", path, version="2024-07-10")).status_code == 405
    assert (
        await three.arm(
            "GET", "/providers/Microsoft.HybridCompute/locations/mars/publishers", version="2026-07-15"
        )
    ).status_code == 400
