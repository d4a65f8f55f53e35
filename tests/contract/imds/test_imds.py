"""The metadata service as the agent's own probe of clouds meets it, and as a client that does it wrong."""

from __future__ import annotations

import subprocess
import sys

import httpx
import pytest

from arcbed_agent.host.provider import MetadataAddresses, detect


@pytest.fixture(scope="module")
def serve_imds():
    running = []

    def serve(provider: str) -> str:
        command = [sys.executable, "-m", "arcbed_cloud.cli", "imds", "--provider", provider, "--port", "0"]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        running.append(process)
        line = process.stdout.readline()
        return f"127.0.0.1:{line.split()[-1]}"

    yield serve
    for process in running:
        process.terminate()
        process.wait(10)
        process.stdout.close()


@pytest.fixture(scope="module")
def aws(serve_imds) -> str:
    return serve_imds("aws")


@pytest.mark.parametrize(
    ("provider", "found", "details"),
    [
        ("aws", "AWS", {"awsAccountId", "awsInstanceId", "awsRegion"}),
        ("gcp", "GCP", {"gcpInstanceId", "gcpProjectId", "gcpZone"}),
        ("azure", "Azure", {"azEnvironment", "location", "resourceId", "vmId"}),
    ],
)
def test_agent_that_asks_finds_the_cloud(serve_imds, provider, found, details):
    seen = detect(MetadataAddresses.all_at(serve_imds(provider)))
    assert seen.provider == found
    assert set(seen.details) == details
    assert all(seen.details.values())


def test_aws_asked_without_a_session_token_answers_401(aws):
    assert httpx.get(f"http://{aws}/latest/dynamic/instance-identity/document").status_code == 401


@pytest.mark.parametrize("seconds", ["", "0", "21601", "soon"])
def test_aws_token_with_a_life_out_of_bounds_is_refused(aws, seconds):
    headers = {"X-aws-ec2-metadata-token-ttl-seconds": seconds} if seconds else {}
    assert httpx.put(f"http://{aws}/latest/api/token", headers=headers).status_code == 400


def test_aws_instance_id_is_the_same_by_both_ways_and_has_aws_shape(aws):
    life = {"X-aws-ec2-metadata-token-ttl-seconds": "60"}
    token = httpx.put(f"http://{aws}/latest/api/token", headers=life).text
    with httpx.Client(base_url=f"http://{aws}", headers={"X-aws-ec2-metadata-token": token}) as client:
        document = client.get("/latest/dynamic/instance-identity/document").json()
        assert client.get("/latest/meta-data/instance-id").text == document["instanceId"]
        assert client.get("/latest/meta-data/nothing").status_code == 404
    prefix, _, digits = document["instanceId"].partition("-")
    assert (prefix, len(digits)) == ("i", 17)
    assert set(digits) <= set("0123456789abcdef")


def test_azure_asked_without_the_metadata_header_answers_400(serve_imds):
    url = f"http://{serve_imds('azure')}/metadata/instance?api-version=2021-02-01"
    assert httpx.get(url).status_code == 400
    assert (
        httpx.get(url, headers={"Metadata": "true"}).json()["compute"]["azEnvironment"] == "AzurePublicCloud"
    )
