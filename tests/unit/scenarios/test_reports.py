"""What a run leaves behind."""

from __future__ import annotations

import re
from xml.etree import ElementTree as ET

import pytest

from arcbed.harness.clauses import catalogue
from arcbed.harness.recorder import Attachment, Event, Step, StoryRun
from arcbed.harness.reports import html, junit, write
from arcbed.harness.runner import Run


@pytest.fixture
def failed() -> Run:
    """One story that passed a step and failed another with text that markup must not swallow."""
    story = StoryRun("field/x", "A <title>", "About & about", "2022-03-03T10:00:00Z", 3.0, "failed", "boom")
    story.steps = [
        Step("first", ("onboarding.success",), 0.0, 1.0, "passed"),
        Step("second", ("disconnect.success",), 1.0, 2.0, "failed", "expected <b>, got \x1b[31mred"),
    ]
    story.steps[0].events = [Event("command", 0.1, 0.5, "azcmagent connect", "INFO    done", "0")]
    story.steps[1].events = [Event("http", 1.1, 0.2, "GET /x", '{"error": "</script>"}', "404")]
    story.attachments = [
        Attachment("web-01", "himds.log", "level=error"),
        Attachment("control plane", "a.log", ""),
    ]
    return Run("seed-1", "2022-03-03T10:00:00Z", [story])


def test_junit_has_a_case_for_each_step_with_its_clauses(failed):
    suite = ET.fromstring(junit.render(failed))[0]
    cases = suite.findall("testcase")
    assert [case.get("name") for case in cases] == ["first", "second"]
    assert [case.get("classname") for case in cases] == ["field/x", "field/x"]
    assert cases[0].find("properties/property").attrib == {"name": "clause", "value": "onboarding.success"}
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == ("2", "1", "0")


def test_junit_failure_carries_the_error_without_control_characters(failed):
    case = ET.fromstring(junit.render(failed)).findall(".//testcase")[1]
    assert case.find("failure").get("message") == "expected <b>, got \ufffd[31mred"
    assert "GET /x" in case.find("system-out").text


def test_junit_of_a_bed_that_broke_outside_the_steps_has_an_error():
    story = StoryRun("x", "x", "", "2022-03-03T10:00:00Z", 1.0, "broken", "no cloud\nat all")
    suite = ET.fromstring(junit.render(Run("1", "", [story])))[0]
    assert suite.get("errors") == "1"
    assert suite.find("testcase/error").get("message") == "no cloud"


def test_page_refers_to_nothing_outside_itself(failed):
    page = html.render(failed)
    assert not re.findall(r"""(?:src|href)\s*=\s*["'](?!#)""", page)
    assert not re.findall(r"@import|url\(", page)
    assert "<script" not in page.replace("&lt;/script", "")


def test_page_escapes_what_it_shows(failed):
    page = html.render(failed)
    assert "A &lt;title&gt;" in page
    assert "&lt;/script&gt;" in page
    assert "</script>" not in page


def test_page_tells_passed_failed_and_uncovered_clauses_apart(failed):
    rows = {row.clause.id: row.outcome for row in html.clause_rows(failed)}
    assert rows["onboarding.success"] == "passed"
    assert rows["disconnect.success"] == "failed"
    assert rows["onboarding.wrong-secret"] == "not covered"
    page = html.render(failed)
    assert all(f'id="clause-{clause}"' in page for clause in catalogue())


def test_reports_of_a_failure_come_with_the_logs(failed, tmp_path):
    reports = write(failed, tmp_path / "out")
    assert reports.page.is_file()
    assert reports.junit.is_file()
    assert (reports.logs / "field-x" / "web-01" / "himds.log").read_text() == "level=error"


def test_reports_of_a_success_come_without_logs(failed, tmp_path):
    failed.stories[0].outcome = "passed"
    assert write(failed, tmp_path).logs is None


@pytest.mark.parametrize("outcome", ["not covered", "broken"])
def test_folder_of_logs_is_named_only_where_there_is_one(tmp_path, outcome):
    story = StoryRun("x", "x", "", "2022-03-03T10:00:00Z", 1.0, outcome, "no bed")
    assert write(Run("1", "", [story]), tmp_path).logs is None


def test_page_shows_the_reason_of_an_uncovered_story_as_no_error_and_no_empty_time_line():
    story = StoryRun(
        "x", "x", "``azcmagent check`` helps", "2022-03-03T10:00:00Z", 0.0, "not covered", "no net"
    )
    page = html.render(Run("1", "", [story]))
    assert "<pre>no net</pre>" in page
    assert "select one to see" not in page
    assert "<code>azcmagent check</code> helps" in page


def test_page_leaves_the_names_of_machines_as_they_are(failed):
    page = html.render(failed)
    assert '<h3 class="owner">web-01</h3>' in page
    assert "h3.owner { text-transform: none" in page


@pytest.mark.parametrize("seconds", [0.0, 0.05, 1.0, 7.3, 59.0, 3600.0, 100_000.0])
def test_time_line_has_few_labels_within_the_story(seconds):
    labels = html.ticks(StoryRun("x", "x", "", "", seconds))
    assert labels[0] == 0
    assert labels[-1] <= seconds
    assert len(labels) <= 7 or seconds > 3600


def test_what_is_not_covered_is_neither_passed_nor_failed_in_any_report():
    story = StoryRun("x", "x", "", "2022-03-03T10:00:00Z", 1.0, "passed")
    story.steps = [Step("cut", ("onboarding.success",), 0.0, 1.0, "not covered", "no network here")]
    run = Run("1", "2022-03-03T10:00:00Z", [story], place="process")

    suite = ET.fromstring(junit.render(run))[0]
    assert [suite.get(count) for count in ("tests", "failures", "errors", "skipped")] == ["1", "0", "0", "1"]
    assert suite.find("testcase/skipped").get("message") == "no network here"
    assert {row.outcome for row in html.clause_rows(run)} == {"not covered"}
    assert "no network here" in html.render(run)
