"""What is left of a run: JUnit XML for machines, one HTML page for people."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from arcbed.harness.reports import html, junit
from arcbed.harness.runner import Run

__all__ = ["Reports", "write"]


@dataclass(frozen=True)
class Reports:
    """Where the reports of a run are.

    Args:
        folder: holds everything.
        page: the HTML page.
        junit: the JUnit XML.
        logs: logs and machine files of stories that failed; None when there are none.
    """

    folder: Path
    page: Path
    junit: Path
    logs: Path | None


def write(run: Run, folder: Path) -> Reports:
    """Write all reports of `run` into `folder`, which is made where needed."""
    folder.mkdir(parents=True, exist_ok=True)
    page, xml = folder / "report.html", folder / "junit.xml"
    page.write_text(html.render(run), encoding="utf-8")
    xml.write_bytes(junit.render(run))
    return Reports(folder, page, xml, _write_logs(run, folder / "logs"))


def _write_logs(run: Run, folder: Path) -> Path | None:
    failed = [story for story in run.stories if story.outcome not in {"passed", "not covered"}]
    for story in failed:
        for attachment in story.attachments:
            owner = attachment.owner.replace(" ", "-")
            place = folder / story.name.replace("/", "-") / owner / attachment.name
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(attachment.text, encoding="utf-8")
    return folder if any(story.attachments for story in failed) else None
