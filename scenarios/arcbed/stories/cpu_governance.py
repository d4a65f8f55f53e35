"""The CPU limits of the agent, kept by the operating system and measured by its own account."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from arcbed.harness import Bed, BedError, Machine, NotCoveredError, extensions, governance, policies
from arcbed.harness.arm import ENDED
from arcbed.harness.checks import contains, equal, eventually, exited, true
from arcbed.harness.recorder import Chart, Curve
from arcbed.harness.scenario import scenario

GROUP = "rg-cpu"
POLICY_LIMIT = "guestconfiguration.agent.cpulimit"
EXTENSION_LIMIT = "extensions.agent.cpulimit"
BURN = "while :; do :; done"
#: Children, each of which takes what it can get.
BOMB = f"i=0; while [ $i -lt 200 ]; do sh -c '{BURN}' & i=$((i+1)); done; wait"
#: Its parent ends, and it leaves the session.
DAEMON = f"(setsid sh -c '{BURN}' >/dev/null 2>&1 &)"
#: Seconds that are measured; a first second does not count, since a group begins with a whole share.
SPAN = 12
#: Real seconds that a policy burns for: a span, and what it takes to notice that it has begun.
BURNING = 2 * SPAN + 6
POLICIES = governance.POLICIES
EXTENSION = "extd/Arcbed.Samples.CpuBurner"
NAMES = {POLICIES: "evaluation of the policy", EXTENSION: "extension"}
#: Soon, whether or not the notification channel is open.
PACE = {"gcad.pullSeconds": 15, "extd.pullSeconds": 15}
RHEL = 'NAME="Red Hat Enterprise Linux"\nID="rhel"\nID_LIKE="fedora"\nVERSION_ID="9.4"\n'


@dataclass(frozen=True)
class Trial:
    """What a command used: ``(seconds, percent, limit)`` for each second, and its whole account."""

    choice: Mapping[str, Any]
    seconds: tuple[tuple[float, float, float | None], ...]
    usage: Mapping[str, Any]

    def mean(self, after: float = 1.5, until: float = 1e9) -> float:
        """Percent of one core between two moments."""
        used = length = before = 0.0
        for at, percent, _ in self.seconds:
            if after < at <= until:
                used += percent * (at - before)
                length += at - before
            before = at
        return used / length if length else 0.0

    def chart(self, title: str) -> Chart:
        """Its use over time with the limit."""
        limit: list[tuple[float, float | None]] = []
        for at, _, value in self.seconds:
            if not limit or limit[-1][1] != value:
                limit.append((at if limit else 0.0, value))
        points = tuple((at, percent) for at, percent, _ in self.seconds)
        label = "CPU, % of one core"
        if len(limit) == 1:
            label += f"; {self.mean():.2f} % on average"
        return Chart(title, "%", (Curve(label, points),), tuple(limit))


@scenario("5 % that is really 5 %", long=True, alone=True)
async def story(bed: Bed) -> None:
    """Commands, policies and extensions that take all the CPU they can get stay within the agent's limits.

    The operating system keeps the limits. Which of its means are used is printed by `azcmagent show`: cgroups
    where they can be written, else signals. Each figure is the mean of at least ten seconds by the kernel's
    own account; the last run, without a limit, shows that the measurement can give another result.
    """
    await bed.cloud.new_group(GROUP)
    machine = await bed.machine("cpu-01", resource_group=GROUP, heartbeat_seconds=60, config=PACE)
    await keeps_to_five(bed, machine)
    await follows_the_setting(bed, machine)
    await is_not_escaped(bed, machine)
    await bed.cloud.register()
    await policies.register(bed)
    exited(await machine.connect(), 0)
    await holds_a_policy(bed, machine)
    await holds_an_extension(bed, machine)
    await holds_both(bed, machine)
    await tells_arm(bed, machine)
    await lets_an_installation_have_more(bed, machine)
    await uses_a_core_without(bed, machine)


async def keeps_to_five(bed: Bed, machine: Machine) -> None:
    """The policy agent's limit."""
    async with bed.step(
        "A busy loop under the policy agent's limit uses 5 % of a core", ["cpu.policy-agent"]
    ):
        trial = await run(machine, BURN, during=shown(machine))
        bed.chart(trial.chart("A busy loop under the policy agent's limit"))
        near(trial.mean(), 5.0, 0.5)
        enforced(trial)


async def shown(machine: Machine) -> None:
    """`azcmagent show` names what limits while something is limited."""
    await asyncio.sleep(2)  # noqa: TID251 - the trial has begun by then
    done = await machine.azcmagent("show", "CPU Limit Backend")
    exited(done, 0, "CPU Limit Backend")
    true("azcmagent show says that the limit is enforced", "(enforced)" in done.output, done.output)


async def follows_the_setting(bed: Bed, machine: Machine) -> None:
    """``azcmagent config set`` while a command runs."""
    async with bed.step(
        "The limit is set to 20, and cleared, while a command runs", ["cpu.config-sets-limit"]
    ):
        trial = await run(machine, BURN, seconds=3 * SPAN, during=changes(machine))
        bed.chart(trial.chart(f"A busy loop while {POLICY_LIMIT} is set to 20 and cleared"))
        limits = [limit for _, _, limit in trial.seconds]
        equal("limits seen", sorted({limit for limit in limits if limit}), [5.0, 20.0])
        first = next(at for at, _, limit in trial.seconds if limit == 20.0)
        last = max(at for at, _, limit in trial.seconds if limit == 20.0)
        near(trial.mean(until=first - 1), 5.0, 0.5)
        near(trial.mean(first + 1, last), 20.0, 1.0)
        near(trial.mean(last + 2), 5.0, 0.5)


async def changes(machine: Machine) -> None:
    """Set the limit a third of the way, clear it after two."""
    for words in (("set", POLICY_LIMIT, "20"), ("clear", POLICY_LIMIT)):
        await asyncio.sleep(SPAN)  # noqa: TID251 - the span that is measured
        exited(await machine.azcmagent("config", *words), 0)


async def is_not_escaped(bed: Bed, machine: Machine) -> None:
    """What a command starts stays within its limit."""
    async with bed.step("200 busy children use no more than 5 % together", ["cpu.children"]):
        trial = await run(machine, BOMB, seconds=2 * SPAN)
        bed.chart(trial.chart("200 busy children"))
        true("they use 5 % of one core at most", 2 < trial.mean() < 5.5, f"{trial.mean():.2f} %")
        enforced(trial)

    async with bed.step("A daemon that forks twice and leaves its session uses 5 %", ["cpu.detached"]):
        trial = await run(machine, DAEMON)
        bed.chart(trial.chart("A daemon whose parent has ended"))
        near(trial.mean(), 5.0, 0.5)
        enforced(trial)


async def holds_a_policy(bed: Bed, machine: Machine) -> None:
    """A real package, evaluated by the policy agent's worker."""
    async with bed.step(
        "A policy whose script burns CPU is evaluated with 5 % of a core",
        ["cpu.policy-agent", "cpu.reported"],
    ):
        await burn(bed, machine, "BurnOnce")
        watched = await governance.watch(machine, SPAN)
        bed.chart(watched.chart("The evaluation of a policy that burns", {POLICIES: NAMES[POLICIES]}, 5.0))
        near(watched.mean(POLICIES), 5.0, 0.5)
        kept(watched, POLICIES, 5.0)
        await evaluated(bed, machine, "BurnOnce")


async def burn(bed: Bed, machine: Machine, name: str) -> None:
    """Assign a burning policy, and wait until it burns."""
    burner = policies.script_package(name, f"timeout {BURNING} sh -c '{BURN}'", "exit 0")
    content = await policies.upload(bed, name, burner)
    (await policies.assign(bed, machine, content, mode="Audit")).expect_ok()
    await governance.busy(machine, POLICIES)


async def evaluated(bed: Bed, machine: Machine, name: str) -> None:
    """Wait until a burning policy has been evaluated."""

    async def compliant() -> bool:
        return await policies.compliance(bed, machine, name) == "Compliant"

    await eventually(f"{name} is Compliant", compliant, within=BURNING + 90)


async def holds_an_extension(bed: Bed, machine: Machine) -> None:
    """A sample handler that leaves a burning process behind, installed by a PUT in ARM."""
    async with bed.step(
        "What an extension leaves running uses 30 % of a core, and 5 % once that is set", ["cpu.extension"]
    ):
        kind = await extensions.publish(bed, "cpu_burner")
        (await extensions.put(bed, machine, "burner", kind)).expect_ok()
        await burner(bed, machine)
        await governance.busy(machine, EXTENSION)
        before = await governance.watch(machine, SPAN)
        bed.chart(before.chart("An extension that burns", {EXTENSION: NAMES[EXTENSION]}, 30.0))
        exited(await machine.azcmagent("config", "set", EXTENSION_LIMIT, "5"), 0)
        after = await governance.watch(machine, SPAN)
        title = f"The same extension after {EXTENSION_LIMIT} was set to 5"
        bed.chart(after.chart(title, {EXTENSION: NAMES[EXTENSION]}, 5.0))
        near(before.mean(EXTENSION), 30.0, 1.5)
        near(after.mean(EXTENSION), 5.0, 0.5)
        kept(before, EXTENSION, 30.0)
        kept(after, EXTENSION, 5.0)


async def burner(bed: Bed, machine: Machine) -> None:
    """Wait until the burning extension is installed.

    Raises:
        NotCoveredError: handlers are not run on this computer.
    """

    async def ended() -> str | None:
        state = await extensions.state(bed, machine, "burner")
        return state if state in ENDED else None

    if await eventually("the extension is installed", ended, within=120) == "Failed":
        why = await extensions.message(bed, machine, "burner")
        if "so they are not run" in why:
            raise NotCoveredError(why)
        raise BedError(f"the extension has failed: {why}")


async def holds_both(bed: Bed, machine: Machine) -> None:
    """Each has its limit for itself."""
    async with bed.step("A policy and an extension use 5 % each, 10 % together", ["cpu.each-for-itself"]):
        await burner(bed, machine)
        await burn(bed, machine, "BurnAgain")
        watched = await governance.watch(machine, SPAN)
        bed.chart(watched.chart("A policy and an extension that burn", NAMES, 5.0))
        near(watched.mean(POLICIES), 5.0, 0.5)
        near(watched.mean(EXTENSION), 5.0, 0.5)
        near(watched.mean(POLICIES, EXTENSION), 10.0, 0.7)
        for group in NAMES:
            kept(watched, group, 5.0)
        await evaluated(bed, machine, "BurnAgain")


async def tells_arm(bed: Bed, machine: Machine) -> None:
    """The accounts reach ARM with a heartbeat; then the burner is taken away."""
    async with bed.step("What that cost shows in the machine's properties in ARM", ["cpu.reported"]):

        async def told() -> Mapping[str, str] | None:
            properties = (await bed.cloud.machine(GROUP, machine.name)).expect_ok().body["properties"]
            found: Mapping[str, str] = properties.get("detectedProperties") or {}
            return found if f"{last}: " in found.get("policyCpuUsage", "") else None

        ran = await extensions.state(bed, machine, "burner") == "Succeeded"
        last = "BurnAgain" if ran else "BurnOnce"
        said = await eventually("accounts in ARM", told, within=150)
        for name in ("policyCpuUsage", "extensionsCpuUsage") if ran else ("policyCpuUsage",):
            bed.note(name, said[name].replace("; ", "\n"))
            contains(name, said[name], "limit 5 % of one core enforced")
        (await extensions.delete(bed, machine, "burner")).expect_ok()

        async def gone() -> bool:
            return await extensions.state(bed, machine, "burner") == ""

        await eventually("the extension is gone", gone, within=120)
        exited(await machine.azcmagent("config", "clear", EXTENSION_LIMIT), 0)


async def lets_an_installation_have_more(bed: Bed, machine: Machine) -> None:
    """The window of 2022 on Red Hat and its like."""
    agent = "AzureMonitorLinuxAgent"
    async with bed.step(
        "On RHEL the Azure Monitor agent may use 60 % while it is installed, and 5 % afterwards",
        ["cpu.installation-window"],
    ):
        folder = machine.path("home")
        await like_rhel(machine)
        machine.set_local_config(agent__profile="seed", host__root=str(folder / "rhel"))
        install = await run(machine, BURN, "--extension", agent, "--during", "install")
        enable = await run(machine, BURN, "--extension", agent, "--during", "enable")
        machine.set_local_config(agent__profile=None, host__root=None)
        bed.chart(install.chart("Installing"))
        bed.chart(enable.chart("Enabling"))
        equal("limits", [install.seconds[-1][2], enable.seconds[-1][2]], [60.0, 5.0])
        near(enable.mean(), 5.0, 0.5)
        near(install.mean(), 60.0, 4.0)


async def like_rhel(machine: Machine) -> None:
    """Give the machine a folder whose os-release goes before its own."""
    place = f"{machine.path('home')}/rhel/etc"
    exited(await machine.command("mkdir", "-p", place), 0)
    (machine.path("home") / "rhel" / "etc" / "os-release").write_text(RHEL)


async def uses_a_core_without(bed: Bed, machine: Machine) -> None:
    """The control run."""
    async with bed.step("Without a limit the same loop uses more than 80 % of a core", ["cpu.not-enforced"]):
        trial = await run(machine, BURN, "--no-limit")
        bed.chart(trial.chart("A busy loop without a limit"))
        equal("reported as enforced", trial.usage["enforced"], expected=False)
        true("it uses more than 80 % of a core", trial.mean() > 80, f"{trial.mean():.1f} %")


async def run(machine: Machine, script: str, *flags: str, seconds: float = SPAN, during: Any = None) -> Trial:
    """Run a shell script within the machine's limits for some seconds, and something beside it.

    Raises:
        BedError: it could not be run.
    """
    words = ["python3", "-m", "arcbed_agent.governor", *flags, "--seconds", str(seconds)]
    command = machine.command(
        *("env", "PYTHONPATH=/opt/azcmagent/lib", *words, "--", "sh", "-c", script), limit=seconds + 60
    )
    done, _ = await asyncio.gather(command, during or asyncio.sleep(0))  # noqa: TID251 - nothing to wait for
    if done.exit_code:
        raise BedError(f"the trial left with {done.exit_code}: {done.output.strip()}")
    choice, *accounts, end = [json.loads(line) for line in done.stdout.splitlines()]
    return Trial(
        choice["choice"],
        tuple((one["at"], one["percent"], one["limitPercent"]) for one in accounts),
        end["usage"],
    )


def near(measured: float, percent: float, tolerance: float) -> None:
    """A mean is what the limit says."""
    close = abs(measured - percent) <= tolerance
    true(f"it uses {percent:g} +- {tolerance:g} % of one core", close, f"{measured:.2f} %")


def enforced(trial: Trial) -> None:
    """The report says that the limit was kept, and by what."""
    equal("reported as enforced", trial.usage["enforced"], expected=True)
    equal("back end of the report", trial.usage["backend"], trial.choice["backend"])
    equal("escapes", trial.usage["escapes"], [])


def kept(watched: governance.Watched, group: str, percent: float) -> None:
    """The daemon's account says that the limit was kept, and that it was needed."""
    account = watched.last(group)
    equal("limit of the account", account["cpuLimitPercent"], percent)
    equal("accounted as enforced", account["enforced"], expected=True)
    equal("escapes", account["escapes"], [])
    true("it was throttled", account["throttledPeriods"] > 0, account)
