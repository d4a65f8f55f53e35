"""Run commands: scripts in ARM, instances of one handler on the machine."""

from __future__ import annotations

import json

VERSION = "2026-07-15"
SECRET = "correct-horse-battery-staple"


async def run(bed, name="run1", **properties):
    body = {"location": "westeurope", "properties": {"source": {"script": "id"}, **properties}}
    return await bed.arm("PUT", f"{bed.machine()}/runCommands/{name}", body, version=VERSION)


async def shown(bed, name="run1"):
    answer = await bed.arm("GET", f"{bed.machine()}/runCommands/{name}", version=VERSION)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_script_runs_and_its_output_is_the_instance_view(bed):
    accepted = await run(bed, parameters=[{"name": "a", "value": "1"}])
    assert accepted.status_code == 201
    made = accepted.json()
    assert made["type"] == "Microsoft.HybridCompute/machines/runcommands"
    assert made["id"].endswith("/runcommands/run1")
    assert made["properties"]["provisioningState"] == "Creating"
    assert made["properties"]["timeoutInSeconds"] == 0
    item = await bed.item("run1")
    assert (item["publisher"], item["type"]) == ("Microsoft.CPlat.Core", "RunCommandHandlerLinux")
    assert item["extensionName"] == "run1"
    assert item["settings"]["source"] == {"script": "id"}
    assert item["settings"]["parameters"] == [{"name": "a", "value": "1"}]
    assert item["package"] is None

    said = {
        "executionState": "Succeeded",
        "exitCode": 0,
        "output": "uid=0",
        "startTime": "2026-11-24T12:00:00Z",
    }
    await bed.obey(instanceView={"message": json.dumps(said)})
    assert (await bed.operation(accepted))["status"] == "Succeeded"
    view = (await shown(bed))["properties"]["instanceView"]
    assert {name: view[name] for name in said} == said


async def test_output_of_a_report_alone_is_shown_and_cut_to_its_end(bed):
    await run(bed)
    await bed.obey("Failed", exitCode=3, stdoutTail="x" * 5000 + "end", stderrTail="bad")
    properties = (await shown(bed))["properties"]
    view = properties["instanceView"]
    assert (view["executionState"], view["exitCode"], view["error"]) == ("Failed", 3, "bad")
    assert len(view["output"]) == 4096
    assert view["output"].endswith("end")
    assert properties["provisioningState"] == "Failed"


async def test_secrets_and_signatures_go_to_the_machine_only(bed):
    answer = await run(
        bed,
        runAsUser="me",
        runAsPassword=SECRET,
        protectedParameters=[{"name": "p", "value": SECRET}],
        outputBlobUri=f"https://logs.blob.core.windows.net/out/x?sig={SECRET}",
        source={"scriptUri": f"https://logs.blob.core.windows.net/in/x.sh?sig={SECRET}"},
    )
    assert SECRET not in answer.text
    assert SECRET not in json.dumps(await shown(bed))
    assert SECRET not in (await bed.arm("GET", f"{bed.machine()}/runCommands", version=VERSION)).text
    assert (await shown(bed))["properties"]["outputBlobUri"] == "https://logs.blob.core.windows.net/out/x"
    assert (await bed.item("run1"))["protectedSettings"]["value"] == {
        "runAsPassword": SECRET,
        "protectedParameters": [{"name": "p", "value": SECRET}],
        "outputBlobSASToken": f"sig={SECRET}",
        "sourceSASToken": f"sig={SECRET}",
    }


async def test_same_command_again_runs_again_and_two_stand_side_by_side(bed):
    for name in ("run1", "run2"):
        assert (await run(bed, name)).status_code == 201
    assert (await run(bed)).status_code == 409
    await bed.obey()
    assert (await run(bed)).status_code == 201
    assert [item["sequenceNumber"] for item in await bed.pull() if item["operation"]] == [1]


async def test_delete_ends_with_an_empty_result_once_the_machine_has_forgotten_it(bed):
    await run(bed)
    await bed.obey()
    path = f"{bed.machine()}/runCommands/run1"
    accepted = await bed.arm("DELETE", path, version=VERSION)
    assert accepted.status_code == 202
    await bed.obey()
    result = await bed.arm("GET", accepted.headers["location"])
    assert (result.status_code, result.content) == (200, b"")
    assert (await bed.arm("DELETE", path, version=VERSION)).status_code == 204
    missing = await bed.arm("GET", path, version=VERSION)
    assert (missing.status_code, missing.json()["error"]["code"]) == (404, "HCRP404")


async def test_bad_bodies_and_names_are_refused(bed):
    assert (await run(bed, source={})).json()["error"]["code"] == "HCRP400"
    assert (await run(bed, timeoutInSeconds=-1)).json()["error"]["code"] == "InvalidRequestContent"
    assert (await run(bed, parameters=[{"name": "a"}])).json()["error"]["code"] == "InvalidRequestContent"
    assert (await run(bed, "x" * 37)).json()["error"]["code"] == "InvalidResourceName"


async def test_name_of_an_extension_is_taken(bed):
    bed.publish()
    await bed.put("run1")
    assert (await run(bed)).json()["error"]["code"] == "HCRP409"
    await run(bed, "run2")
    assert (await bed.put("run2")).json()["error"]["code"] == "HCRP409"


async def test_tags_are_patched_where_that_existed(bed):
    await run(bed)
    path = f"{bed.machine()}/runCommands/run1"
    answer = await bed.arm("PATCH", path, {"tags": {"a": "b"}}, version="2024-07-31-preview")
    assert (answer.status_code, answer.json()["tags"]) == (200, {"a": "b"})
    assert (await bed.arm("PATCH", path, {"tags": {}}, version=VERSION)).status_code == 405


async def test_published_handler_is_given_instead_of_the_built_in_one(bed):
    bed.publish("1.3.17", name="Microsoft.CPlat.Core.RunCommandHandlerLinux", supportsMultipleExtensions=True)
    await run(bed)
    item = await bed.item("run1")
    assert item["typeHandlerVersion"] == "1.3.17"
    assert item["package"]["uri"]
