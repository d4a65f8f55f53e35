"""What the demo does: the main job of Azure Arc, once through."""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from arcbed.cli.demo import sdk
from arcbed.harness import Bed, BedError, CloudOptions, Machine
from arcbed.harness.checks import equal, eventually, exited
from arcbed.harness.scenario import Scenario

GROUP = "rg-demo"
NAME = "web-01"
AUDIENCE = "https://management.azure.com/"
NO_SDK = "Microsoft's SDKs are not installed (pip install 'arcbed[demo]'), so these are plain REST calls."


async def story(bed: Bed) -> None:
    """Two processes on this computer play both parts: fakecloud is Azure, himds the agent on a machine."""
    async with bed.step("A control plane answers for Azure, over TLS"):
        env = bed.cloud.env
        bed.note(
            "Azure is here",
            shown({"ARM, Entra": env["armEndpoint"], **await asyncio.to_thread(handshake, env)}),
        )

    async with bed.step("It has a subscription, in which Azure Arc is new"):
        await prepare(bed)

    machine = await bed.machine(NAME, resource_group=GROUP, heartbeat_seconds=1)
    async with bed.step("A machine with the agent connects", ["onboarding.success"]):
        exited(
            await machine.connect(tags={"environment": "demo"}, terminal=True),
            0,
            "Connected machine to Azure",
        )

    owner = await asyncio.to_thread(sdk.Owner, env) if sdk.installed() else None
    try:
        await live(bed, machine, owner)
        async with bed.step("The machine disconnects", ["disconnect.success"]):
            exited(await machine.disconnect(), 0)
        async with bed.step("Nothing is left of it", ["agent.files-after-disconnect"]):
            await nothing_is_left(bed, machine, owner)
    finally:
        if owner is not None:
            owner.close()


async def prepare(bed: Bed) -> None:
    """Subscription, provider, resource group."""
    cloud = bed.cloud
    found = (await cloud.arm.get(cloud.arm.subscription)).expect_ok().body
    shape = {"subscription": found["displayName"], "id": found["subscriptionId"], "tenant": cloud.tenant_id}
    bed.note("GET /subscriptions/{id}", shown(shape))
    await cloud.register()
    await cloud.new_group(GROUP)


async def live(bed: Bed, machine: Machine, owner: sdk.Owner | None) -> None:
    """Connected in ARM, with an identity, and with tags that travel."""
    title = "Microsoft's own SDK sees it" if owner else "ARM shows it"
    async with bed.step(f"{title} Connected", ["onboarding.resource-shape"]):
        await connected(bed, owner)
    async with bed.step(
        "A program on the machine uses its managed identity", ["identity.token", "identity.claims"]
    ):
        await uses_identity(bed, machine)
    async with bed.step("A tag set in Azure reaches the machine", ["metadata.tags-follow-arm"]):
        await tags_travel(bed, machine, owner)


async def connected(bed: Bed, owner: sdk.Owner | None) -> None:
    """The machine's resource, through the SDK where there is one."""
    if owner:
        found = await asyncio.to_thread(owner.machine, GROUP, NAME)
        bed.note(f"HybridComputeManagementClient.machines.get  ({sdk.versions()})")
    else:
        bed.note(NO_SDK)
        found = (await bed.cloud.machine(GROUP, NAME)).expect_ok().body
    properties = found["properties"]
    equal("status", properties["status"], "Connected")
    equal("provisioningState", properties["provisioningState"], "Succeeded")
    wanted = ("status", "provisioningState", "agentVersion", "osSku", "vmId")
    principal = found["identity"]["principalId"]
    bed.note("the machine", shown({**{key: properties[key] for key in wanted}, "principalId": principal}))


async def uses_identity(bed: Bed, machine: Machine) -> None:
    """ManagedIdentityCredential where a private /var/opt/azcmagent is allowed, else the exchange by hand."""
    cloud = bed.cloud
    resource = (await cloud.machine(GROUP, NAME)).expect_ok().body
    (await cloud.assign(resource["identity"]["principalId"], "Reader", cloud.arm.group_id(GROUP))).expect_ok()
    where = {
        "arm": cloud.env["armEndpoint"],
        "ca": cloud.env["caFile"],
        "subscription": cloud.subscription_id,
        "group": GROUP,
        "name": NAME,
    }
    if not sdk.installed():
        bed.note("The documented exchange by hand: the SDKs are not installed.")
    else:
        try:
            done = await machine.run(
                Path(sys.executable).name, "-m", "arcbed.cli.demo.whoami", env={"WHOAMI": json.dumps(where)}
            )
        except BedError as error:
            bed.note("The documented exchange by hand:", str(error))
        else:
            exited(done, 0, f"{NAME} is Connected")
            return
    claims = (await machine.token(AUDIENCE)).claims
    equal("oid", claims["oid"], resource["identity"]["principalId"])
    bed.note("the token", shown({name: claims[name] for name in ("aud", "oid", "xms_mirid")}))


async def tags_travel(bed: Bed, machine: Machine, owner: sdk.Owner | None) -> None:
    """Set in ARM, read from the local metadata endpoint."""
    tags = {"environment": "demo", "owner": "arc team"}
    if owner:
        await asyncio.to_thread(owner.set_tags, GROUP, NAME, tags)
        bed.note('machines.update(..., {"tags": ...})')
    else:
        arm = bed.cloud.arm
        (await arm.patch(arm.machine_id(GROUP, NAME), {"tags": tags})).expect_ok()

    async def arrived() -> str | None:
        compute = await machine.metadata()
        found = {item["name"]: item["value"] for item in compute["tagsList"]}
        return str(compute["tags"]) if found == tags else None

    seen = await eventually("the tags in /metadata/instance", arrived)
    bed.note("curl -H Metadata:true $IMDS_ENDPOINT/metadata/instance", shown({"tags": seen}))


async def nothing_is_left(bed: Bed, machine: Machine, owner: sdk.Owner | None) -> None:
    """In ARM, in the directory, on the machine."""
    cloud = bed.cloud
    if owner:
        machines = await asyncio.to_thread(owner.machines, GROUP)
    else:
        path = f"{cloud.arm.group_id(GROUP)}/providers/Microsoft.HybridCompute/machines"
        machines = [item["name"] for item in (await cloud.arm.get(path)).expect_ok().body["value"]]
    equal("machines in ARM", machines, [])
    principals = [one["name"] for one in await cloud.admin.directory()]
    equal("the machine's principal", [name for name in principals if name == NAME], [])
    equal("connection data on the machine", machine.agent_config(), {})
    kept = ", ".join(path for path in machine.files() if path.startswith("/var/opt/azcmagent/"))
    bed.note(
        "what there is now",
        shown({"in ARM": "no machine", "in Entra": "no principal", "on the machine": kept}),
    )


def handshake(env: Mapping[str, Any]) -> dict[str, str]:
    """What TLS says of the control plane, with the bed's authority as the only one that is trusted."""
    where = urlsplit(env["armEndpoint"])
    host, port = str(where.hostname), where.port or 443
    context = ssl.create_default_context(cafile=env["caFile"])
    with (
        socket.create_connection((host, port), 10) as plain,
        context.wrap_socket(plain, server_hostname=host) as tls,
    ):
        certificate = tls.getpeercert() or {}
        issuer: Any = certificate.get("issuer", ())
        names = {key: value for pairs in issuer for key, value in pairs}
        return {"protocol": str(tls.version()), "certificate by": str(names.get("commonName", "?"))}


def shown(values: Mapping[str, object]) -> str:
    """A small table."""
    width = max(map(len, values)) + 2
    return "\n".join(f"{key:<{width}}{value}" for key, value in values.items())


DEMO = Scenario(
    name="demo",
    title="Azure Arc on this computer",
    about=story.__doc__ or "",
    options=CloudOptions(heartbeat_throttle=False),
    story=story,
)
