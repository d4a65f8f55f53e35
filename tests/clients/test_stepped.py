"""SDKs on a bed whose time stands still: under `bed.until` their blocking calls and pollers end."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from azure.identity import ClientSecretCredential
from azure.mgmt.hybridcompute import HybridComputeManagementClient
from azure.mgmt.resource.resources import ResourceManagementClient

from arcbed.harness import Bed, BedError, CloudOptions

HOUR = timedelta(hours=1)
START = datetime(2026, 3, 1, tzinfo=UTC)


def clients(bed: Bed) -> tuple[ResourceManagementClient, HybridComputeManagementClient]:
    env = bed.cloud.env
    owner = ClientSecretCredential(
        env["tenantId"],
        env["owner"]["clientId"],
        env["owner"]["clientSecret"],
        authority=env["authority"],
        disable_instance_discovery=True,
        connection_verify=env["caFile"],
    )
    options = {
        "base_url": env["armEndpoint"],
        "credential_scopes": ["https://management.azure.com/.default"],
        "connection_verify": env["caFile"],
    }
    subscription = env["subscriptionId"]
    return (
        ResourceManagementClient(owner, subscription, **options),
        HybridComputeManagementClient(owner, subscription, **options),
    )


async def test_pollers_and_waits_of_sdks_end_while_the_bed_goes_on_by_itself() -> None:
    async with Bed(CloudOptions(seed="sdk", clock="stepped", start="2026-03-01")) as bed:
        await bed.cloud.register()
        await bed.cloud.new_group("rg-arcbed")
        machine = await bed.machine("web-01")
        assert (await bed.until(machine.connect(), limit=HOUR)).exit_code == 0
        assert (await bed.time.show())["repeatable"], "azcmagent is on the bed's clock"
        await machine.stop()
        resources, hybridcompute = clients(bed)
        with resources, hybridcompute:

            def wait_until_disconnected() -> int:
                asked = 1
                while hybridcompute.machines.get("rg-arcbed", "web-01").status != "Disconnected":
                    asked += 1
                return asked

            asked = await bed.until(asyncio.to_thread(wait_until_disconnected), limit=HOUR)
            assert asked > 1
            assert await bed.time.now() == START + timedelta(minutes=15)

            def delete_group() -> None:
                resources.resource_groups.begin_delete("rg-arcbed").result(60)

            await bed.until(asyncio.to_thread(delete_group), limit=HOUR, what="the deletion")
        assert (await bed.cloud.arm.get(bed.cloud.arm.group_id("rg-arcbed"))).status == 404
        assert not (await bed.time.show())["repeatable"], "an SDK in a thread is not on the bed's clock"


async def test_limit_of_the_beds_time_names_who_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("arcbed.harness.bedtime.PATIENCE", 0.1)
    async with Bed(CloudOptions(seed="sdk", clock="stepped", start="2026-03-01")) as bed:
        machine = await bed.machine("web-01")
        with pytest.raises(
            BedError, match=r"the wait did not end within 0:10:00 .* waiting: .*web-01/himds/heart"
        ):
            await bed.until(asyncio.Event().wait(), limit=timedelta(minutes=10), what="the wait")
        await machine.stop()
