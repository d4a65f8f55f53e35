"""A machine loses its way to Azure and finds it again, without anybody's help."""

from __future__ import annotations

from arcbed.harness import Bed, CloudOptions, Machine, arc
from arcbed.harness.checks import contains, equal, eventually, exited, true
from arcbed.harness.scenario import scenario

GROUP = "rg-cut"
#: In place of 300 and 900 seconds, in the same proportion.
PERIOD = 2
DISCONNECTED_AFTER = 6
#: A heartbeat takes up to a tenth longer than the period, and a moment to be sent.
ONE_PERIOD = PERIOD * 1.1 + 1.0


@scenario(
    "A machine is cut off, is shown Disconnected, and comes back by itself",
    options=CloudOptions(
        heartbeat_throttle=False,
        arguments=(
            *("--heartbeat-seconds", str(PERIOD)),
            *("--disconnected-after-seconds", str(DISCONNECTED_AFTER)),
        ),
    ),
    needs=("network",),
)
async def story(bed: Bed) -> None:
    """Routes to Azure are gone for a while; both ends notice, and neither loses anything.

    The documented times are kept in proportion: a heartbeat every two seconds in place of five minutes,
    Disconnected after six in place of fifteen minutes.
    """
    await arc.prepare(bed, GROUP)
    edge = await bed.machine("edge-01", resource_group=GROUP)

    async with bed.step("Connected, with its pace from the service", ["status.heartbeat"]):
        exited(await edge.connect(), 0)
        first = await last_heartbeat(edge)

        async def beats() -> bool:
            return await last_heartbeat(edge) > first

        await eventually("a later lastHeartbeat", beats, within=2 * ONE_PERIOD)
        equal("status", await arc.status(edge), "Connected")

    async with edge.cut_off("unreachable"):
        await notices(bed, edge)
        await goes_on_without(bed, edge)

    async with bed.step("The way is back: within one period it is Connected", ["status.comes-back"]):

        async def connected() -> bool:
            return await arc.status(edge) == "Connected"

        await eventually("Connected in ARM", connected, within=ONE_PERIOD)

        async def knows() -> bool:
            return bool((await edge.show())["status"] == "Connected")

        await eventually("Connected on the machine", knows, within=ONE_PERIOD)


async def notices(bed: Bed, edge: Machine) -> None:
    """Each end by itself."""
    async with bed.step("Its heartbeats fail, and it says so", ["status.failed-heartbeat-is-logged"]):
        bed.note("Its routes to Azure say: unreachable")

        async def told() -> bool:
            return "failed to send a heartbeat" in edge.path("himds_log").read_text()

        await eventually("a failed heartbeat in himds.log", told)

        async def disconnected() -> bool:
            return bool((await edge.show())["status"] == "Disconnected")

        await eventually("azcmagent show says Disconnected", disconnected)
        refused = await edge.azcmagent("check")
        exited(refused, 26, "AZCM0026", "No route to host")

    async with bed.step("Azure hears nothing and shows it Disconnected", ["status.disconnected"]):

        async def silent() -> bool:
            return await arc.status(edge) == "Disconnected"

        await eventually("Disconnected in ARM", silent, within=2 * DISCONNECTED_AFTER)
        shown = await arc.properties(edge)
        true("lastStatusChange is after the creation", shown["lastStatusChange"], shown)


async def goes_on_without(bed: Bed, edge: Machine) -> None:
    """What a machine can do by itself."""
    async with bed.step(
        "The machine still knows what it is", ["status.metadata-while-disconnected", "status.nothing-is-lost"]
    ):
        equal("name in /metadata/instance", (await edge.metadata())["name"], edge.name)
        equal("resourceName in agentconfig.json", edge.agent_config().get("resourceName"), edge.name)
        contains("its files", edge.files(), str(edge.path("machine_certificate")))

    async with bed.step("It gets no new token", ["identity.no-new-token-while-disconnected"]):
        answer = await edge.try_token("https://vault.azure.net")
        true("a token is refused", answer.status_code >= 500, answer.status_code)


async def last_heartbeat(machine: Machine) -> str:
    """When the machine says that Azure has last heard from it."""
    return str((await machine.show())["lastHeartbeat"])
