"""What ARM refuses before a machine hears of it."""

from __future__ import annotations

import pytest

LOCATION = {"location": "westeurope"}


@pytest.mark.parametrize(
    ("properties", "code", "words"),
    [
        ({"type": "Other"}, "HCRP400", "ExtensionNotFound"),
        ({"publisher": "Nobody"}, "HCRP400", "ExtensionNotFound"),
        ({"typeHandlerVersion": "9.9"}, "HCRP400", "ExtensionNotFound"),
        ({"typeHandlerVersion": "newest"}, "HCRP400", "TypeHandlerVersion"),
        ({"publisher": None}, "HCRP400", "Publisher"),
        ({"settings": "text"}, "InvalidRequestContent", "properties.settings"),
        ({"protectedSettings": [1]}, "InvalidRequestContent", "properties.protectedSettings"),
        ({"autoUpgradeMinorVersion": "yes"}, "InvalidRequestContent", "properties.autoUpgradeMinorVersion"),
        ({"Settings": {}, "settings": {}}, "InvalidRequestContent", "twice"),
    ],
)
async def test_put_that_cannot_be_met_is_refused_and_nothing_is_stored(bed, properties, code, words):
    bed.publish("1.0.0")
    answer = await bed.put(**properties)
    assert answer.status_code == 400, answer.text
    assert answer.json()["error"]["code"] == code
    assert words in answer.json()["error"]["message"]
    assert (await bed.arm("GET", bed.extension())).status_code == 404
    assert await bed.pull() == []


async def test_second_extension_of_a_publisher_and_type_is_refused(bed):
    bed.publish()
    await bed.install()
    answer = await bed.put("another", publisher="contoso.tools", type="probe")
    assert answer.status_code == 409
    assert answer.json()["error"]["code"] == "HCRP409"
    assert "'probe'" in answer.json()["error"]["message"]


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
async def test_write_while_an_operation_is_open_is_refused_with_azures_words(bed, method):
    bed.publish()
    await bed.put()
    body = {**LOCATION, "properties": {"publisher": "Contoso.Tools", "type": "Probe", "settings": {"b": 1}}}
    answer = await bed.arm(method, bed.extension(), body)
    assert answer.status_code == 409
    assert answer.json()["error"]["message"] == (
        "An extension of type Probe is still processing. Only one instance of an extension may be in "
        "progress at a time for the same resource. Please retry after sometime."
    )


async def test_write_while_it_is_being_deleted_is_refused(bed):
    bed.publish()
    await bed.install()
    await bed.arm("DELETE", bed.extension())
    assert (await bed.put()).json()["error"]["code"] == "HCRP409"
    assert (await bed.put("another")).json()["error"]["code"] == "HCRP409"


@pytest.mark.parametrize(
    "name",
    [
        "Microsoft.Azure.Monitoring.DependencyAgent.DependencyAgentLinux",
        "Microsoft.SoftwareUpdateManagement.LinuxOsUpdateExtension",
    ],
)
async def test_amazon_linux_is_refused_what_the_documentation_says(bed, name):
    bed.publish(name=name)
    publisher, _, kind = name.rpartition(".")
    row = bed.cloud.machines.get(bed.machine().lower())
    async with bed.cloud.plane.store.unit() as unit:
        bed.cloud.machines.report(unit, row, {"metadata": {"osSku": "Amazon Linux 2", "osName": "linux"}})
    refused = await bed.put(publisher=publisher, type=kind)
    assert refused.status_code == 400
    assert "is not supported on Amazon Linux" in refused.json()["error"]["message"]
    bed.publish()
    assert (await bed.put()).status_code == 202


async def test_version_of_another_region_is_not_found(bed):
    bed.publish("1.0.0", regions=("eastus",))
    assert (await bed.put()).status_code == 400
    bed.publish("0.9.0", regions=("eastus", "westeurope"))
    await bed.install()
    assert (await bed.shown())["typeHandlerVersion"] == "0.9.0"


async def test_another_publisher_or_type_under_the_name_is_refused(bed):
    bed.publish()
    bed.publish(name="Contoso.Tools.Gauge")
    await bed.install()
    answer = await bed.put(type="Gauge")
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "HCRP409")


async def test_extension_of_a_missing_machine_is_refused_by_the_gateway(bed):
    bed.publish()
    answer = await bed.put("probe", "web-99")
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "ParentResourceNotFound")


async def test_patch_and_upgrade_of_what_is_not_there_are_refused(bed):
    answer = await bed.arm("PATCH", bed.extension(), {"properties": {"settings": {}}})
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "HCRP404")
    body = {"extensionTargets": {"Contoso.Tools.Probe": {}}}
    answer = await bed.arm("POST", f"{bed.machine()}/upgradeExtensions", body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "HCRP400")
    answer = await bed.arm("POST", f"{bed.machine()}/upgradeExtensions", {})
    assert "ExtensionTargets" in answer.json()["error"]["message"]
