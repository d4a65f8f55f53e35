"""Which hosts a firewall has to let through, and when: the documented table, row by row."""

from __future__ import annotations

from arcbed.harness import Bed, CloudOptions, Machine, arc
from arcbed.harness.checks import contains, equal, eventually, exited, true
from arcbed.harness.scenario import scenario

GROUP = "rg-firewall"
#: Rows of the table "required: always" that the agent tests before it connects, by the name that it uses.
ALWAYS = (
    "login.microsoftonline.com",
    "pas.windows.net",
    "gbl.his.arc.azure.com",
    "weu.his.arc.azure.com",
    "agentserviceapi.guestconfiguration.azure.com",
    "westeurope-gas.guestconfiguration.azure.com",
)
ARM = "management.azure.com"
#: Rows that only an installation needs, and the one that is optional.
INSTALLATION = ("aka.ms", "packages.microsoft.com", "download.microsoft.com")
OPTIONAL = ("dc.services.visualstudio.com",)
PERIOD = 1
DISCONNECTED_AFTER = 4


@scenario(
    "What a firewall may block, and what it may not",
    options=CloudOptions(
        heartbeat_throttle=False,
        arguments=(
            *("--heartbeat-seconds", str(PERIOD)),
            *("--disconnected-after-seconds", str(DISCONNECTED_AFTER)),
        ),
    ),
    needs=("network", "names"),
)
async def story(bed: Bed) -> None:
    """A firewall reads the host name in TLS handshakes and resets those that it does not like.

    Before onboarding, at onboarding and afterwards the table of required endpoints is gone through: what is
    needed always, only to connect and disconnect, only to install, or never.
    """
    await arc.prepare(bed, GROUP)
    quick = {"gcad.pullSeconds": 2 * PERIOD}
    shop = await bed.machine("shop-01", resource_group=GROUP, config=quick)
    await is_refused(bed, shop)
    await is_connected(bed, shop)
    await stays_connected(bed, shop)
    await fails_by_name(bed, shop)
    await leaves(bed, shop)


async def is_refused(bed: Bed, shop: Machine) -> None:
    """Each host that onboarding cannot do without."""
    for host in (*ALWAYS, ARM):
        async with (
            bed.step(f"Blocked before onboarding: {host}", ["onboarding.endpoint-unreachable"]),
            shop.blocked(host),
        ):
            exited(await shop.connect(), 26, "AZCM0026", "required endpoints unavailable", f"https://{host}")
            equal("connection data", shop.agent_config(), {})

    async with bed.step("The network check finds each of them in one go", ["network.check-names-every-host"]):
        async with shop.blocked("*.guestconfiguration.azure.com", ARM):
            checked = await shop.azcmagent("check", "--location", "westeurope")
        exited(checked, 26)
        blocked = [host for host in (*ALWAYS, ARM) if row_of(checked.stdout, host)[:1] == ["false"]]
        equal("not reachable", blocked, [*ALWAYS[4:], ARM])


async def is_connected(bed: Bed, shop: Machine) -> None:
    """With no more than the table asks for."""
    async with (
        bed.step(
            "Connects with nothing but TCP 443 and names, without what installations need",
            ["network.only-443-outbound", "network.install-hosts-not-needed"],
        ),
        shop.https_only(),
        shop.blocked(*INSTALLATION, *OPTIONAL),
    ):
        exited(await shop.connect(), 0)
        equal("status in ARM", await arc.status(shop), "Connected")


async def stays_connected(bed: Bed, shop: Machine) -> None:
    """Resource Manager is for connecting and disconnecting."""
    async with (
        bed.step(
            "Stays Connected without Resource Manager, installation hosts and telemetry",
            ["network.arm-only-to-connect", "network.install-hosts-not-needed"],
        ),
        shop.https_only(),
        shop.blocked(ARM, *INSTALLATION, *OPTIONAL),
    ):
        await beats(shop, times=DISCONNECTED_AFTER // PERIOD + 2)
        equal("status in ARM", await arc.status(shop), "Connected")
        equal("status on the machine", (await shop.show())["status"], "Connected")


async def fails_by_name(bed: Bed, shop: Machine) -> None:
    """What happens to a connected machine behind each block."""
    async with (
        bed.step("Without the identity service its heartbeats fail", ["network.his-always"]),
        shop.blocked("*.his.arc.azure.com"),
    ):

        async def told() -> bool:
            return "his.arc.azure.com" in str((await shop.show())["agentErrorDetails"])

        await eventually("azcmagent show names the identity service", told)

        async def silent() -> bool:
            return await arc.status(shop) == "Disconnected"

        await eventually("Disconnected in ARM", silent)

    async with (
        bed.step("Without Entra it gets no token", ["network.login-always"]),
        shop.blocked("login.microsoftonline.com", "login.windows.net"),
    ):
        answer = await shop.try_token("https://vault.azure.net")
        true("a token is refused", answer.status_code >= 500, answer.status_code)
        contains("what refuses it", answer.text, "login.microsoftonline.com")

    async with (
        bed.step(
            "Without guest configuration no policy can arrive, and it stays Connected",
            ["network.guest-configuration-always"],
        ),
        shop.blocked("*.guestconfiguration.azure.com"),
    ):
        await says(shop, "gc_agent_log", "Failed to update assignments", "guestconfiguration.azure.com")
        await beats(shop, times=DISCONNECTED_AFTER // PERIOD + 2)
        equal("status in ARM", await arc.status(shop), "Connected")

    async with (
        bed.step("Without notifications it asks by itself", ["network.notifications-or-polls"]),
        shop.blocked("guestnotificationservice.azure.com", "*.servicebus.windows.net"),
    ):
        before = len(lines(shop, "himds_log"))
        await shop.stop()
        await shop.start()
        await says(shop, "himds_log", "Notification channel cannot be opened, polling goes on", skip=before)
        await says(shop, "gc_agent_log", "Assignments were received")


def lines(machine: Machine, log: str) -> list[str]:
    """What is in a log."""
    return machine.path(log).read_text().splitlines()


async def says(machine: Machine, log: str, *texts: str, skip: int | None = None) -> None:
    """Wait for a line of a log that has all of `texts`, after `skip` lines; None is those that it has now.

    Raises:
        CheckError: there is none.
    """
    before = len(lines(machine, log)) if skip is None else skip

    async def new() -> bool:
        return any(all(text in line for text in texts) for line in lines(machine, log)[before:])

    await eventually(f"{log} says {', '.join(texts)}", new, within=60)


async def leaves(bed: Bed, shop: Machine) -> None:
    """Disconnecting needs Resource Manager again."""
    async with bed.step("Cannot be disconnected without Resource Manager", ["network.arm-to-disconnect"]):
        async with shop.blocked(ARM):
            refused = await shop.disconnect()
        true("azcmagent disconnect fails", refused.exit_code != 0, refused.output)
        contains("what it says", refused.output, ARM)
        equal("resourceName in agentconfig.json", shop.agent_config().get("resourceName"), shop.name)
        exited(await shop.disconnect(), 0)


async def beats(machine: Machine, *, times: int) -> None:
    """Wait for so many seconds of heartbeats.

    Raises:
        CheckError: it stops.
    """
    for _ in range(times):
        before = (await machine.show())["lastHeartbeat"]

        async def later(than: str = before) -> bool:
            return bool((await machine.show())["lastHeartbeat"] > than)

        await eventually("a later lastHeartbeat", later, within=5 * PERIOD)


def row_of(table: str, host: str) -> list[str]:
    """The cells of a host's row in the table of ``azcmagent check``, without its name."""
    rows = [[cell.strip() for cell in line.split("|")] for line in table.splitlines()]
    return next((row[1:] for row in rows if row[0] == f"https://{host}"), [])
