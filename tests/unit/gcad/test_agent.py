"""What a machine does with its assignments, from pull to report, with real worker processes."""

from __future__ import annotations


async def test_an_assignment_is_pulled_published_evaluated_and_reported(bed, content):
    bed.service.put("motd", content())
    async with bed.running():
        await bed.pass_time(minutes=6)
        print(bed.log_text(), bed.log_text("gc_worker_log"))
        assert bed.statuses() == ["Compliant"]
        assert bed.target.read_text() == "wanted\n"
        assert (bed.folder("motd") / "FilePolicy.mof").exists()
