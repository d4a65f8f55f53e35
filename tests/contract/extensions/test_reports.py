"""What agents may say, and what is made of it."""

from __future__ import annotations

import pytest

VIEW = {"code": "0", "message": "one"}


async def test_older_report_is_not_taken(bed):
    bed.publish()
    await bed.put()
    item = await bed.item()
    bed.report_seq = 4
    assert (await bed.report(item, "InProgress")).json() == {"accepted": True}
    bed.report_seq = 4
    assert (await bed.report(item, "Failed")).json() == {"accepted": False}
    assert (await bed.shown())["provisioningState"] == "Creating"


async def test_status_between_operations_changes_the_instance_view_only(bed):
    bed.publish()
    await bed.install()
    answer = await bed.report(await bed.item(), None, instanceView=VIEW, handler={"status": "Unresponsive"})
    assert answer.json() == {"accepted": True}
    shown = await bed.shown()
    assert shown["provisioningState"] == "Succeeded"
    assert shown["instanceView"]["status"] == {"level": "Information", **VIEW}


async def test_result_again_after_a_lost_answer_is_taken_as_a_status(bed):
    bed.publish()
    await bed.put()
    item = await bed.item()
    for _ in range(2):
        assert (await bed.report(item, "Succeeded", instanceView=VIEW)).status_code == 200
    assert (await bed.shown())["provisioningState"] == "Succeeded"


async def test_report_about_an_older_number_changes_nothing(bed):
    bed.publish()
    await bed.install()
    old = await bed.item()
    await bed.put(settings={"a": 2})
    assert (await bed.report(old, None, instanceView=VIEW)).status_code == 200
    assert "instanceView" not in await bed.shown()


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        ({"sequenceNumber": 9}, 409, "SequenceConflict"),
        ({"state": "Perhaps"}, 400, "InvalidRequest"),
        ({"reportSeq": -1}, 400, "InvalidRequest"),
        ({"handler": {"status": "Fine"}}, 400, "InvalidRequest"),
        ({"stdoutTail": "x" * 120_000}, 413, "PayloadTooLarge"),
    ],
)
async def test_report_that_cannot_be_used_is_refused_and_changes_nothing(bed, change, status, code):
    bed.publish()
    await bed.put()
    item = await bed.item()
    more = {"state": "Succeeded", **change}
    answer = await bed.report(item, more.pop("state"), **more)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
    assert (await bed.shown())["provisioningState"] == "Creating"


async def test_report_about_what_is_gone_is_404(bed):
    bed.publish()
    await bed.install()
    item = await bed.item()
    await bed.arm("DELETE", bed.extension())
    await bed.obey()
    answer = await bed.report(item, None)
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "ExtensionNotFound")


async def test_another_machine_may_neither_read_nor_report(bed):
    bed.publish()
    await bed.add_machine("web-02")
    await bed.put()
    answer = await bed.gas("GET", "/extensions", who="web-02")
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "MachineMismatch")
    answer = await bed.gas("PUT", "/extensions/probe/status", who="web-02", json={})
    assert answer.status_code == 403


async def test_failed_upgrade_that_went_back_leaves_the_version_that_the_machine_has(bed):
    bed.publish("1.0.0")
    await bed.install()
    bed.publish("1.1.0")
    body = {"extensionTargets": {"Contoso.Tools.Probe": {"targetVersion": "1.1"}}}
    accepted = await bed.arm("POST", f"{bed.machine()}/upgradeExtensions", body)
    item = await bed.item()
    assert (item["typeHandlerVersion"], item["operation"]["kind"]) == ("1.1.0", "upgrade")
    await bed.report(item, "InProgress")
    await bed.report({**item, "typeHandlerVersion": "1.0.0"}, "Succeeded", instanceView=VIEW)
    assert (await bed.operation(accepted))["properties"] == []
    assert (await bed.shown())["typeHandlerVersion"] == "1.0.0"
    assert (await bed.item())["typeHandlerVersion"] == "1.0.0"
