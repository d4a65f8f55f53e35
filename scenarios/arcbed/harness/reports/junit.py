"""JUnit XML: a story is a test suite, a step is a test case, its clauses are properties."""

from __future__ import annotations

import re
from xml.etree import ElementTree as ET

from arcbed.harness.recorder import Event, Step, StoryRun
from arcbed.harness.runner import Run

#: What XML 1.0 cannot hold.
UNPRINTABLE = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
TAGS = {"failed": "failure", "broken": "error", "running": "error", "not covered": "skipped"}


def render(run: Run) -> bytes:
    """`run` as a document."""
    root = ET.Element("testsuites", name="arcbed")
    for story in run.stories:
        _suite(root, run, story)
    suites = list(root)
    for total in ("tests", "failures", "errors", "skipped"):
        root.set(total, str(sum(int(suite.get(total, "0")) for suite in suites)))
    root.set("time", f"{sum(story.seconds for story in run.stories):.3f}")
    ET.indent(root)
    document: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return document + b"\n"


def _suite(root: ET.Element, run: Run, story: StoryRun) -> None:
    steps = [*story.steps, *_outside(story)]
    outcomes = [step.outcome for step in steps]
    suite = ET.SubElement(
        root,
        "testsuite",
        name=story.name,
        tests=str(len(steps)),
        failures=str(outcomes.count("failed")),
        errors=str(len([outcome for outcome in outcomes if TAGS.get(outcome) == "error"])),
        skipped=str(outcomes.count("not covered")),
        time=f"{story.seconds:.3f}",
        timestamp=story.began.removesuffix("Z"),
    )
    properties = ET.SubElement(suite, "properties")
    ET.SubElement(properties, "property", name="seed", value=run.seed)
    for step in steps:
        _case(suite, story, step)


def _outside(story: StoryRun) -> list[Step]:
    """A stand-in step for what went wrong outside every step."""
    if story.outcome == "passed" or any(
        TAGS.get(step.outcome) not in {None, "skipped"} for step in story.steps
    ):
        return []
    return [Step("outside the steps", (), story.seconds, 0.0, story.outcome, story.error)]


def _case(suite: ET.Element, story: StoryRun, step: Step) -> None:
    case = ET.SubElement(
        suite, "testcase", classname=story.name, name=clean(step.title), time=f"{step.seconds:.3f}"
    )
    if step.clauses:
        properties = ET.SubElement(case, "properties")
        for clause in step.clauses:
            ET.SubElement(properties, "property", name="clause", value=clause)
    if tag := TAGS.get(step.outcome):
        first = clean(step.error.splitlines()[0] if step.error else step.outcome)
        ET.SubElement(case, tag, message=first).text = clean(step.error)
    if step.events:
        ET.SubElement(case, "system-out").text = clean("\n".join(map(_line, step.events)))


def _line(event: Event) -> str:
    head = f"{event.at:8.3f} s  {event.mark:>3}  {event.title}"
    return f"{head}\n{event.body}" if event.body else head


def clean(text: str) -> str:
    """`text` without characters that XML cannot hold."""
    return UNPRINTABLE.sub("\ufffd", text)
