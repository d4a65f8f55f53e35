"""Cloud detection against local servers that answer as the clouds do."""

from __future__ import annotations

import socket

import pytest

from arcbed_agent.host.linux import LinuxHost
from arcbed_agent.host.provider import MetadataAddresses, detect


def test_aws_instance_with_session_tokens_gives_account_instance_and_region(metadata_service):
    service = metadata_service("aws")
    found = detect(MetadataAddresses.all_at(service.address))
    assert found.provider == "AWS"
    assert found.details == {
        "awsAccountId": "123456789012",
        "awsInstanceId": "i-0abc",
        "awsRegion": "eu-west-1",
    }


def test_aws_instance_without_session_tokens_is_still_recognized(metadata_service):
    found = detect(MetadataAddresses.all_at(metadata_service("aws-v1").address))
    assert found.details["awsInstanceId"] == "i-0abc"


def test_gcp_instance_gives_the_last_part_of_its_zone(metadata_service):
    found = detect(MetadataAddresses.all_at(metadata_service("gcp").address))
    assert (found.provider, found.details["gcpZone"]) == ("GCP", "europe-west1-b")


def test_azure_is_asked_with_the_metadata_header(metadata_service):
    service = metadata_service("azure")
    found = detect(MetadataAddresses.all_at(service.address))
    assert found.provider == "Azure"
    asked = [headers for _, path, headers in service.requests if path.startswith("/metadata/")]
    assert asked
    assert all(headers["metadata"] == "true" for headers in asked)


def test_azure_local_address_is_not_taken_for_azure(metadata_service):
    address = metadata_service("azure").address
    assert detect(MetadataAddresses(azure_local=address)).provider == "AzSHCI"


def test_a_page_for_everything_is_no_cloud(metadata_service):
    assert detect(MetadataAddresses.all_at(metadata_service("portal").address)).provider == "N/A"


def test_an_address_where_nobody_listens_is_no_cloud():
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    assert detect(MetadataAddresses.all_at(f"127.0.0.1:{port}")).provider == "N/A"


def test_a_proxy_in_the_environment_is_not_used_for_metadata(metadata_service, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    assert detect(MetadataAddresses.all_at(metadata_service("aws").address)).provider == "AWS"


@pytest.mark.parametrize(
    ("kind", "words"), [("azure", "an Azure virtual"), ("azure-stack", "Azure Stack Hub or Edge")]
)
def test_azure_virtual_machine_is_refused(machine, metadata_service, kind, words):
    host = LinuxHost(machine(), MetadataAddresses.all_at(metadata_service(kind).address))
    refusal = host.refusal()
    assert refusal is not None
    assert refusal.number == 3
    assert words in refusal.message


UBUNTU = {"etc/os-release": 'ID=ubuntu\nVERSION_ID="24.04"\nPRETTY_NAME="Ubuntu 24.04.3 LTS"\n'}


@pytest.mark.parametrize(
    "changes",
    [
        {"environment": {"MSFT_ARC_TEST": "true"}},
        {"run": lambda command: "LANG=C\nMSFT_ARC_TEST=true" if "show-environment" in command else ""},
    ],
    ids=["shell", "systemd"],
)
def test_test_variable_turns_the_azure_refusal_into_a_warning(machine, metadata_service, changes):
    host = LinuxHost(machine(UBUNTU, **changes), MetadataAddresses.all_at(metadata_service("azure").address))
    assert host.refusal() is None
    assert "MSFT_ARC_TEST" in host.warnings()[0]


def test_test_variable_does_not_make_an_unsupported_system_supported(machine, metadata_service):
    sources = machine({"etc/os-release": "ID=arch\n"}, environment={"MSFT_ARC_TEST": "true"})
    host = LinuxHost(sources, MetadataAddresses.all_at(metadata_service("azure").address))
    assert host.refusal() is not None


def test_aws_details_are_reported_as_detected_properties(machine, metadata_service):
    host = LinuxHost(machine(), MetadataAddresses.all_at(metadata_service("aws").address))
    metadata = host.metadata()
    assert metadata["cloudMetadata"] == {"provider": "AWS"}
    assert metadata["detectedProperties"]["awsInstanceId"] == "i-0abc"
