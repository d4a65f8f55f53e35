"""The portal's script: whatever it is filled in with, a shell reads it as it was meant."""

from __future__ import annotations

import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from arcbed.portal import Onboarding, Principal, linux_script

#: Stands in for the programs that the script calls, and says what each was given.
STAND_INS = """
wget() { return 0; }
sleep() { :; }
bash() { :; }
sudo() { printf '%s\\0' "$@"; if [ "$3" = --config ]; then cat "$4"; fi; }
"""
FIELDS = {
    "subscription_id": "s-1",
    "resource_group": "rg-servers",
    "tenant_id": "t-1",
    "location": "westeurope",
    "correlation_id": "c-1",
}


def run(onboarding):
    done = subprocess.run(
        ["bash", "-c", STAND_INS + linux_script(onboarding)], capture_output=True, text=True, check=True
    )
    return done.stdout.lstrip("\n").split("\0")


@settings(max_examples=25, deadline=None)
@given(
    group=st.text(st.characters(codec="utf-8", exclude_characters="\0\r"), min_size=1, max_size=20),
    tag=st.text(
        st.characters(codec="utf-8", exclude_categories=["C"], exclude_characters=",'\"="), max_size=20
    ),
)
def test_values_reach_azcmagent_as_they_are(group, tag):
    words = run(Onboarding(**FIELDS | {"resource_group": group}, tags={"City": tag}))
    assert words[:2] == ["azcmagent", "connect"]
    assert words[words.index("--resource-group") + 1] == group
    assert words[words.index("--tags") + 1] == f"City={tag}"


def test_secret_of_a_principal_is_in_the_file_and_not_among_the_arguments():
    words = run(Onboarding(**FIELDS, principal=Principal("app-1", "s3cr3t~.x")))
    assert words[2] == "--config"
    assert words[-1] == '{"service-principal-id":"app-1","service-principal-secret":"s3cr3t~.x"}'
    assert not any("s3cr3t" in word for word in words[:-1])


def test_without_a_principal_a_person_signs_in():
    script = linux_script(Onboarding(**FIELDS))
    assert "export authType=token\n" in script
    assert "ServicePrincipal" not in script


@pytest.mark.parametrize("name", ["a,b", "a=b", "", "a'b"])
def test_tag_that_no_script_can_carry_is_refused(name):
    with pytest.raises(ValueError, match="cannot be written"):
        linux_script(Onboarding(**FIELDS, tags={name: "x"}))


def test_cloud_without_an_identity_service_is_refused():
    with pytest.raises(ValueError, match="AzureChinaCloud"):
        linux_script(Onboarding(**FIELDS, cloud="AzureGermanCloud"))
