"""Whatever a machine sends as a report is taken or refused with 400; nothing of it breaks the store."""

from __future__ import annotations

import json

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from arcbed_cloud.services.guestconfig import findings
from arcbed_cloud.services.his.errors import HisError

GOOD = {
    "assignmentName": "Motd",
    "assignmentHash": "A.B",
    "itemGeneration": 1,
    "configuration": {"name": "Motd", "version": "1.0.0"},
    "operationType": "Initial",
    "jobId": "j",
    "startTime": "2026-03-01T12:00:00Z",
    "endTime": "2026-03-01T12:00:05.1234567Z",
    "complianceStatus": "Compliant",
    "resources": [{"resourceId": "r", "complianceStatus": "Compliant", "properties": {}, "reasons": []}],
    "seq": 1,
}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda children: (
        st.lists(children, max_size=4) | st.dictionaries(st.text(max_size=12), children, max_size=4)
    ),
    max_leaves=12,
)
CHANGES = st.dictionaries(
    st.sampled_from([*GOOD, "engine", "error", "unheard"]), JSON | st.datetimes().map(str), max_size=3
)


@settings(max_examples=300)
@given(change=CHANGES)
def test_report_with_any_member_changed_is_taken_whole_or_refused(change):
    body = json.dumps({**GOOD, **change}).encode()
    try:
        found = findings.read(body, "motd")
    except HisError as error:
        assert error.status == 400
    else:
        assert orjson.dumps([found.resources, found.engine, found.error, found.configuration])
        assert found.seq >= 0


@settings(max_examples=200)
@given(body=st.binary(max_size=200))
def test_body_that_is_no_report_is_refused(body):
    with pytest.raises(HisError, match="400 InvalidRequest"):
        findings.read(body, "Motd")


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("endTime", "0001-01-01T00:00:00+14:00"),
        ("startTime", "9999-12-31T23:59:59-14:00"),
        ("engine", {"cpu": 2**80}),
        ("resources", [{"complianceStatus": "Compliant", "properties": {"n": -(2**70)}}]),
    ],
)
def test_value_that_cannot_be_kept_is_refused(member, value):
    with pytest.raises(HisError, match="400 InvalidRequest"):
        findings.read(json.dumps({**GOOD, member: value}).encode(), "Motd")
