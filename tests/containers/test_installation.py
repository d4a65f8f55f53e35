"""The agent is installed, upgraded and removed as Azure's documentation says, in a plain Debian 12."""

from __future__ import annotations

import json

import pytest

from arcbed.harness.admin import Admin
from arcbed.harness.checks import eventually
from arcbed.portal import Onboarding, Principal, linux_script
from arcbed_agent import AGENT_VERSION

pytestmark = [pytest.mark.containers, pytest.mark.timeout(300)]

NEXT = "1.68.0.0"
#: Without repositories of Debian, which a bed's networks do not lead to: what the package needs is there.
OFFLINE = "rm -f /etc/apt/sources.list /etc/apt/sources.list.d/debian.sources"
#: Everything on the machine but what logs and the package managers themselves keep.
TREE = (
    r"find / -xdev \( -path /proc -o -path /sys -o -path /dev -o -path /tmp -o -path /var/lib/dpkg "
    r"-o -path /var/lib/apt -o -path /var/cache -o -path /var/log -o -path /run -o -name __pycache__ \) "
    r"-prune -o -printf '%p %m %u %g %s %l\n' | sort"
)
#: The kernel's boot, PID 1, and other services with the moment that each was started.
SERVICES = (
    "cat /proc/sys/kernel/random/boot_id; "
    "for p in 1 $(pgrep -x cron) $(pgrep -x rsyslogd); do "
    "echo $p $(cat /proc/$p/comm) $(cut -d' ' -f22 /proc/$p/stat); done"
)


async def on(machine, line, limit=180.0):
    """The output of a shell line that must succeed."""
    done = await machine.command("bash", "-c", line, limit=limit)
    assert done.exit_code == 0, done.output
    return done.stdout


async def plain(bed, **environment):
    variables = {"ARC_IMDS_ADDRESS": "127.0.0.1:1"} | environment
    machine = await bed.machine("plain", bare=True, heartbeat_seconds=1, environment=variables)
    await on(machine, OFFLINE)
    return machine


async def listening(machine):
    """Wait until himds has its socket, for which the portal's script sleeps five seconds."""

    async def there():
        asked = await machine.command("test", "-S", "/var/opt/azcmagent/socks/himds.sock")
        return asked.exit_code == 0 or None

    await eventually("himds' socket", there)


def admin(bed) -> Admin:
    return bed.cloud.host.admin


def script(bed, principal=None):
    return linux_script(
        Onboarding(
            subscription_id=bed.cloud.subscription_id,
            resource_group="rg-servers",
            tenant_id=bed.cloud.tenant_id,
            location="westeurope",
            correlation_id="d009f5dd-dba8-4ac7-bac9-b54ef3a6671a",
            tags={"City": "Amsterdam", "owner": "the ops team"},
            principal=principal,
        )
    )


async def test_pasted_portal_script_makes_a_plain_debian_appear_connected(bed, packages):
    await admin(bed).publish(packages(AGENT_VERSION))
    machine = await plain(bed)
    onboarding = bed.cloud.env["onboarding"]
    pasted = script(bed, Principal(onboarding["clientId"], onboarding["clientSecret"]))

    done = await machine.command("bash", "-c", pasted, limit=180)

    assert done.exit_code == 0, done.output
    assert "Latest version of azcmagent is installed." in done.output
    found = (await bed.cloud.machine("rg-servers", "plain")).body
    assert found["properties"]["status"] == "Connected"
    assert found["tags"] == {"City": "Amsterdam", "owner": "the ops team"}
    assert found["properties"]["agentVersion"] == AGENT_VERSION
    assert await on(machine, "systemctl is-active himdsd") == "active\n"
    listing = await on(
        machine, "stat -c '%a %U %G %n' /var/opt/azcmagent/{certs,tokens,socks} /usr/bin/azcmagent"
    )
    assert listing.splitlines()[:3] == [
        f"750 root himds /var/opt/azcmagent/{name}" for name in ("certs", "tokens", "socks")
    ]
    assert onboarding["clientSecret"] not in await on(machine, "cat /var/opt/azcmagent/log/*")


async def test_script_with_a_device_code_waits_for_a_person(bed, packages):
    await admin(bed).publish(packages(AGENT_VERSION))
    machine = await plain(bed)
    await on(machine, f"cat > /root/paste.sh <<'SCRIPT'\n{script(bed)}SCRIPT")
    await on(machine, "nohup bash /root/paste.sh > /root/paste.log 2>&1 &")

    async def asked():
        codes = (await admin(bed).call("GET", "devicecodes"))["deviceCodes"]
        return codes[0]["userCode"] if codes else None

    code = await eventually("a device code", asked, within=90)
    await admin(bed).call("POST", f"devicecodes/{code}/approve", {})

    async def there():
        found = await bed.cloud.machine("rg-servers", "plain")
        properties = found.body["properties"] if found.status == 200 else {}
        return properties.get("status") == "Connected" or None

    await eventually("the machine", there, within=60)


async def test_azure_vm_is_refused_by_the_package_and_nothing_is_left(bed, packages):
    machine = await plain(bed, ARC_IMDS_ADDRESS="127.0.0.1:8169")
    await put(machine, packages(AGENT_VERSION))
    await imds(machine)
    before = await on(machine, TREE)

    refused = await machine.command("dpkg", "-i", "/tmp/agent.deb", limit=60)

    assert refused.exit_code == 1
    assert "cannot install Azure Connected Machine agent on an Azure virtual machine" in refused.output
    assert (await on(machine, TREE)).splitlines() == before.splitlines()
    await on(machine, "systemctl set-environment MSFT_ARC_TEST=true")
    allowed = await machine.command("dpkg", "-i", "/tmp/agent.deb", limit=60)
    assert (allowed.exit_code, "For tests only" in allowed.output) == (0, True), allowed.output


async def test_unsupported_system_is_refused_by_the_package_and_nothing_is_left(bed, packages):
    machine = await plain(bed)
    await put(machine, packages(AGENT_VERSION))
    await on(machine, "sed -i 's/^VERSION_ID=.*/VERSION_ID=\"9\"/' /etc/os-release")
    before = await on(machine, TREE)

    refused = await machine.command("dpkg", "-i", "/tmp/agent.deb", limit=60)

    assert (refused.exit_code, "is not supported" in refused.output) == (1, True)
    assert (await on(machine, TREE)).splitlines() == before.splitlines()


#: What is done to the machine, what the script is told, and the code that it leaves behind.
FAILURES = [
    ("true", "--nonsense", 129),
    ("true", "--tempdir /nowhere", 129),
    ("mv /usr/lib/arcbed/systemctl systemctl", "", 130),
    ("rm /etc/os-release", "", 131),
    ("printf '#!/bin/sh\\necho riscv64\\n' > $BIN/uname; chmod +x $BIN/uname", "", 132),
    ("sed 's/^ID=.*/ID=gentoo/' /usr/lib/os-release > /etc/os-release.new", "", 133),
    ("true", "--altdownload https://packages.microsoft.com/x.rpm", 128),
    ("true", "--altdownload https://packages.microsoft.com/x.deb", 142),
    ("true", "", 143),
    ("true", "--desiredversion 9.9", 147),
    ("printf '#!/bin/sh\\nexit 23\\n' > $BIN/curl; chmod +x $BIN/curl", "", 157),
    ("printf '127.0.0.1 packages.microsoft.com\\n' >> /etc/hosts", "", 146),
]
FAIL = """
BIN=/usr/local/bin; cd /root; cp /etc/hosts hosts
( {change} )
[ ! -e /etc/os-release.new ] || mv /etc/os-release.new /etc/os-release
export subscriptionId=s-1
bash install.sh --output result.json {arguments} > said 2>&1; echo exit $?
[ ! -e systemctl ] || mv systemctl /usr/lib/arcbed/systemctl
rm -f $BIN/uname $BIN/curl; cat hosts > /etc/hosts
ln -sf ../usr/lib/os-release /etc/os-release
cat result.json
"""


async def test_script_that_cannot_install_says_why_to_file_and_service(bed):
    machine = await plain(bed)
    await on(machine, "wget -q https://aka.ms/azcmagent -O /root/install.sh")
    for change, arguments, code in FAILURES:
        line = FAIL.replace("{change}", change).replace("{arguments}", arguments)
        left, _, said = (await on(machine, line)).partition("\n")
        assert left == "exit 1", await on(machine, "cat /root/said")
        document = json.loads(said)
        shown = (document["status"], document["error"]["code"])
        assert shown == ("failed", f"AZCM{code:04d}"), await on(machine, "cat /root/said")
        if code == 157:  # its curl cannot tell anybody
            continue
        told = (await admin(bed).call("GET", "his/log"))["entries"][-1]["said"]
        assert (told["messageType"], told["osType"], told["subscriptionId"]) == (str(code), "linux", "s-1")


async def test_install_upgrade_and_removal_restart_nothing_else(bed, packages):
    await admin(bed).publish(packages(AGENT_VERSION))
    machine = await plain(bed)
    await on(machine, "systemctl start cron rsyslog; true")
    others = await on(machine, SERVICES)
    assert len(others.splitlines()) >= 3, others
    await on(machine, "wget -q https://aka.ms/azcmagent -O /root/install.sh && bash /root/install.sh")
    assert await on(machine, SERVICES) == others
    await listening(machine)
    assert (await machine.connect("--resource-group", "rg-servers")).exit_code == 0
    config = await on(machine, "cat /var/opt/azcmagent/agentconfig.json")

    await admin(bed).publish(packages(NEXT))
    upgraded = await on(
        machine, f"apt-get update -q && apt-get install -y azcmagent={NEXT} && azcmagent version"
    )
    assert f"azcmagent version {NEXT}" in upgraded
    assert await on(machine, SERVICES) == others
    assert await on(machine, "cat /var/opt/azcmagent/agentconfig.json") == config
    assert await on(machine, "systemctl is-active himdsd") == "active\n"

    await on(machine, "apt-get purge -y azcmagent")
    left = await on(machine, "ls -d /opt/azcmagent /var/opt/azcmagent /var/lib/GuestConfig 2>/dev/null; true")
    assert left.splitlines() == ["/var/lib/GuestConfig", "/var/opt/azcmagent"]
    assert await on(machine, "cat /var/opt/azcmagent/agentconfig.json") == config
    assert await on(machine, SERVICES) == others
    assert (await on(machine, "pgrep -x himds || echo none")) == "none\n"


async def put(machine, package):
    """Copy a package to /tmp/agent.deb."""
    from arcbed.harness.containers import files

    host = machine.host
    entry = files.regular("/tmp/agent.deb", package.read_bytes())
    await host._engine.do(files.put, host._engine, host.container, "/", [entry])


async def imds(machine):
    """A metadata service that answers as Azure's, on the machine itself."""
    program = (
        "import http.server as h\n"
        "class A(h.BaseHTTPRequestHandler):\n"
        "    def do_GET(self):\n"
        '        body = b\'{"azEnvironment": "AzurePublicCloud"}\'\n'
        "        self.send_response(200 if self.headers.get('Metadata') == 'true' else 400)\n"
        "        self.end_headers()\n"
        "        self.wfile.write(body)\n"
        "h.HTTPServer(('127.0.0.1', 8169), A).serve_forever()\n"
    )
    await on(machine, f"cat > /tmp/imds.py <<'PROGRAM'\n{program}PROGRAM")
    await on(machine, "nohup python3 /tmp/imds.py >/dev/null 2>&1 & sleep 1")
    await on(machine, "curl -sf -H 'Metadata: true' http://127.0.0.1:8169/metadata/instance/compute")


async def installed(bed, packages):
    await admin(bed).publish(packages(AGENT_VERSION))
    machine = await plain(bed)
    await on(machine, "wget -q https://aka.ms/azcmagent -O /root/install.sh && bash /root/install.sh")
    await listening(machine)
    assert (await machine.connect("--resource-group", "rg-servers")).exit_code == 0
    return machine


async def ended(bed, status):
    """The machine's `agentUpgrade`, once its newest attempt has ended so and its agent has said so."""

    async def there():
        found = (await bed.cloud.machine("rg-servers", "plain")).body["properties"]
        told = found.get("agentUpgrade", {})
        return (found["agentVersion"], told) if told.get("lastAttemptStatus") == status else None

    return await eventually(f"an upgrade with {status}", there, within=90)


async def upgrade(bed, **wanted):
    path = (await bed.cloud.machine("rg-servers", "plain")).body["id"]
    done = await bed.cloud.arm.patch(path, {"properties": {"agentUpgrade": wanted}})
    assert done.status == 200, done.body


async def test_service_upgrades_the_agent_when_it_is_asked_to_or_by_itself(bed, packages):
    machine = await installed(bed, packages)
    await admin(bed).publish(packages(NEXT))

    await upgrade(bed, desiredVersion="9.9", correlationId="c-1")
    version, told = await ended(bed, "Failed")
    assert (version, told["lastAttemptDesiredVersion"]) == (AGENT_VERSION, "9.9")
    assert "is not in the package repository" in told["lastAttemptMessage"]

    await upgrade(bed, desiredVersion="1.68", correlationId="c-2")
    version, told = await ended(bed, "Success")
    assert (version, told["lastAttemptDesiredVersion"]) == (NEXT, "1.68")
    assert NEXT in await on(machine, "azcmagent version")

    automatic = "1.69.0.0"
    await admin(bed).publish(packages(automatic), as_latest=True)
    await upgrade(bed, enableAutomaticUpgrade=True)

    async def upgraded():
        found = (await bed.cloud.machine("rg-servers", "plain")).body["properties"]
        return (found["agentVersion"] == automatic and found["status"] == "Connected") or None

    await eventually("the automatic upgrade", upgraded, within=90)


async def test_upgrade_by_hand_goes_to_the_newest_or_says_that_there_is_none(bed, packages):
    machine = await installed(bed, packages)
    refused = await machine.azcmagent("upgrade", "--version", "9.9")
    assert refused.exit_code == 23, refused.output
    await admin(bed).publish(packages(NEXT))
    done = await machine.azcmagent("upgrade")
    assert (done.exit_code, f"Agent version {NEXT} is installed" in done.output) == (0, True), done.output
    assert NEXT in await on(machine, "azcmagent version")
