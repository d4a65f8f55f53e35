"""`azcmagent connect` and `disconnect` up to what they ask of himds: parameters, error numbers, messages."""

from __future__ import annotations

import json
import re

import pytest
from tests.support.command_line import CONNECTED, PRINCIPAL, RESOURCE, WANTED, words

from arcbed_agent.cli.command import Arguments
from arcbed_agent.cli.connect import read_request
from arcbed_agent.errors import CODES, AgentError
from arcbed_agent.host.contract import CloudProvider


def settings(layout, **values):
    layout["local_config"].parent.mkdir(parents=True, exist_ok=True)
    layout["local_config"].write_text(
        json.dumps({name.replace("_", "."): value for name, value in values.items()})
    )


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"subscription_id": ""}, 16),
        ({"resource_group": ""}, 16),
        ({"location": ""}, 16),
        ({"tenant_id": ""}, 16),
        ({"service_principal_id": ""}, 16),
        ({"service_principal_secret": ""}, 16),
        ({"service_principal_id": "me"}, 23),
        ({"tenant_id": "no tenant"}, 23),
        ({"resource_group": "no/group"}, 23),
        ({"resource_name": "ends-in-"}, 23),
        ({"resource_name": "x" * 55}, 23),
        ({"resource_name": "a b"}, 23),
        ({"cloud": "AzureMoon"}, 23),
        ({"tags": "k"}, 23),
        ({"correlation_id": "7"}, 23),
        ({"private_link_scope": "scope-1"}, 23),
        ({"access_token": "x.y.z"}, 27),
        ({"service_principal_secret": "", "service_principal_id": "", "access_token": "x.y.z"}, 12),
    ],
)
def test_connect_with_wrong_parameters_fails_before_anything_is_asked(azcmagent, himds, changes, code):
    finished = azcmagent("connect", *words(**changes))
    assert finished.code == code
    assert f"AZCM{code:04d}: {CODES[code]}" in finished.out
    assert himds.asked == []


@pytest.mark.parametrize(
    ("changes", "code"),
    [({"tags": "k"}, 13), ({"cloud": "x"}, 14), ({"correlation_id": "7"}, 15), ({"resource_name": "a-"}, 17)],
)
def test_connect_with_the_seed_profile_has_the_numbers_of_2022(azcmagent, layout, changes, code):
    settings(layout, agent_profile="seed")
    assert azcmagent("connect", *words(**changes)).code == code


def test_connect_reads_every_parameter_in_the_form_that_azure_wants(session):
    request = read_request(
        session,
        Arguments(
            {
                **WANTED,
                **PRINCIPAL,
                "cloud": "azureusgovernment",
                "tags": "Owner='Ops team'",
                "subscription-id": "My subscription",
                "enable-automatic-upgrade": False,
            }
        ),
    )
    assert request.location == "westeurope"
    assert request.cloud == "AzureUSGovernment"
    assert request.tags == {"Owner": "Ops team"}
    assert request.subscription == "My subscription"
    assert request.automatic_upgrade is False
    assert re.fullmatch(r"[0-9a-f-]{36}", request.correlation_id)


def test_connect_without_himds_says_how_to_start_it(azcmagent, layout):
    finished = azcmagent("connect", *words())
    assert finished.code == 61
    assert f"ARC_ROOT={layout.root} himds" in finished.out


def test_connect_with_a_himds_that_talks_nonsense_is_64(azcmagent, himds):
    himds.answers["status"] = [{"nonsense": True}]
    assert azcmagent("connect", *words()).code == 64


def test_second_connect_is_67_and_prints_the_resource(azcmagent, himds):
    himds.status_is(**CONNECTED)
    finished = azcmagent("connect", *words())
    assert finished.code == 67
    assert RESOURCE in finished.out


def test_disconnect_of_a_machine_that_is_not_connected_is_63(azcmagent, himds):
    assert azcmagent("disconnect", *words()[8:]).code == 63


def test_disconnect_locally_needs_no_sign_in(azcmagent, himds):
    himds.status_is(**CONNECTED)
    finished = azcmagent("disconnect", "--force-local-only")
    assert finished.code == 0
    assert himds.asked[-1] == ("disconnect", {"access_token": None, "force_local_only": True})
    assert "still there" in finished.out


def test_failure_that_himds_reports_keeps_its_number_and_advice(azcmagent, himds):
    himds.status_is(**CONNECTED)
    error = {"number": 43, "message": "Code: AuthorizationFailed", "advice": "Ask for the role."}
    himds.answers["disconnect"] = [{"progress": {"percent": 20, "text": "Deleting"}}, {"error": error}]
    finished = azcmagent("disconnect", "-f", "-j")
    assert finished.code == 43
    assert finished.json == {
        "status": "failed",
        "error": {
            "code": "AZCM0043",
            "message": "Failed To Delete Resource: Code: AuthorizationFailed",
            "recommendedActions": ["Ask for the role."],
        },
    }


class OnAws:
    """A host on AWS."""

    def hostname(self):
        return "ip-10-0-0-7"

    def cloud(self):
        return CloudProvider("AWS", {"awsInstanceId": "i-0abc"})


@pytest.mark.parametrize(
    ("flags", "name"),
    [
        ({}, "i-0abc"),
        ({"use-aws-ec2-hostname": True}, "ip-10-0-0-7"),
        ({"resource-name": "chosen"}, "chosen"),
    ],
)
def test_machine_on_aws_is_named_by_its_instance_unless_told_otherwise(session, flags, name):
    session.host = OnAws()
    wanted = {key: value for key, value in WANTED.items() if key != "resource-name"}
    assert read_request(session, Arguments({**wanted, **PRINCIPAL, **flags})).resource_name == name


def test_azure_virtual_machine_is_refused_and_nothing_is_asked_of_azure(
    azcmagent, himds, session, monkeypatch
):
    class OnAzure(OnAws):
        def refusal(self):
            return AgentError(3, "cannot install Azure Connected Machine agent on an Azure virtual machine")

    monkeypatch.setattr("arcbed_agent.host.open_host", lambda _layout, _settings: OnAzure())
    finished = azcmagent("connect", *words())
    assert finished.code == 3
    assert "Azure virtual machine" in finished.out
    assert [method for method, _ in himds.asked] == ["status"]
