"""Beds made of containers: they come up, they hold every story, and nothing is left of them."""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from arcbed.harness import Bed, BedError, CheckError, CloudOptions, clock, runner
from arcbed.harness.checks import exited
from arcbed.harness.containers import networks, reaper
from arcbed.harness.containers.backend import DockerBackend
from arcbed.harness.containers.engine import Engine, Images
from arcbed.harness.places import DOCKER, DOCKER_SYSTEMD
from arcbed.harness.process import ProcessDiedError
from arcbed.harness.scenario import Scenario, discover
from arcbed_agent import AGENT_VERSION

pytestmark = [pytest.mark.containers, pytest.mark.timeout(180)]
GROUP = "rg-servers"
LATER = "1.68.0.0"


def objects(engine: Engine) -> list[reaper.Found]:
    return [found for found in reaper.beds(engine.client) if found.bed == engine.bed]


@pytest.fixture
def engine(tmp_path):
    """An engine for a bed of this test, made in `tmp_path`."""
    made = Engine(f"test-{secrets.token_hex(4)}", directory=tmp_path)
    yield made
    while reaper.remove(made.client, made.bed):
        pass
    made.close()


@pytest.fixture(scope="module")
def two_versions(packages):
    """The folder with the agent's package, and with that of a later version."""
    packages(AGENT_VERSION)
    return packages(LATER).parent


LONG = (pytest.mark.long, pytest.mark.timeout(3_600))
STORIES = [
    pytest.param(name, marks=LONG if story.long or story.alone else ()) for name, story in discover().items()
]


@pytest.mark.parametrize("name", STORIES)
async def test_every_story_holds_on_docker(name, two_versions, monkeypatch):
    monkeypatch.setenv("ARCBED_PACKAGES", str(two_versions))
    told = await runner.run_one(discover()[name], seed="7", place=DOCKER)

    assert told.outcome == "passed", told.error
    assert told.clauses()


SYSTEMD = pytest.mark.skipif(
    not Path("/sys/fs/cgroup/systemd").is_dir() or os.geteuid() != 0,
    reason="needs cgroup v1 and root, to make a group",
)


@SYSTEMD
async def test_machines_can_have_systemd_and_leave_no_group_of_theirs_behind():
    before = set(Path("/sys/fs/cgroup").glob("*/arcbed-*"))
    async with Bed(place=DOCKER_SYSTEMD) as bed:
        await bed.cloud.new_group(GROUP)
        await bed.cloud.register()
        machine = await bed.machine("web-01", resource_group=GROUP)
        exited(await machine.connect(), 0)
        assert (await machine.command("cat", "/proc/1/comm")).stdout == "systemd\n"
        shown = await machine.azcmagent("show", "CPU Limit Backend")
        assert "systemd" in shown.output
        await machine.kill()
        await machine.start()
        exited(await machine.azcmagent("show", "Agent Status"), 0, "Connected")
    assert set(Path("/sys/fs/cgroup").glob("*/arcbed-*")) == before


@SYSTEMD
@pytest.mark.long
@pytest.mark.alone
@pytest.mark.timeout(1_800)
async def test_limits_hold_where_systemd_is_pid_1():
    told = await runner.run_one(discover()["cpu-governance"], seed="7", place=DOCKER_SYSTEMD)
    assert told.outcome == "passed", told.error
    assert [step.outcome for step in told.steps] == ["passed"] * len(told.steps)


async def test_machines_that_are_made_together_come_up_together(bed):
    names = ["web-01", "app-01", "db-01"]
    began = clock.monotonic()
    machines = await asyncio.gather(*(bed.machine(name, resource_group=GROUP) for name in names))
    took = clock.monotonic() - began

    for machine in machines:
        exited(await machine.connect(), 0)
    listed = await bed.cloud.arm.get(
        f"{bed.cloud.arm.group_id(GROUP)}/providers/Microsoft.HybridCompute/machines"
    )
    assert sorted(item["name"] for item in listed.body["value"]) == sorted(names)
    assert took < 30


async def test_azures_names_lead_to_the_bed_and_nothing_leads_out_of_it(bed):
    machine = await bed.machine("web-01", resource_group=GROUP)

    arm = "https://management.azure.com/metadata/endpoints?api-version=2022-09-01"
    for url in (
        arm,
        "https://login.microsoftonline.com/common/discovery/instance",
        "https://x.his.arc.azure.com/",
    ):
        answer = await machine.command("curl", "-sS", "-o", "/dev/null", "-w", "%{http_code}", url)
        assert answer.exit_code == 0, answer.output
    assert (await machine.command("curl", "-sS", "https://deb.debian.org/")).exit_code == 6
    outside = await machine.command("curl", "-sS", "--connect-timeout", "2", "http://192.0.2.1/")
    assert outside.exit_code in {7, 28}


@pytest.mark.parametrize(
    "host", ["management.azure.com", "login.microsoftonline.com", "gbl.his.arc.azure.com", "pas.windows.net"]
)
async def test_tls_1_1_is_refused_by_the_server_and_1_2_is_not(bed, host):
    machine = await bed.machine("web-01", resource_group=GROUP)

    def handshake(version, port=443, where=host):
        weak = "-cipher DEFAULT@SECLEVEL=0"
        line = f"openssl s_client {version} {weak} -connect {where}:{port} -servername {host} </dev/null 2>&1"
        return machine.command("bash", "-c", line)

    old = await handshake("-tls1_1")
    assert "alert protocol version" in old.stdout, old.stdout
    assert "Protocol  : TLSv1.2" in (await handshake("-tls1_2")).stdout

    # The client can speak 1.1: a server that accepts it gets it.
    tolerant = """
        openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=old -keyout /tmp/k -out /tmp/c 2>/dev/null
        weak="-tls1_1 -cipher DEFAULT@SECLEVEL=0"
        openssl s_server -accept 4433 -key /tmp/k -cert /tmp/c $weak -www >/tmp/s 2>&1 &
        timeout 10 bash -c 'until (exec 3<>/dev/tcp/localhost/4433) 2>/dev/null; do :; done'
    """
    exited(await machine.command("bash", "-c", tolerant), 0)
    assert "Protocol  : TLSv1.1" in (await handshake("-tls1_1", 4433, "localhost")).stdout


async def test_a_control_plane_that_is_killed_comes_back_with_all_it_knew(bed):
    machine = await bed.machine("web-01", resource_group=GROUP)
    exited(await machine.connect(), 0)

    await bed.cloud.host.kill()
    await bed.cloud.host.start()

    answer = await bed.cloud.machine(GROUP, "web-01")
    assert answer.body["properties"]["vmId"] == machine.agent_config()["vmId"]
    before = (await machine.show())["lastHeartbeat"]

    async def beats():
        return (await machine.show())["lastHeartbeat"] > before or None

    assert await clock.until(beats, limit=10)


async def test_an_agent_that_is_killed_stays_dead_until_it_is_started(bed):
    machine = await bed.machine("web-01", resource_group=GROUP)
    await machine.kill()
    assert (await machine.command("systemctl", "is-active", "himdsd")).stdout.strip() != "active"
    await machine.start()
    assert (await machine.command("systemctl", "is-active", "himdsd")).stdout.strip() == "active"


async def test_a_container_that_ends_by_itself_breaks_the_bed(bed, engine):
    machine = await bed.machine("web-01", resource_group=GROUP)
    engine.container(machine.host.container).kill()
    with pytest.raises(ProcessDiedError, match="web-01 ended with exit code 137"):
        bed.check()


async def test_a_story_that_fails_leaves_the_logs_of_every_container_in_its_report():
    async def story(bed):
        await bed.cloud.register()
        await bed.cloud.new_group(GROUP)
        machine = await bed.machine("web-01", resource_group=GROUP)
        exited(await machine.connect(), 0)
        raise CheckError("it", "this", "that")

    told = await runner.run_one(
        Scenario(name="fails", title="", about="", options=CloudOptions(), story=story),
        seed="7",
        place=DOCKER,
    )

    assert told.outcome == "failed"
    found = {(item.owner, item.name): item.text for item in told.attachments}
    assert "fakecloud is ready" in found["control plane", "fakecloud.log"]
    assert "Connected machine to Azure" in found["web-01", "himds.log"]
    assert "azcmagent connect" in found["web-01", "azcmagent.log"]
    assert "agentconfig.json" in found["web-01", "files"]


async def test_nothing_is_left_of_a_bed(engine, tmp_path):
    backend = DockerBackend(tmp_path, engine)
    async with Bed(CloudOptions(), backend=backend, folder=tmp_path) as bed:
        bed.keep = False
        machine = await bed.machine("web-01")
        proxy = await bed.proxy()
        async with machine.cut_off("unreachable"), machine.proxy_only(proxy), machine.latency(10):
            pass
        attached = [network["Id"] for network in engine.client.api.networks(filters=label(engine))]
        subnets = [str(backend._around.azure.subnet), str(backend._around.control.subnet)]
        mounts = [
            mount["Name"]
            for one in engine.client.containers.list(all=True, filters=label(engine))
            for mount in one.attrs["Mounts"]
        ]
        watchdog = backend._watchdog.pid
        assert len(attached) == 2
        assert mounts
        assert host_lines(attached, subnets)

    assert objects(engine) == []
    volumes = {volume.name for volume in engine.client.volumes.list()}
    assert not volumes & set(mounts)
    assert host_lines(attached, subnets) == []
    assert not Path(f"/proc/{watchdog}").exists()


def label(engine: Engine) -> dict[str, str]:
    return {"label": f"dev.arcbed.bed={engine.bed}"}


def host_lines(attached: list[str], subnets: list[str]) -> list[str]:
    """What this computer's routes, rules and packet filters say of a bed's networks."""
    commands = [["ip", "route", "show", "table", "all"], ["ip", "rule"], ["ip", "link"], ["iptables-save"]]
    said = "".join(
        subprocess.run(command, capture_output=True, text=True, check=False).stdout for command in commands
    )
    signs = [f"br-{identity[:12]}" for identity in attached] + [subnet.split("/")[0] for subnet in subnets]
    return [line for line in said.splitlines() if any(sign in line for sign in signs)]


RUN = """
    import asyncio, sys
    from pathlib import Path
    from arcbed.harness import Bed
    from arcbed.harness.containers.backend import DockerBackend
    from arcbed.harness.containers.engine import Engine

    async def main():
        folder = Path(sys.argv[2])
        async with Bed(backend=DockerBackend(folder, Engine(sys.argv[1])), folder=folder) as bed:
            machine = await bed.machine("web-01")
            async with machine.cut_off():
                print("up", flush=True)
                await asyncio.Event().wait()

    asyncio.run(main())
"""


async def test_a_run_that_is_killed_leaves_nothing_behind(engine, tmp_path):
    folder = tmp_path / "bed"
    folder.mkdir()
    command = [sys.executable, "-c", textwrap.dedent(RUN), engine.bed, str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True) as run:
        assert run.stdout.readline() == "up\n"
        assert objects(engine)[0].count >= 7
        assert (folder / "cloud" / "admin.token").is_file()
        os.killpg(run.pid, signal.SIGKILL)

    async def gone():
        return (not objects(engine) and not watchdogs(engine)) or None

    assert await clock.until(gone, limit=60, every=0.5)
    assert not (folder / "cloud").exists()


def watchdogs(engine: Engine) -> list[str]:
    listed = subprocess.run(["ps", "axww", "-o", "args"], capture_output=True, text=True, check=True).stdout
    return [line for line in listed.splitlines() if "watchdog" in line and engine.bed in line]


async def test_down_removes_the_beds_of_its_folder_and_no_other(engine, tmp_path):
    (tmp_path / "other").mkdir()
    other = Engine(f"{engine.bed}-other", directory=tmp_path / "other")
    try:
        for one in (engine, other):
            one.client.volumes.create(one.name("state"), labels=one.labels("state"))
            networks.make(one, "azure", internal=True)
            one.client.containers.create(
                one.images.agent,
                name=one.name("web-01"),
                labels=one.labels("machine"),
                network=one.name("azure"),
            )
        assert objects(engine)[0].count == objects(other)[0].count == 3

        done = down(tmp_path)

        assert f"Removed the bed {engine.bed}: 3 containers, networks and volumes." in done.stdout
        assert objects(engine) == []
        assert objects(other)[0].count == 3
        assert "There is no bed that was made in this folder" in down(tmp_path).stdout
        assert f"Removed the bed {other.bed}" in down(tmp_path, "--bed", other.bed).stdout
        assert objects(other) == []
    finally:
        reaper.remove(other.client, other.bed)
        other.close()


def down(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    arcbed = Path(sys.executable).with_name("arcbed")
    return subprocess.run([arcbed, "down", *options], cwd=folder, capture_output=True, text=True, check=True)


async def test_an_image_that_is_missing_is_named_and_nothing_is_left(engine, tmp_path):
    bare = Engine(engine.bed, images=Images(cloud="arcbed/no-such-image:dev"))
    with pytest.raises(BedError, match=r"no-such-image:dev.*make images"):
        async with Bed(backend=DockerBackend(tmp_path, bare), folder=tmp_path):
            pass
    # A kept folder keeps the bed as well; `arcbed down` removes it.
    assert all(found.containers == [] for found in objects(engine))


@pytest.mark.parametrize("arguments", [("down",), ("run", "onboarding", "--backend", "docker")])
def test_without_an_engine_the_error_says_what_to_do(tmp_path, arguments):
    done = subprocess.run(
        [Path(sys.executable).with_name("arcbed"), *arguments],
        cwd=tmp_path,
        env={**os.environ, "DOCKER_HOST": "unix:///nowhere/docker.sock"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "no Docker engine answers" in done.stdout + done.stderr


def test_the_test_of_the_how_to_page_passes(tmp_path):
    page = (Path(__file__).parents[2] / "docs" / "how-to" / "cut-the-network.md").read_text()
    snippet = page.partition("<!-- tests/containers/test_backend.py runs this -->\n```python\n")[2]
    (tmp_path / "test_cut_off.py").write_text(snippet.partition("```\n")[0])
    (tmp_path / "pytest.ini").write_text(
        "[pytest]\nasyncio_mode = auto\nasyncio_default_fixture_loop_scope = function\n"
    )
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 passed" in done.stdout
