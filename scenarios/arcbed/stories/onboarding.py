"""The main job: a machine is refused for many reasons, comes to Azure Arc, lives there, and leaves."""

from __future__ import annotations

import base64
import re
import shlex
from pathlib import Path
from typing import Any

from arcbed.harness import Bed, CheckError, CloudOptions, Machine, arc
from arcbed.harness.arm import Principal
from arcbed.harness.checks import equal, eventually, exited, true
from arcbed.harness.scenario import scenario

GROUP = "rg-first-light"
TAGS = {"environment": "lab", "owner": "arc team"}
#: Nobody listens there: the connection is refused at once.
CLOSED = "https://localhost:1"
ARM_AUDIENCE = "https://management.azure.com/"


@scenario(
    "A machine comes to Azure Arc, lives there, and leaves",
    # The machine's pace is shortened to a second, which the service would call too soon.
    options=CloudOptions(heartbeat_throttle=False),
)
async def story(bed: Bed) -> None:
    """From a subscription that has never seen Azure Arc to one in which nothing is left of it.

    On the way every refusal that people meet when they onboard: a provider that is not registered, a missing
    and a small role, a reserved name, a wrong secret, a blocked endpoint, a taken name.
    """
    await bed.cloud.new_group(GROUP)
    web = await bed.machine("web-01", resource_group=GROUP, heartbeat_seconds=1)
    await is_refused(bed, web)
    await is_connected_in_spite_of_the_network(bed)
    await is_connected(bed, web)
    await reports_what_it_is(bed, web)
    await follows_its_tags(bed, web)
    await has_an_identity(bed, web)
    await is_connected_once(bed, web)
    await leaves(bed, web)


async def is_refused(bed: Bed, web: Machine) -> None:
    """Each reason for which onboarding fails, before any of them leaves something behind."""
    cloud = bed.cloud
    async with bed.step(
        "Refused: the subscription is not registered for Microsoft.HybridCompute",
        ["onboarding.provider-not-registered"],
    ):
        exited(await web.connect(), 42, "AZCM0042", "MissingSubscriptionRegistration")
        equal("registrationState", await registration(bed), "NotRegistered")

    async with bed.step(
        "An owner who connects registers it on the way", ["onboarding.registration-is-attempted"]
    ):
        pilot = await bed.machine("pilot-01", resource_group=GROUP)
        exited(await pilot.connect(principal=cloud.owner), 0)
        equal("registrationState", await registration(bed), "Registered")
        exited(await pilot.disconnect(), 0)

    async with bed.step("Refused: a principal without any role", ["onboarding.role-missing"]):
        stranger = await cloud.principal("stranger")
        refused = await web.connect(principal=stranger)
        exited(refused, 42, "AZCM0042", "AuthorizationFailed", "Microsoft.HybridCompute/machines/read")

    async with bed.step("Refused: a principal that may only read", ["onboarding.role-too-small"]):
        reader = await cloud.principal("reader", "Reader")
        refused = await web.connect(principal=reader)
        exited(refused, 42, "AZCM0042", "AuthorizationFailed", "Microsoft.HybridCompute/machines/write")

    async with bed.step("Refused: a name that is a reserved word", ["onboarding.reserved-name"]):
        exited(await web.connect(name="Exchange"), 42, "AZCM0042", "ReservedResourceName")

    async with bed.step("Refused: a wrong secret", ["onboarding.wrong-secret"]):
        known = cloud.onboarding
        forged = Principal(name="forged", client_id=known.client_id, client_secret="not-the-secret")
        exited(await web.connect(principal=forged), 41, "AZCM0041", "AADSTS7000215")

    async with bed.step("Refused: an endpoint cannot be reached", ["onboarding.endpoint-unreachable"]):
        before = web.local_config().get("endpoints.gas")
        web.set_local_config(endpoints__gas=CLOSED)
        exited(await web.connect(), 26, "AZCM0026", "required endpoints unavailable", CLOSED)
        web.set_local_config(endpoints__gas=before)

    async with bed.step("Nothing is left of all that", ["onboarding.nothing-left-by-failure"]):
        equal("machines in the resource group", await machines(bed), [])
        equal("connection data on the machine", web.agent_config(), {})


async def is_connected_in_spite_of_the_network(bed: Bed) -> None:
    """What --ignore-network-check is for."""
    async with bed.step(
        "A machine behind a closed firewall connects when told to", ["onboarding.ignore-network-check"]
    ):
        edge = await bed.machine("edge-01", resource_group=GROUP, config={"endpoints.gas": CLOSED})
        exited(await edge.connect(), 26)
        exited(await edge.connect("--ignore-network-check"), 0, "Connected machine to Azure")
        exited(await edge.disconnect(), 0)


async def is_connected(bed: Bed, web: Machine) -> None:
    """The success that all of the above is about."""
    async with bed.step("Connected with the onboarding role, a secret and two tags", ["onboarding.success"]):
        done = await web.connect(tags=TAGS, terminal=True)
        exited(done, 0, "Connected machine to Azure")
        seen = [int(percent) for percent in re.findall(r"(\d+)%", done.output)]
        equal("the percentages", sorted(set(seen)), seen)
        equal("the last percentage", seen[-1:], [100])

    async with bed.step(
        "ARM shows it Connected",
        ["onboarding.resource-shape", "metadata.tags-from-connect"],
    ):
        resource = await arc.resource(web)
        properties = resource["properties"]
        equal("provisioningState", properties["provisioningState"], "Succeeded")
        equal("status", properties["status"], "Connected")
        equal("vmId", properties["vmId"], web.agent_config()["vmId"])
        equal("agentVersion", properties["agentVersion"], (await web.show())["agentVersion"])
        equal("identity.type", resource["identity"]["type"], "SystemAssigned")
        equal("identity.tenantId", resource["identity"]["tenantId"], bed.cloud.tenant_id)
        equal("tags", resource["tags"], TAGS)
        key = base64.b64decode(properties["clientPublicKey"])
        true("clientPublicKey is a PKCS#1 RSA-2048 key", key[:4] == b"\x30\x82\x01\x0a", key[:4].hex())

    async with bed.step("So does the agent", ["agent.show", "agent.files-when-connected"]):
        shown = await web.show()
        equal("status", shown["status"], "Connected")
        equal("resourceName", shown["resourceName"], web.name)
        equal("resourceGroup", shown["resourceGroup"], GROUP)
        true(
            "lastHeartbeat is a time",
            re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", shown["lastHeartbeat"]),
        )
        equal("resourceName in agentconfig.json", web.agent_config()["resourceName"], web.name)
        for log in ("himds_log", "cli_log"):
            true(f"{web.path(log).name} exists", web.path(log).is_file())
        mode = web.path("machine_key").stat().st_mode & 0o777
        equal("the key's permissions for others", mode & 0o007, 0)

    async with bed.step("Its heart beats", ["status.heartbeat"]):
        first = (await web.show())["lastHeartbeat"]

        async def beats() -> bool:
            return bool((await web.show())["lastHeartbeat"] > first)

        await eventually("a later lastHeartbeat", beats)


async def reports_what_it_is(bed: Bed, web: Machine) -> None:
    """ARM's picture of the machine against the machine itself, read by other means than the agent's."""
    async with bed.step("The operating system is this machine's", ["metadata.operating-system"]):
        properties = await arc.properties(web)
        equal("osName", properties["osName"], "linux")
        equal("osType", properties["osType"], "linux")
        equal("osVersion", properties["osVersion"], await printed(web, "uname", "-r"))
        equal("osSku", properties["osSku"], pretty_name(await printed(web, "cat", "/etc/os-release")))
        equal("computerName", properties["osProfile"]["computerName"], await printed(web, "uname", "-n"))

    async with bed.step("The hardware is this machine's", ["metadata.hardware"]):
        detected = (await arc.properties(web))["detectedProperties"]
        equal("logicalCoreCount", detected["logicalCoreCount"], await printed(web, "nproc", "--all"))
        memory = memory_bytes(await printed(web, "cat", "/proc/meminfo"))
        equal("totalPhysicalMemoryInBytes", detected["totalPhysicalMemoryInBytes"], str(memory))


async def follows_its_tags(bed: Bed, web: Machine) -> None:
    """From connect to ARM, from ARM to the local metadata."""
    async with bed.step("Programs on the machine see where they are", ["metadata.local-instance"]):
        compute = await web.metadata()
        resource_id = bed.cloud.arm.machine_id(GROUP, web.name)
        equal("resourceId", compute["resourceId"].lower(), resource_id.lower())
        equal("name", compute["name"], web.name)
        equal("location", compute["location"], "westeurope")
        equal("resourceGroupName", compute["resourceGroupName"], GROUP)
        equal("subscriptionId", compute["subscriptionId"], bed.cloud.subscription_id)
        equal("vmId", compute["vmId"], web.agent_config()["vmId"])
        equal("tagsList", tags_of(compute), TAGS)
        url = f"{web.environment['IMDS_ENDPOINT']}/metadata/instance"
        bare = await web.local(url, {}, **{"api-version": "2020-06-01"})
        true("a request without the header Metadata is refused", bare.status_code >= 400, bare.status_code)

    async with bed.step(
        "A tag that is changed in ARM arrives with a heartbeat", ["metadata.tags-follow-arm"]
    ):
        changed = {"environment": "production", "cost centre": "4711"}
        arm = bed.cloud.arm
        (await arm.patch(arm.machine_id(GROUP, web.name), {"tags": changed})).expect_ok()

        async def arrived() -> bool:
            return tags_of(await web.metadata()) == changed

        await eventually("the changed tags in /metadata/instance", arrived)


async def has_an_identity(bed: Bed, web: Machine) -> None:
    """The machine's managed identity, from its challenge to what it opens."""
    cloud = bed.cloud
    identity = (await arc.resource(web))["identity"]
    async with bed.step("A token is not given away", ["identity.challenge", "identity.key-file-once"]):
        first = await web.challenge(ARM_AUDIENCE)
        equal("status", first.status_code, 401)
        header = first.headers["www-authenticate"]
        true(
            "the challenge names a key file",
            re.fullmatch(r"Basic realm=/\S+/tokens/[^/=]+\.key", header),
            header,
        )
        key = web.path("tokens") / Path(header).name
        true("the key file exists", key.is_file())
        proof = {"Metadata": "true", "Authorization": f"Basic {key.read_text()}"}
        query = {"api-version": "2020-06-01", "resource": ARM_AUDIENCE}
        endpoint = web.environment["IDENTITY_ENDPOINT"]
        equal("first use of the key", (await web.local(endpoint, proof, **query)).status_code, 200)
        true("the key file is gone", not key.exists())
        equal("second use of the key", (await web.local(endpoint, proof, **query)).status_code, 401)

    async with bed.step("The token is the machine's", ["identity.token", "identity.claims"]):
        token = await web.token(ARM_AUDIENCE)
        equal("token_type", token.body["token_type"], "Bearer")
        equal("aud", token.claims["aud"], ARM_AUDIENCE)
        equal("iss", token.claims["iss"], f"https://sts.windows.net/{cloud.tenant_id}/")
        equal("oid", token.claims["oid"], identity["principalId"])
        equal("tid", token.claims["tid"], cloud.tenant_id)
        resource_id = cloud.arm.machine_id(GROUP, web.name)
        equal("xms_mirid", token.claims["xms_mirid"].lower(), resource_id.lower())

    async with bed.step(
        "It opens what its role allows, and nothing before that",
        ["identity.no-rights-by-default", "identity.role-takes-effect"],
    ):
        itself = cloud.as_token("web-01", (await web.token(ARM_AUDIENCE)).text)
        path = cloud.arm.machine_id(GROUP, web.name)
        before = await itself.get(path)
        equal("before", (before.status, before.error_code), (403, "AuthorizationFailed"))
        (await cloud.assign(identity["principalId"], "Reader", cloud.arm.group_id(GROUP))).expect_ok()
        equal("after", (await itself.get(path)).status, 200)


async def is_connected_once(bed: Bed, web: Machine) -> None:
    """A name belongs to one machine, and a machine to one resource."""
    async with bed.step("Another machine cannot take the name", ["onboarding.name-taken"]):
        before = (await arc.properties(web))["vmId"]
        twin = await bed.machine("twin", resource_group=GROUP)
        exited(await twin.connect(name=web.name), 44, "AZCM0044")
        equal("vmId of the resource", (await arc.properties(web))["vmId"], before)
        await twin.stop()

    async with bed.step("The machine cannot connect twice", ["onboarding.already-connected"]):
        before = web.agent_config()
        exited(await web.connect(name="web-02"), 67, "AZCM0067", f"/machines/{web.name}")
        equal("connection data", web.agent_config(), before)
        equal("machines in the resource group", await machines(bed), [web.name])


async def leaves(bed: Bed, web: Machine) -> None:
    """Both ends forget each other."""
    cloud = bed.cloud
    principal_id = (await arc.resource(web))["identity"]["principalId"]
    async with bed.step("The onboarding principal cannot remove it", ["disconnect.role-too-small"]):
        before = web.agent_config()
        refused = await web.disconnect(principal=cloud.onboarding)
        exited(refused, 43, "AZCM0043", "AuthorizationFailed", "Microsoft.HybridCompute/machines/delete")
        equal("connection data", web.agent_config(), before)
        equal("status in ARM", await arc.status(web), "Connected")
        equal("status on the machine", (await web.show())["status"], "Connected")

    async with bed.step("The owner can", ["disconnect.success"]):
        exited(await web.disconnect(), 0)

    async with bed.step("Nothing is left in Azure", ["identity.gone-with-resource"]):
        names = [principal["name"] for principal in await cloud.admin.directory()]
        true("its principal has left the directory", web.name not in names, names)
        gone = await cloud.machine(GROUP, web.name)
        equal("the resource", (gone.status, gone.error_code), (404, "ResourceNotFound"))
        equal("machines in the resource group", await machines(bed), [])
        nobody = await cloud.assign(principal_id, "Reader")
        equal("a role for its principal", (nobody.status, nobody.error_code), (400, "PrincipalNotFound"))

    async with bed.step("On the machine only what the documentation says", ["agent.files-after-disconnect"]):
        equal("connection data", web.agent_config(), {})
        true("there is no key", not web.path("machine_key").exists())
        true("there is no certificate", not web.path("machine_certificate").exists())
        true("local settings are kept", web.local_config().get("himds.heartbeatSeconds"))
        for log in ("himds_log", "cli_log"):
            true(f"{web.path(log).name} is kept", web.path(log).is_file())
        equal("status", (await web.show())["status"], "Disconnected")


# -- what the steps look at ----------------------------------------------------------------------------------


async def registration(bed: Bed) -> str:
    """Whether the subscription is registered for Microsoft.HybridCompute, as its owner sees it."""
    arm = bed.cloud.arm
    answer = await arm.get(f"{arm.subscription}/providers/Microsoft.HybridCompute")
    return str(answer.expect_ok().body["registrationState"])


async def machines(bed: Bed) -> list[str]:
    """Names of the machines in the resource group, as its owner lists them."""
    arm = bed.cloud.arm
    answer = await arm.get(f"{arm.group_id(GROUP)}/providers/Microsoft.HybridCompute/machines")
    return sorted(item["name"] for item in answer.expect_ok().body["value"])


def tags_of(compute: dict[str, Any]) -> dict[str, str]:
    """`tagsList` of the instance metadata as a mapping."""
    return {item["name"]: item["value"] for item in compute["tagsList"]}


async def printed(machine: Machine, *command: str) -> str:
    """What a program on the machine prints, without the end of its last line."""
    done = await machine.command(*command)
    exited(done, 0)
    return done.stdout.strip()


def pretty_name(release: str) -> str:
    """PRETTY_NAME of an os-release file."""
    found = re.search(r"^PRETTY_NAME=(.*)$", release, re.MULTILINE)
    return "".join(shlex.split(found[1])) if found else ""


def memory_bytes(meminfo: str) -> int:
    """MemTotal of /proc/meminfo."""
    line = re.search(r"^MemTotal:\s+(\d+) kB", meminfo, re.MULTILINE)
    if line is None:
        raise CheckError("/proc/meminfo", "to have MemTotal", "nothing of the kind")
    return int(line[1]) * 1024
