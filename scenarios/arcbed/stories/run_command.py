"""A run command: a script goes to a machine through ARM, and what it prints comes back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from arcbed.harness import Bed, Machine, arc, extensions
from arcbed.harness.arm import ENDED
from arcbed.harness.checks import contains, equal, true
from arcbed.harness.scenario import scenario

GROUP = "rg-run"
SECRET = "correct-horse-battery-staple"
LINES = 2_000
#: Prints more than a view holds, and a secret to each stream.
LONG = f'i=0; while [ $i -lt {LINES} ]; do echo "line $i of $name"; i=$((i+1)); done; echo "with $secret" >&2'
ACCOUNT = "runcommands"
STORAGE = f"blobs/{ACCOUNT}/results"


@scenario("A run command and its output", options=arc.STEPPED)
async def story(bed: Bed) -> None:
    """The handler is built into the agent; nothing is published."""
    web = await arc.onboard(bed, "web-01", GROUP)
    output, error = [await address(bed, name, "racw") for name in ("output.txt", "error.txt")]

    async with bed.step("A script runs with its parameters", ["run-command.view"]):
        found = await run(
            bed, web, "hello", source={"script": 'echo "hello $who"; exit 3'}, parameters=[NAMED]
        )
        equal("state", found["executionState"], "Failed")
        equal("exit code", found["exitCode"], 3)
        equal("output", found["output"], "hello world\n")

    async with bed.step(
        "The view has the end of the output, blobs have all of it", ["run-command.view", "run-command.blobs"]
    ):
        given = {
            "source": {"script": LONG},
            "parameters": [{"name": "name", "value": "first"}],
            "protectedParameters": [{"name": "secret", "value": SECRET}],
            "outputBlobUri": output,
            "errorBlobUri": error,
        }
        found = await run(bed, web, "long", **given)
        equal("state", found["executionState"], "Succeeded")
        equal("message", found["executionMessage"], "Execution completed")
        true("the view is 4 KB at most", len(found["output"]) <= 4_096, len(found["output"]))
        contains("its end", found["output"], f"line {LINES - 1} of first\n")
        equal(
            "the blob", await read(bed, "output.txt"), "".join(f"line {i} of first\n" for i in range(LINES))
        )
        equal("the other one, which is its owner's", await read(bed, "error.txt"), f"with {SECRET}\n")
        equal("in the view secrets are hidden", found["error"], "with [redacted]\n")

    async with bed.step("Run again, it overwrites what it has written", ["run-command.blobs"]):
        given["parameters"] = [{"name": "name", "value": "second"}]
        await run(bed, web, "long", **given)
        equal(
            "the blob", await read(bed, "output.txt"), "".join(f"line {i} of second\n" for i in range(LINES))
        )

    async with bed.step(
        "A signature that does not allow to write: the script has run, and the view says what is missing",
        ["run-command.blobs"],
    ):
        readable = await address(bed, "output.txt", "r")
        found = await run(bed, web, "refused", source={"script": "echo done"}, outputBlobUri=readable)
        equal("state", found["executionState"], "Succeeded")
        contains("message", found["executionMessage"], "outputBlobUri: 403 AuthorizationPermissionMismatch")
        equal("output", found["output"], "done\n")
        true("no signature is told", "sig=" not in str(found) + web.path("gc_ext_log").read_text(), found)

    async with bed.step("A script that lies in storage", ["run-command.script-uri"]):
        await bed.cloud.admin.call("PUT", f"{STORAGE}/script.sh", content=b'echo "from storage, $who"\n')
        source = {"scriptUri": await address(bed, "script.sh", "r")}
        found = await run(bed, web, "fetched", source=source, parameters=[NAMED])
        equal("output", found["output"], "from storage, world\n")

    async with bed.step("One that takes too long is ended", ["run-command.times-out"]):
        script = {"script": "echo begun; sleep 600 & wait"}
        found = await run(bed, web, "slow", source=script, timeoutInSeconds=1)
        equal("state", found["executionState"], "TimedOut")
        equal("output", found["output"], "begun\n")


NAMED = {"name": "who", "value": "world"}


async def run(bed: Bed, web: Machine, name: str, **properties: Any) -> Mapping[str, Any]:
    """PUT a run command and wait for its end; its instance view."""
    path = f"{bed.cloud.arm.machine_id(GROUP, web.name)}/runCommands/{name}"
    body = {"location": "westeurope", "properties": properties}
    (await bed.cloud.arm.put(path, body, extensions.VERSION)).expect_ok()
    for _ in range(10):
        await bed.advance(minutes=1)
        shown = (await bed.cloud.arm.get(path, extensions.VERSION)).expect_ok().body["properties"]
        if shown["provisioningState"] in ENDED:
            break
    equal("provisioningState", shown["provisioningState"], "Succeeded")
    true("the resource tells no secret", SECRET not in str(shown) and "sig=" not in str(shown), shown)
    view: Mapping[str, Any] = shown["instanceView"]
    return view


async def address(bed: Bed, name: str, permissions: str) -> str:
    """The address of a blob, as the machine can use it, with a signature."""
    found = await bed.cloud.admin.call("POST", f"{STORAGE}/{name}?permissions={permissions}")
    url, _, signature = str(found["url"]).partition("?")
    if "names" not in bed.place.lacks:
        url = f"https://{ACCOUNT}.blob.core.windows.net/results/{name}"
    return f"{url}?{signature}"


async def read(bed: Bed, name: str) -> str:
    """What is in a blob."""
    return (await bed.cloud.admin.read(f"{STORAGE}/{name}")).decode()
