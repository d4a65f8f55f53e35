"""The bed of compose.yaml, once for all tests: real names, real TLS, Microsoft's SDKs as they are."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
from engine import AGENT, AZURITE, MACHINE, Container, container, docker, inspect

from arcbed.harness import clock
from arcbed_cloud import hosts

pytestmark = pytest.mark.containers
ROOT = Path(__file__).parents[2]
MACHINES = ("web-01", "app-01", "db-01")
SDKS = sysconfig.get_path("purelib")
#: The SDKs of this environment are mounted into containers, whose Python is Debian's.
same_python = pytest.mark.skipif(sys.version_info[:2] != (3, 11), reason="the images run Python 3.11")


#: `make images` builds it only where npm is.
HAS_AZURITE = (
    docker("image", "inspect", AZURITE, check=False).returncode == 0 if shutil.which("docker") else False
)


def compose() -> list[str]:
    """docker-compose, or the plugin of newer engines."""
    return ["docker-compose"] if shutil.which("docker-compose") else ["docker", "compose"]


API = "http://fakecloud.control:8444/_fakecloud/state"


def free_ports() -> tuple[int, int]:
    with socket.socket() as first, socket.socket() as second:
        first.bind(("127.0.0.1", 0))
        second.bind(("127.0.0.1", 0))
        return first.getsockname()[1], second.getsockname()[1]


class Bed:
    """One `docker-compose up`."""

    def __init__(self, *profiles: str) -> None:
        self.project = f"arcbedtest{secrets.token_hex(3)}"
        self.port, self.admin_port = free_ports()
        self.net = f"10.214.{secrets.randbelow(250) + 1}"
        self._profiles = [word for name in profiles for word in ("--profile", name)]

    def call(self, *arguments: str, timeout: float = 240) -> str:
        environment = os.environ | {
            "COMPOSE_PROJECT_NAME": self.project,
            "ARCBED_NET": self.net,
            "ARCBED_PORT": str(self.port),
            "ARCBED_ADMIN_PORT": str(self.admin_port),
        }
        command = [*compose(), "--file", str(ROOT / "compose.yaml"), *self._profiles, *arguments]
        done = subprocess.run(
            command, capture_output=True, text=True, env=environment, timeout=timeout, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def container(self, service: str) -> Container:
        return Container(self.call("ps", "-q", service).strip())

    def connected(self, service: str) -> bool:
        shown = self.container(service).run("azcmagent", "show", "-j", check=False).stdout
        return bool(shown) and json.loads(shown).get("status") == "Connected"

    @property
    def machine_options(self) -> tuple[str, ...]:
        """Options of `docker run` for one more container on the machines' networks."""
        shared = f"{self.project}_shared:/etc/arcbed/shared:ro"
        return ("--network", f"{self.project}_azure", "--dns", f"{self.net}.130", "--volume", shared)

    def leftovers(self) -> str:
        found = ""
        for kind in ("container", "network", "volume"):
            every = ("--all",) if kind == "container" else ()
            label = f"label=com.docker.compose.project={self.project}"
            found += docker(kind, "ls", "--quiet", *every, "--filter", label).stdout
        return found


@pytest.fixture(scope="module")
def bed():
    up = Bed("proxy", "aws", *(["azurite"] if HAS_AZURITE else []))
    try:
        up.call("up", "--detach")
        yield up
    finally:
        up.call("down", "--volumes", "--remove-orphans")
        assert up.leftovers() == ""


async def until(what, seconds: float) -> None:
    """Until `what()` is true."""

    async def once():
        return what() or None

    assert await clock.until(once, limit=seconds), f"not within {seconds} s"


@pytest.mark.parametrize("name", MACHINES)
async def test_machine_of_the_bed_connects_itself_within_a_minute(bed, name):
    await until(lambda: bed.connected(name), 60)


async def test_machine_behind_a_proxy_connects_through_it_and_not_otherwise(bed):
    await until(lambda: bed.connected("dmz-01"), 60)
    assert "CONNECT management.azure.com:443" in bed.container("proxy").logs
    direct = "curl -s -m 2 --noproxy '*' https://management.azure.com/"
    assert bed.container("dmz-01").sh(direct, check=False).returncode == 28


def test_proxy_with_a_password_lets_only_those_through_who_have_it(bed):
    ask = "curl -s -o /dev/null -w '%{{http_connect}}' -x http://{}proxy-auth:3128 https://management.azure.com/"
    machine = bed.container("dmz-01")
    assert machine.sh(ask.format(""), check=False).stdout == "407"
    assert machine.sh(ask.format("arc:wrong@"), check=False).stdout == "407"
    assert machine.sh(ask.format("arc:of-no-value@")).stdout == "200"


async def test_machine_in_aws_is_named_and_described_by_its_metadata_service(bed):
    await until(lambda: bed.connected("aws-01"), 60)
    shown = json.loads(bed.container("aws-01").run("azcmagent", "show", "-j").stdout)
    assert shown["resourceName"].startswith("i-")
    assert shown["cloudProvider"] == "AWS"


def test_only_loopback_of_this_computer_is_published(bed):
    published = []
    for identifier in bed.call("ps", "-q").split():
        ports = inspect(identifier)["NetworkSettings"]["Ports"]
        published += [binding for bindings in ports.values() if bindings for binding in bindings]
    assert {binding["HostIp"] for binding in published} == {"127.0.0.1"}
    assert {int(binding["HostPort"]) for binding in published} == {bed.port, bed.admin_port}


def test_machine_finds_every_name_of_azure_and_no_other(bed):
    names = " ".join(pattern.replace("*", "any") for pattern in hosts.patterns())
    found = bed.container("web-01").sh(f"for n in {names}; do getent ahostsv4 $n | head -1; done").stdout
    assert {line.split()[0] for line in found.splitlines()} == {f"{bed.net}.2"}
    assert len(found.splitlines()) == len(names.split())
    assert bed.container("web-01").run("getent", "hosts", "example.com", check=False).returncode == 2


def test_machine_reaches_nothing_outside_the_bed(bed):
    outside = "timeout 2 bash -c 'exec 3<>/dev/tcp/1.1.1.1/443'"
    assert bed.container("web-01").sh(outside, check=False).returncode != 0


def test_testbeds_own_api_is_on_the_control_network_and_not_on_azures(bed):
    machine = bed.container("web-01")
    assert machine.sh(f"exec 3<>/dev/tcp/{bed.net}.2/443").returncode == 0
    assert machine.sh(f"exec 3<>/dev/tcp/{bed.net}.2/8444", check=False).returncode != 0
    answer = machine.run(
        "curl",
        "-s",
        "-o",
        "/dev/null",
        "-w",
        "%{http_code}",
        "http://fakecloud.control:8444/_fakecloud/state",
    )
    assert answer.stdout == "401"


def test_tls_1_1_is_refused_with_an_alert_on_every_host_as_machines_see_it(bed):
    names = " ".join(pattern.replace("*", "any") for pattern in hosts.patterns())
    script = (
        f"for n in {names}; do for v in 'tls1_1 -cipher DEFAULT@SECLEVEL=0' tls1_2; do "
        "echo $n $v $(openssl s_client -connect $n:443 -servername $n -$v </dev/null 2>&1 "
        "| grep -oE 'alert protocol version|Verify return code: 0|no peer certificate' | sort -u); done; done"
    )
    lines = bed.container("web-01").sh(script).stdout.splitlines()
    old = [line for line in lines if "tls1_1" in line]
    assert len(lines) == 2 * len(names.split())
    assert all("alert protocol version" in line for line in old)
    assert all(line.endswith("Verify return code: 0") for line in lines if line not in old)


LIST = """
import json
from azure.identity import ClientSecretCredential
from azure.mgmt.hybridcompute import HybridComputeManagementClient
handed = json.load(open("/etc/arcbed/shared/onboarding.json"))
who = handed["onboarding"]
credential = ClientSecretCredential(handed["tenantId"], who["clientId"], who["clientSecret"])
client = HybridComputeManagementClient(credential, handed["subscriptionId"])
print(*sorted(machine.name for machine in client.machines.list_by_resource_group("rg-servers")))
"""


@same_python
async def test_unmodified_sdk_in_a_plain_container_lists_the_machines_at_management_azure_com(bed):
    """Its only settings are the authority to trust and the names."""
    for name in MACHINES:
        await until(lambda name=name: bed.connected(name), 60)
    sdk = ("--volume", f"{SDKS}:/sdk:ro", "--env", "PYTHONPATH=/sdk")
    trust = ("--env", "REQUESTS_CA_BUNDLE=/etc/arcbed/shared/ca.pem")
    with container(MACHINE, *bed.machine_options, *sdk, *trust, command=("sleep", "300")) as plain:
        docker("network", "connect", f"{bed.project}_control", plain.name)
        assert set(MACHINES) <= set(plain.run("python3", "-c", LIST).stdout.split())


IDENTITY = """
import base64, json
from azure.identity import ManagedIdentityCredential
token = ManagedIdentityCredential().get_token("https://management.azure.com/.default").token
claims = json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))
print(claims["xms_mirid"])
"""


@same_python
async def test_managed_identity_of_a_machine_works_through_its_environment(bed):
    """Units get the variables from azcmagent.conf; the SDK is mounted into a second container."""
    await until(lambda: bed.connected("web-01"), 60)
    web = bed.container("web-01")
    variables = web.run("systemctl", "show-environment").stdout.split()
    given = [word for line in variables if line.startswith(("I", "IMDS")) for word in ("--env", line)]
    # In the machine's own network, with its token folder: what a process on the machine would see.
    joined = ("--network", f"container:{web.name}", "--volumes-from", web.name, "--volume", f"{SDKS}:/sdk:ro")
    command = ("python3", "-c", IDENTITY)
    done = docker(
        "run", "--rm", "--env", "PYTHONPATH=/sdk", *given, *joined, "--entrypoint", "", AGENT, *command
    )
    assert done.stdout.strip().lower().endswith("/machines/web-01")


async def test_machine_whose_container_is_made_anew_is_the_same_machine(bed):
    await until(lambda: bed.connected("db-01"), 60)
    before = json.loads(bed.container("db-01").run("azcmagent", "show", "-j").stdout)["vmId"]
    old = bed.container("db-01").name
    bed.call("up", "--detach", "--force-recreate", "--no-deps", "db-01")
    assert bed.container("db-01").name != old
    await until(lambda: bed.connected("db-01"), 60)
    assert json.loads(bed.container("db-01").run("azcmagent", "show", "-j").stdout)["vmId"] == before


UPLOAD = """
from datetime import UTC, datetime, timedelta
from azure.storage.blob import BlobServiceClient, generate_blob_sas
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
who = {"account_name": "devstoreaccount1", "account_key": KEY}
service = BlobServiceClient("http://azurite:10000/devstoreaccount1", credential=who)
blob = service.create_container("packages").get_blob_client("one.zip")
blob.upload_blob(b"0123456789")
until = datetime.now(UTC) + timedelta(hours=1)
print(blob.url + "?" + generate_blob_sas(
    "devstoreaccount1", "packages", "one.zip", account_key=KEY, permission="r", expiry=until))
"""


@pytest.mark.skipif(not HAS_AZURITE, reason="the image of Azurite was not built: no npm")
@same_python
def test_machine_reads_a_blob_of_azurite_with_a_signature_and_not_without(bed):
    sdk = ("--volume", f"{SDKS}:/sdk:ro", "--env", "PYTHONPATH=/sdk")
    machine = bed.container("web-01")
    machine.wait("exec 3<>/dev/tcp/azurite/10000")
    with container(MACHINE, *bed.machine_options, *sdk, command=("sleep", "300")) as plain:
        signed = plain.run("python3", "-c", UPLOAD).stdout.strip()
    assert machine.run("curl", "-s", "-r", "2-4", signed).stdout == "234"
    bare = machine.run("curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", signed.partition("?")[0])
    assert bare.stdout in {"403", "404"}
