"""From ARM's PUT to the machine's report and back."""

from __future__ import annotations

import hashlib

import pytest

STATUS = {
    "code": "0",
    "level": "Information",
    "displayStatus": "Provisioning succeeded",
    "message": "Extension Message: all is well",
    "time": "2026-11-24T12:00:00Z",
}


async def test_put_reported_by_agent_ends_operation_and_shows_instance_view(bed):
    published = bed.publish("2.1.10")
    accepted = await bed.put(typeHandlerVersion="2.1", settings={"a": 1}, autoUpgradeMinorVersion=True)
    assert accepted.status_code == 202
    assert accepted.content == b""
    assert "location" in accepted.headers
    assert (await bed.operation(accepted))["status"] == "Queued"
    assert (await bed.shown())["provisioningState"] == "Creating"

    item = await bed.item()
    assert item["typeHandlerVersion"] == "2.1.10"
    assert item["desiredState"] == "enabled"
    assert item["sequenceNumber"] == 0
    assert item["settings"] == {"a": 1}
    assert item["operation"]["kind"] == "create"
    assert item["package"]["sha256"] == published.sha256

    await bed.report(item, "InProgress", phase="Installing")
    assert (await bed.operation(accepted))["status"] == "InProgress"
    answer = await bed.report(
        item, "Succeeded", instanceView=STATUS, phase="Done", handler={"status": "Ready"}
    )
    assert answer.json() == {"accepted": True}

    done = await bed.operation(accepted)
    assert done["status"] == "Succeeded"
    shown = await bed.shown()
    assert done["properties"]["properties"] == shown
    assert shown["provisioningState"] == "Succeeded"
    assert shown["instanceView"] == {
        "name": "probe",
        "type": "Probe",
        "typeHandlerVersion": "2.1.10",
        "status": STATUS,
    }
    assert (await bed.item())["operation"] is None


async def test_package_and_catalogue_are_served_at_the_addresses_of_the_goal_state(bed):
    bed.publish("1.0.0")
    await bed.put()
    package = (await bed.item())["package"]
    content = await bed.http.get(package["uri"])
    assert content.status_code == 200, content.text
    assert hashlib.sha256(content.content).hexdigest() == package["sha256"]
    assert len(content.content) == package["sizeBytes"]
    catalog = await bed.http.get(package["catalogUri"])
    assert hashlib.sha256(catalog.content).hexdigest() == package["catalogSha256"]
    assert f"{package['sha256']}  Contoso.Tools.Probe__1.0.0.zip" in catalog.text.splitlines()
    assert (await bed.http.get(package["uri"].partition("?")[0])).status_code == 409


async def test_failure_on_the_machine_fails_the_operation_with_its_words(bed):
    bed.publish()
    accepted = await bed.put()
    text = "Extension returned non-zero exit code for Install: 7. Extension error output: no"
    await bed.obey(
        "Failed", instanceView={**STATUS, "code": "7", "level": "Error", "message": text}, exitCode=7
    )
    done = await bed.operation(accepted)
    assert done["status"] == "Failed"
    assert done["error"] == {"code": "HCRP400", "message": text}
    assert (await bed.shown())["provisioningState"] == "Failed"


async def test_delete_stays_until_the_machine_has_removed_it(bed):
    bed.publish()
    await bed.install()
    accepted = await bed.arm("DELETE", bed.extension())
    assert accepted.status_code == 202
    assert (await bed.shown())["provisioningState"] == "Deleting"
    item = await bed.item()
    assert (item["desiredState"], item["operation"]["kind"]) == ("uninstalled", "delete")
    await bed.obey(handler={"status": "NotInstalled"})
    assert (await bed.operation(accepted))["status"] == "Succeeded"
    assert "properties" not in await bed.operation(accepted)
    gone = await bed.arm("GET", bed.extension())
    assert gone.status_code == 404
    assert gone.json()["error"]["code"] == "HCRP404"
    assert gone.json()["error"]["target"].endswith("/servers/web-01/probe")
    assert await bed.pull() == []
    assert (await bed.arm("DELETE", bed.extension())).status_code == 204


async def test_delete_of_what_no_machine_has_heard_of_is_done_at_once(bed):
    bed.publish()
    created = await bed.put()
    accepted = await bed.arm("DELETE", bed.extension())
    assert (await bed.operation(accepted))["status"] == "Succeeded"
    assert (await bed.operation(created))["status"] == "Canceled"
    assert (await bed.arm("GET", bed.extension())).status_code == 404


@pytest.mark.parametrize("etag", [None, '"extensions.99"'])
async def test_goal_state_pulled_again_is_304_until_it_changes(bed, etag):
    bed.publish()
    await bed.put()
    first = await bed.gas("GET", "/extensions", headers={"If-None-Match": etag} if etag else {})
    assert first.headers["etag"] == '"extensions.1"'
    again = await bed.gas("GET", "/extensions", headers={"If-None-Match": first.headers["etag"]})
    assert again.status_code == 304
    assert again.content == b""
    assert again.headers["x-arc-next-seconds"] == "300"
    await bed.arm("PATCH", bed.extension(), {"tags": {"a": "b"}})
    await bed.arm("DELETE", bed.extension())
    changed = await bed.gas("GET", "/extensions", headers={"If-None-Match": first.headers["etag"]})
    assert changed.status_code == 200
