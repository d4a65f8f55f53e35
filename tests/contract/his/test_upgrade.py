"""Upgrades of the agent: who asks for them, and how ARM shows how they went."""

from __future__ import annotations

import pytest

from arcbed_cloud.services.packages import PackageError, Shelf
from arcbed_cloud.services.packages.formats import write_deb

NOW = "2026-01-01T00:00:00Z"


@pytest.fixture
def changes():
    return {"heartbeat_throttle": False}


@pytest.fixture
def publish(bed, tmp_path):
    def publish(version, *, name="azcmagent", as_latest=True):
        file = tmp_path / f"{name}_{version}_amd64.deb"
        file.write_bytes(write_deb(f"Package: {name}\nVersion: {version}\nArchitecture: amd64\n", {}))
        return Shelf(bed.cloud.settings.state).publish(file, released=NOW, as_latest=as_latest)

    return publish


async def patch(bed, agent, **upgrade):
    answer = await bed.arm("PATCH", agent.id, {"properties": {"agentUpgrade": upgrade}})
    assert answer.status_code == 200, answer.text


async def asked(agent, **more):
    return (await agent.beat(**more)).json()["agentUpgrade"]


async def test_desired_version_is_told_with_its_correlation_id(bed, connected):
    assert await asked(connected) is None
    await patch(bed, connected, desiredVersion="1.68", correlationId="c-1")
    assert await asked(connected) == {
        "desiredVersion": "1.68",
        "correlationId": "c-1",
        "enableAutomaticUpgrade": False,
    }


async def test_latest_version_is_told_only_where_automatic_upgrades_are_on(bed, connected, publish):
    publish("1.68.0.0")
    assert await asked(connected) is None
    await patch(bed, connected, enableAutomaticUpgrade=True)
    assert (await asked(connected))["desiredVersion"] == "1.68.0.0"
    assert await asked(connected, agentVersion="1.68.0.0") is None


async def test_version_that_is_not_the_latest_yet_is_nobodys_automatic_upgrade(bed, connected, publish):
    publish("1.0.0.0")
    publish("1.69.0.0", as_latest=False)
    await patch(bed, connected, enableAutomaticUpgrade=True)
    assert await asked(connected, agentVersion="1.0.0.0") is None


async def test_last_attempt_is_shown_beside_what_was_asked_for(bed, connected):
    await patch(bed, connected, desiredVersion="1.68", enableAutomaticUpgrade=True)
    attempt = {
        "lastAttemptDesiredVersion": "1.68",
        "lastAttemptTimestamp": NOW,
        "lastAttemptStatus": "Failed",
        "lastAttemptMessage": "no such version",
    }
    assert (await connected.beat(agentUpgrade=attempt)).status_code == 200
    shown = (await bed.machine(connected.name))["properties"]["agentUpgrade"]
    assert shown == {"desiredVersion": "1.68", "enableAutomaticUpgrade": True} | attempt
    refused = await connected.beat(agentUpgrade=attempt | {"lastAttemptStatus": "Perhaps"})
    assert refused.status_code == 400


def test_package_of_something_else_is_not_published(publish):
    with pytest.raises(PackageError, match="of 'nginx'"):
        publish("1.0.0.0", name="nginx")


@pytest.mark.parametrize("content", [b"", b"!<arch>\n", b"not a package" * 9])
def test_damaged_file_is_not_published(bed, tmp_path, content):
    file = tmp_path / "azcmagent_1.0.0.0_amd64.deb"
    file.write_bytes(content)
    shelf = Shelf(bed.cloud.settings.state)
    with pytest.raises(PackageError, match=r"is no \.deb"):
        shelf.publish(file, released=NOW)
    assert shelf.index().packages == ()
