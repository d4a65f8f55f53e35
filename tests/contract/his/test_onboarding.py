"""A machine comes to life: PUT, certificate, token, heartbeat; and goes."""

from __future__ import annotations


async def test_machine_put_certificate_token_heartbeat_shows_connected(bed, agent):
    created = (await agent.put()).json()
    assert created["properties"]["provisioningState"] == "Creating"
    assert created["identity"]["principalId"]
    assert "status" not in created["properties"]

    agent.credential = (await agent.identity()).json()
    assert agent.credential["object_id"] == created["identity"]["principalId"]
    await agent.get_token()
    answer = await agent.beat({"osName": "linux", "osProfile": {"computerName": "web-01"}})

    assert answer.status_code == 200
    assert answer.json()["machine"]["resourceId"] == agent.id
    machine = await bed.machine("web-01")
    assert machine["properties"]["status"] == "Connected"
    assert machine["properties"]["provisioningState"] == "Succeeded"
    assert machine["properties"]["osName"] == "linux"
