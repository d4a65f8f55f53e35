"""A machine that has no way to Azure but through an HTTP proxy."""

from __future__ import annotations

from urllib.parse import urlsplit

from arcbed.harness import Bed, CloudOptions, Machine, arc
from arcbed.harness.checks import contains, equal, eventually, exited, true
from arcbed.harness.contract import ProxyHost
from arcbed.harness.scenario import scenario

GROUP = "rg-proxy"
PERIOD = 1
LOGIN, ARM, HIS = "login.microsoftonline.com", "management.azure.com", "his.arc.azure.com"


@scenario(
    "A machine behind a proxy",
    options=CloudOptions(heartbeat_throttle=False, arguments=("--heartbeat-seconds", str(PERIOD))),
)
async def story(bed: Bed) -> None:
    """By configuration and by environment, past the proxy for some hosts, and what is no proxy for it."""
    await arc.prepare(bed, GROUP)
    proxy = await bed.proxy()
    await by_configuration(bed, proxy)
    await past_it(bed, proxy)
    await by_environment(bed, proxy)
    await is_refused(bed, proxy)


async def by_configuration(bed: Bed, proxy: ProxyHost) -> None:
    """``azcmagent config set proxy.url``."""
    branch = await bed.machine("branch-01", resource_group=GROUP)
    async with (
        bed.step("There is no other way out", ["onboarding.endpoint-unreachable"]),
        branch.proxy_only(proxy),
    ):
        exited(await branch.connect(), 26, "AZCM0026")

    async with bed.step(
        "With proxy.url it connects, and nobody has to restart anything", ["proxy.config-without-restart"]
    ):
        set_it = await branch.azcmagent("config", "set", "proxy.url", proxy.url)
        exited(set_it, 0, f"Config property proxy.url set to value {proxy.url}")
        exited(await branch.connect(), 0)
        true("the proxy was asked", proxy.requests(), "never")
        refused = [line for line in proxy.requests() if not line.startswith("CONNECT ")]
        equal("requests other than CONNECT", refused, [])
        equal("httpsProxy", (await branch.show())["httpsProxy"], proxy.url)

    async with (
        bed.step("So do its heartbeats, and there is no other way", ["proxy.heartbeats"]),
        branch.proxy_only(proxy),
    ):
        await beats(branch)
        contains("hosts that went through the proxy", through(proxy), LOGIN)

    async with (
        bed.step("Names are the proxy's to look up", ["proxy.names-are-the-proxys"]),
        branch.cut_off("dns"),
    ):
        exited(await branch.azcmagent("check"), 0)

    async with bed.step("ARM shows the proxy", ["proxy.reported-to-arm"]):

        async def shown() -> bool:
            properties = await arc.properties(branch)
            return bool((properties.get("agentConfiguration") or {}).get("proxyUrl") == proxy.url)

        await eventually("proxyUrl in agentConfiguration", shown)
    await branch.remove()


async def past_it(bed: Bed, proxy: ProxyHost) -> None:
    """``azcmagent config set proxy.bypass``."""
    async with bed.step("proxy.bypass keeps a service's hosts from it", ["proxy.bypass"]):
        bed.need("names")
        office = await bed.machine("office-01", resource_group=GROUP)
        exited(await office.azcmagent("config", "set", "proxy.url", proxy.url), 0)
        exited(await office.azcmagent("config", "set", "proxy.bypass", "Arc"), 0)
        asked = len(proxy.requests())
        exited(await office.connect(), 0)
        hosts = through(proxy, since=asked)
        contains("hosts that went through the proxy", hosts, LOGIN)
        contains("hosts that went through the proxy", hosts, ARM)
        equal("hosts of Arc that did", [host for host in hosts if host.endswith(HIS)], [])
        checked = await office.azcmagent("check")
        exited(checked, 0)
        await office.remove()


async def by_environment(bed: Bed, proxy: ProxyHost) -> None:
    """HTTPS_PROXY of the service."""
    async with bed.step("HTTPS_PROXY of the service does the same", ["proxy.environment"]):
        depot = await bed.machine("depot-01", resource_group=GROUP, environment={"HTTPS_PROXY": proxy.url})
        asked = len(proxy.requests())
        exited(await depot.connect(), 0)
        true("the proxy was asked", through(proxy, since=asked), "never")
        await beats(depot)

    async with bed.step("proxy.url goes before the environment", ["proxy.config-first"]):
        exited(await depot.azcmagent("config", "set", "proxy.url", "http://localhost:1"), 0)
        exited(await depot.azcmagent("check"), 26, "AZCM0026")
        exited(await depot.azcmagent("config", "clear", "proxy.url"), 0)
        exited(await depot.azcmagent("check"), 0)
        await depot.remove()


async def is_refused(bed: Bed, proxy: ProxyHost) -> None:
    """What cannot be a proxy of the agent."""
    lab = await bed.machine("lab-01", resource_group=GROUP)
    async with bed.step("Refused: a proxy with a password, or with TLS", ["proxy.plain-http-only"]):
        where = urlsplit(proxy.url).netloc
        for url in (f"http://user:secret@{where}", f"https://{where}", f"socks5://{where}"):
            exited(await lab.azcmagent("config", "set", "proxy.url", url), 23)
        equal("proxy.url", lab.local_config().get("proxy.url", ""), "")

    async with bed.step("Refused: a Log Analytics gateway", ["proxy.log-analytics-gateway"]):
        gateway = await bed.proxy("log-analytics-gateway")
        exited(await lab.azcmagent("config", "set", "proxy.url", gateway.url), 0)
        exited(await lab.connect(), 26, "AZCM0026", "403")
        answers = {line.rpartition(" ")[2] for line in gateway.requests()}
        equal("what the gateway answers", answers, {"403"})
        equal("connection data", lab.agent_config(), {})


async def beats(machine: Machine) -> None:
    """Wait for a heartbeat.

    Raises:
        CheckError: there is none.
    """
    before = (await machine.show())["lastHeartbeat"]

    async def later() -> bool:
        return bool((await machine.show())["lastHeartbeat"] > before)

    await eventually("a later lastHeartbeat", later)


def through(proxy: ProxyHost, *, since: int = 0) -> list[str]:
    """The hosts that `proxy` was asked for, after the first `since` requests."""
    return [line.split()[1].rpartition(":")[0] for line in proxy.requests()[since:]]
