"""The images: what they weigh and carry, and a machine's PID 1 as programs inside it see it."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest
from engine import AGENT, FAKECLOUD, MACHINE, Container, container, docker, inspect

pytestmark = pytest.mark.containers
FLAVOURS = Path(__file__).parents[2] / "containers/machine/flavours"
#: A machine alone: no metadata service is looked for, so that nothing waits for one.
ALONE = (
    "--network",
    "none",
    "--env",
    "ARC_INIT=supervisor",
    "--env",
    "ARC_CONFIG_host__imdsAddress=127.0.0.1:9",
)
ANSWERS = "curl -fs -o /dev/null -H Metadata:true http://localhost:40342/agentstatus"
SYSTEMD = Path("/sys/fs/cgroup/systemd")


# -- what is in them ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("image", "megabytes"), [(FAKECLOUD, 250), (AGENT, 400)])
def test_image_is_small(image, megabytes):
    assert inspect(image)["Size"] < megabytes * 1e6


@pytest.mark.parametrize("image", [FAKECLOUD, MACHINE, AGENT])
def test_image_says_what_it_is(image):
    labels = inspect(image)["Config"]["Labels"]
    assert labels["dev.arcbed"] == "true"
    assert labels["org.opencontainers.image.title"]
    assert labels["org.opencontainers.image.revision"]


@pytest.mark.parametrize("image", [FAKECLOUD, AGENT])
def test_image_has_a_health_check(image):
    assert inspect(image)["Config"]["Healthcheck"]["Test"]


@pytest.mark.parametrize("image", [FAKECLOUD, MACHINE, AGENT])
def test_no_layer_holds_a_key_or_a_setting_of_the_build_machine(image):
    """Private keys, machine ids, proxies and package indexes of whoever built it."""
    script = (
        "grep -rIlE '^-----BEGIN [A-Z ]*PRIVATE KEY' /etc /opt /var /usr/lib/arcbed /root /state;"
        "ls /etc/ssh/ssh_host_* /etc/pip.conf /root/.config /state/secrets.json; cat /etc/machine-id"
    )
    done = docker(
        "run",
        "--rm",
        "--network",
        "none",
        "--entrypoint",
        "bash",
        image,
        "-c",
        f"{{ {script}; }} 2>/dev/null",
        check=False,
    )
    assert done.stdout == ""
    environment = " ".join(inspect(image)["Config"]["Env"])
    assert not any(word in environment.lower() for word in ("proxy", "secret", "password", "token", "pip_"))


def test_control_plane_is_nobody_special():
    assert inspect(FAKECLOUD)["Config"]["User"] == "fakecloud"


def test_control_plane_serves_443_without_any_capability():
    limits = (
        "--cap-drop",
        "ALL",
        "--security-opt",
        "no-new-privileges:true",
        "--read-only",
        "--network",
        "none",
    )
    with container(FAKECLOUD, *limits) as cloud:
        cloud.wait("fakecloud-healthy 2>/dev/null")
        assert cloud.run("id", "-un").stdout.strip() == "fakecloud"


def test_control_plane_hands_machines_the_authority_and_no_key():
    with container(FAKECLOUD, "--network", "none") as cloud:
        cloud.wait("fakecloud-healthy 2>/dev/null")
        handed_over = cloud.run("ls", "/shared").stdout.split()
        assert sorted(handed_over) == ["ca.pem", "clock.token", "onboarding.json"]
        opens_the_admin_api = cloud.run("cat", "/state/admin.token").stdout
        assert cloud.run("cat", "/shared/clock.token").stdout != opens_the_admin_api
        assert "PRIVATE" not in cloud.run("cat", "/shared/ca.pem").stdout
        handed = json.loads(cloud.run("cat", "/shared/onboarding.json").stdout)
        owner = json.loads(cloud.run("cat", "/state/secrets.json").stdout)["owner"]
        assert set(handed["onboarding"]) == {"clientId", "clientSecret", "objectId"}
        assert owner["clientSecret"] not in json.dumps(handed)


def test_machine_has_what_extension_handlers_call():
    programs = (
        "python python3 openssl ps lsof curl ip sudo sshd systemctl dbus-daemon rsyslogd useradd crontab"
    )
    done = docker("run", "--rm", MACHINE, "bash", "-c", f"command -v {programs}")
    assert len(done.stdout.split()) == len(programs.split())


def test_machine_without_the_agent_has_nothing_of_it():
    done = docker(
        "run",
        "--rm",
        MACHINE,
        "bash",
        "-c",
        "ls -d /opt/azcmagent /var/opt/azcmagent 2>/dev/null",
        check=False,
    )
    assert done.stdout == ""


# -- PID 1 and systemctl -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def machine():
    with container(
        AGENT, *ALONE, "--env", "ARC_CONFIG_himds__heartbeatSeconds=60", "--env", "HTTPS_PROXY=http://p:1"
    ) as made:
        made.wait(ANSWERS)
        yield made


def unit(machine: Container, name: str, service: str) -> None:
    text = f"[Service]\\n{service}\\n[Install]\\nWantedBy=multi-user.target\\n"
    machine.sh(f"printf '{text}' > /etc/systemd/system/{name}.service")
    machine.run("systemctl", "daemon-reload")


def test_agent_runs_under_the_supervisor_and_its_log_is_the_containers(machine):
    assert machine.run("systemctl", "is-active", "himdsd").stdout == "active\n"
    pid = machine.run("systemctl", "show", "-P", "MainPID", "himdsd").stdout.strip()
    assert machine.run("cat", f"/proc/{pid}/comm").stdout == "himds\n"
    assert 'msg="himds has started"' in machine.logs


def test_programs_paths_and_accounts_are_the_documented_ones(machine):
    machine.sh(
        "test -x /opt/azcmagent/bin/azcmagent && test -x /opt/azcmagent/bin/himds && getent passwd himds"
    )
    machine.sh("test -f /lib/systemd/system/himdsd.service && test -d /var/opt/azcmagent/certs")


@pytest.mark.parametrize(
    ("command", "code", "says"),
    [
        ("status himdsd", 0, "Active: active (running)"),
        ("status ssh", 3, "Active: inactive (dead)"),
        ("status nobody", 4, ""),
        ("is-active himdsd", 0, "active"),
        ("is-active ssh", 3, "inactive"),
        ("is-enabled himdsd", 0, "enabled"),
        ("is-enabled ssh", 1, "disabled"),
        ("start nobody", 5, ""),
        ("show -p LoadState --value nobody", 0, "not-found"),
        ("show -p ActiveState,SubState himdsd", 0, "ActiveState=active\nSubState=running"),
        ("show-environment", 0, "IMDS_ENDPOINT=http://localhost:40342"),
        ("frobnicate himdsd", 1, ""),
    ],
)
def test_systemctl_answers_with_systemds_words_and_codes(machine, command, code, says):
    done = machine.run("systemctl", *command.split(), check=False)
    assert done.returncode == code
    assert says in done.stdout


def test_killed_service_comes_back_with_another_pid(machine):
    before = machine.run("systemctl", "show", "-P", "MainPID", "himdsd").stdout.strip()
    machine.run("kill", "-9", before)
    machine.wait(f'pid=$(systemctl show -P MainPID himdsd); [ "$pid" != 0 ] && [ "$pid" != {before} ]')
    assert int(machine.run("systemctl", "show", "-P", "NRestarts", "himdsd").stdout) >= 1


def test_stopped_service_stays_down_until_it_is_started(machine):
    machine.run("systemctl", "stop", "himdsd")
    assert machine.run("systemctl", "is-active", "himdsd", check=False).returncode == 3
    assert machine.run("pgrep", "-x", "himds", check=False).stdout == ""
    machine.run("systemctl", "start", "himdsd")
    machine.wait(ANSWERS)


def test_restart_leaves_pid_1_and_other_services_alone(machine):
    cron = machine.run("systemctl", "show", "-P", "MainPID", "cron").stdout
    machine.run("systemctl", "restart", "himdsd")
    assert machine.run("systemctl", "show", "-P", "MainPID", "cron").stdout == cron
    assert "arcbed/start" in machine.run("ps", "-o", "args=", "1").stdout


def test_enabling_and_disabling_is_a_link(machine):
    link = "/etc/systemd/system/multi-user.target.wants/ssh.service"
    machine.run("systemctl", "enable", "ssh")
    machine.run("test", "-L", link)
    machine.run("systemctl", "disable", "ssh")
    assert machine.run("test", "-L", link, check=False).returncode == 1


def test_service_that_fails_is_failed_with_its_result(machine):
    unit(machine, "broken", 'Type=oneshot\\nExecStart=/bin/sh -c "exit 7"')
    assert machine.run("systemctl", "start", "broken", check=False).returncode == 1
    assert machine.run("systemctl", "is-failed", "broken").stdout == "failed\n"
    assert "Result: exit-code" in machine.run("systemctl", "status", "broken", check=False).stdout


def test_service_that_keeps_ending_is_given_up(machine):
    unit(machine, "restless", "ExecStart=/bin/false\\nRestart=always\\nRestartSec=10ms")
    machine.run("systemctl", "start", "restless", check=False)
    machine.wait("systemctl show -P Result restless | grep -x start-limit-hit")


def test_service_that_was_given_up_starts_again_after_reset_failed(machine):
    unit(machine, "often", "ExecStart=/bin/sleep 60")
    for _ in range(5):
        machine.sh("systemctl start often && systemctl stop often")
    assert machine.run("systemctl", "start", "often", check=False).returncode == 1
    assert machine.run("systemctl", "show", "-P", "Result", "often").stdout == "start-limit-hit\n"
    machine.run("systemctl", "reset-failed", "often")
    machine.run("systemctl", "start", "often")
    assert machine.run("systemctl", "is-active", "often").stdout == "active\n"


def test_service_sees_its_units_user_drop_ins_and_files_and_the_managers_environment(machine):
    machine.sh("mkdir -p /etc/systemd/system/seen.service.d; echo FROM_FILE=three > /etc/seen.env")
    more = '[Service]\\nEnvironment="DROPPED=two words"\\n'
    machine.sh(f"printf '{more}' > /etc/systemd/system/seen.service.d/a.conf")
    start = 'ExecStart=/bin/sh -c "(id -un; env) > /tmp/seen"'
    unit(machine, "seen", f"Type=oneshot\\nUser=himds\\nEnvironmentFile=/etc/seen.env\\n{start}")
    machine.run("systemctl", "set-environment", "SET=four")
    machine.run("systemctl", "start", "seen")
    seen = machine.run("cat", "/tmp/seen").stdout.splitlines()
    assert seen[0] == "himds"
    wanted = {
        "DROPPED=two words",
        "FROM_FILE=three",
        "SET=four",
        "HTTPS_PROXY=http://p:1",
        "IMDS_ENDPOINT=http://localhost:40342",
    }
    assert wanted <= set(seen)


def test_orphans_are_reaped(machine):
    machine.sh("(setsid sh -c 'sleep 0.2' &) ; (setsid sh -c 'true' &)")
    machine.wait("! ps axo stat= | grep -q Z")


def test_settings_of_the_environment_are_in_localconfig(machine):
    document = json.loads(machine.run("cat", "/var/opt/azcmagent/localconfig.json").stdout)
    assert document == {"host.imdsAddress": "127.0.0.1:9", "himds.heartbeatSeconds": 60}


def test_stopping_the_container_is_quick_and_clean():
    with container(AGENT, *ALONE) as made:
        made.wait(ANSWERS)
        docker("stop", "--time", "30", made.name)
        assert inspect(made.name)["State"]["ExitCode"] == 0
        assert 'msg="himds has stopped"' in made.logs


def test_wrong_setting_is_named_and_the_machine_does_not_start():
    done = docker("run", "--rm", "--env", "ARC_FLAVOUR=windows-95", MACHINE, check=False)
    assert done.returncode == 1
    assert "ARC_FLAVOUR=windows-95: known are amzn-2" in done.stderr


def test_systemd_that_cannot_run_is_refused_with_the_reason():
    done = docker("run", "--rm", "--env", "ARC_INIT=systemd", MACHINE, check=False)
    assert done.returncode == 1
    assert "is not writable" in done.stderr


@pytest.mark.parametrize("flavour", sorted(path.name for path in FLAVOURS.iterdir()))
def test_machine_of_a_flavour_shows_its_release_to_azure(flavour):
    program = (
        "import sys; sys.path.insert(0, '/opt/azcmagent/lib'); from arcbed_agent.host import *;"
        "print(open_host(Layout(), {'host.imdsAddress': '127.0.0.1:9'}).metadata()['osSku'])"
    )
    done = docker(
        "run",
        "--rm",
        "--network",
        "none",
        "--env",
        f"ARC_FLAVOUR={flavour}",
        AGENT,
        "python3",
        "-I",
        "-c",
        program,
    )
    text = (FLAVOURS / flavour / "os-release").read_text()
    pretty = next(
        line.partition("=")[2].strip('"') for line in text.splitlines() if line.startswith("PRETTY_NAME=")
    )
    assert done.stdout.strip() == pretty


def test_hardware_is_drawn_from_its_seed_and_shown():
    def shown(seed: str) -> str:
        options = ("run", "--rm", "--network", "none", "--env", f"ARC_HARDWARE={seed}")
        done = docker(*options, AGENT, "bash", "-c", "azcmagent show | grep -E '^(Manufacturer|Model) '")
        return done.stdout

    assert shown("web-01") == shown("web-01") != shown("web-02")
    assert re.search(r"Manufacturer +: \S", shown("web-01"))


def test_authority_is_trusted_and_another_one_takes_its_place():
    make = (
        "openssl req -x509 -newkey rsa:2048 -nodes -subj /CN={0} -keyout /tmp/k -out /tmp/{0}.crt 2>/dev/null"
    )
    trust = "ARC_CA=/tmp/{0}.crt /usr/lib/arcbed/start openssl verify -CApath /etc/ssl/certs /tmp/{1}.crt"
    with container(MACHINE, "--network", "none") as machine:
        machine.sh("; ".join(make.format(name) for name in ("first", "second")))
        assert "OK" in machine.sh(trust.format("first", "first")).stdout
        assert "OK" in machine.sh(trust.format("second", "second")).stdout
        assert machine.sh(trust.format("second", "first"), check=False).returncode != 0
        bundle = machine.run("cat", "/etc/ssl/certs/ca-certificates.crt").stdout
        assert machine.run("cat", "/tmp/second.crt").stdout in bundle
        assert machine.run("cat", "/tmp/first.crt").stdout not in bundle


# -- systemd -----------------------------------------------------------------------------------------------


@pytest.mark.skipif(
    not SYSTEMD.is_dir() or os.geteuid() != 0, reason="needs cgroup v1 and root, to make a group"
)
def test_systemd_is_pid_1_with_a_subtree_of_its_own_and_few_capabilities():
    group = f"/arcbed-test-{os.getpid()}"
    folders = [Path(f"/sys/fs/cgroup/{name}{group}") for name in ("systemd", "cpu", "cpuacct")]
    mounts = [word for folder in folders for word in ("--volume", f"{folder.parent}:{folder.parent}:ro")]
    mounts += [word for folder in folders for word in ("--volume", f"{folder}:{folder}:rw")]
    kept = (
        "AUDIT_WRITE CHOWN DAC_OVERRIDE FOWNER FSETID KILL NET_BIND_SERVICE SETGID SETPCAP SETUID SYS_CHROOT"
    )
    caps = ["--cap-drop", "ALL", *(word for name in kept.split() for word in ("--cap-add", name))]
    tmpfs = [word for path in ("/sys/fs/cgroup:mode=755", "/run", "/run/lock") for word in ("--tmpfs", path)]
    for folder in folders:
        folder.mkdir()
    try:
        options = (
            "--env",
            "ARC_INIT=systemd",
            "--cgroupns",
            "host",
            "--cgroup-parent",
            group,
            "--network",
            "none",
        )
        with container(AGENT, *options, *caps, *tmpfs, *mounts) as made:
            made.wait("systemctl is-system-running | grep -x running")
            assert made.run("cat", "/proc/1/comm").stdout == "systemd\n"
            made.wait("systemctl is-active -q himdsd")
            made.run("systemctl", "set-property", "--runtime", "himdsd", "CPUQuota=5%")
            quota = made.sh(f"cat /sys/fs/cgroup/cpu{group}/*/system.slice/himdsd.service/cpu.cfs_quota_us")
            assert quota.stdout.strip() == "5000"
            # 137 would be the engine's kill after the time is up.
            docker("stop", "--time", "15", made.name)
            assert inspect(made.name)["State"]["ExitCode"] == 0
    finally:
        # The engine makes the group in every hierarchy and leaves it there.
        for folder in Path("/sys/fs/cgroup").glob(f"*{group}"):
            folder.rmdir()
