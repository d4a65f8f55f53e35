"""A day of two machines on a stepped bed; leaves its event log where the command line says."""

import asyncio
import shutil
import sys

from arcbed.harness import Bed, CloudOptions, arc


async def main(target: str) -> None:
    options = CloudOptions(seed="repeat", clock="stepped", start="2026-03-01")
    async with Bed(options) as bed:
        await arc.prepare(bed, "rg-arcbed")
        one, other = await bed.machine("web-01"), await bed.machine("db-01")
        for machine in (one, other):
            await arc.connect(bed, machine)
        await bed.advance(hours=3)
        await one.stop()
        await bed.advance(hours=1)
        await one.start()
        await bed.advance(hours=1)
        await one.disconnect()
        assert (await bed.time.show())["repeatable"]
        await bed.cloud.host.stop()
        shutil.copy(bed.folder / "cloud" / "events.log", target)


asyncio.run(main(sys.argv[1]))
