"""Silence, expiry and return, on the bed's clock."""

from __future__ import annotations

from datetime import datetime, timedelta

import httpx

from arcbed_cloud.app import build


async def status(bed, name="web-01"):
    properties = (await bed.machine(name))["properties"]
    return properties["status"], datetime.fromisoformat(properties["lastStatusChange"])


async def test_machine_is_disconnected_fifteen_minutes_after_its_last_heartbeat(bed, connected):
    heard = bed.clock.now()
    await bed.clock.advance(seconds=899)
    assert (await status(bed))[0] == "Connected"
    await bed.clock.advance(seconds=1)
    assert await status(bed) == ("Disconnected", heard + timedelta(minutes=15))


async def test_disconnected_machine_is_connected_at_its_next_heartbeat(bed, connected):
    await bed.clock.advance(hours=2)
    assert (await status(bed))[0] == "Disconnected"
    back = bed.clock.now()
    await connected.beat()
    assert await status(bed) == ("Connected", back)
    await bed.clock.advance(minutes=15)
    assert (await status(bed))[0] == "Disconnected"


async def test_status_change_time_stands_while_heartbeats_go_on(bed, connected):
    _, since = await status(bed)
    for _ in range(10):
        await bed.clock.advance(minutes=5)
        await connected.beat()
    assert await status(bed) == ("Connected", since)


async def test_heartbeats_do_not_add_timers(bed, connected):
    await bed.clock.advance(minutes=5)
    await connected.beat()
    entries = len(bed.clock._agenda)
    for _ in range(50):
        await bed.clock.advance(minutes=5)
        await connected.beat()
    assert len(bed.clock._agenda) <= entries


async def test_machine_expires_with_its_newest_certificate(bed, connected):
    issued = bed.clock.now().replace(microsecond=0)
    await bed.clock.advance(days=89)
    assert (await status(bed))[0] == "Disconnected"
    await bed.clock.advance(days=1)
    assert await status(bed) == ("Expired", issued + timedelta(days=90))
    refusal = await connected.beat()
    assert refusal.status_code in {401, 403}


async def test_renewal_puts_the_expiry_off(bed, connected):
    await bed.clock.advance(days=46)
    await connected.get_token()
    assert (await connected.identity("renew")).status_code == 200
    await bed.clock.advance(days=89)
    assert (await status(bed))[0] == "Disconnected"
    await bed.clock.advance(days=1)
    assert (await status(bed))[0] == "Expired"


async def test_expired_machine_is_not_heard_even_with_a_token_that_is_still_good(bed, connected):
    await bed.clock.advance(days=89, hours=20)
    await connected.get_token()
    await bed.clock.advance(hours=4)
    answer = await connected.beat()
    assert answer.json()["error"]["code"] == "IdentityExpired"
    assert (await status(bed))[0] == "Expired"


async def test_deleted_machine_leaves_no_timer(bed, connected):
    await bed.arm("DELETE", connected.id)
    keys = (f"{connected.vm_id}/his/silence", f"{connected.vm_id}/his/expiry")
    assert [bed.clock.due(key) for key in keys] == [None, None]


async def test_timers_are_set_again_after_a_restart(bed, connected, settings):
    heard = bed.clock.now()
    await bed.cloud.shutdown()
    bed.cloud = build(settings)
    await bed.cloud.startup()
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=bed.cloud.asgi)) as http:
        bed.http = http
        await bed.clock.advance(heard + timedelta(minutes=15) - bed.clock.now())
        assert await status(bed) == ("Disconnected", heard + timedelta(minutes=15))
        await bed.clock.advance(days=90)
        assert (await status(bed))[0] == "Expired"


async def test_reset_of_the_bed_forgets_every_timer(bed, connected):
    await bed.cloud.bed.reset()
    assert bed.clock.due(f"{connected.vm_id}/his/silence") is None
    assert bed.cloud.machines.by_vm_id(connected.vm_id) is None
    await bed.clock.advance(days=100)
