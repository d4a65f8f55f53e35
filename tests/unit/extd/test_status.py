"""Status files and manifests as real handlers write them: a table of what is read from what."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arcbed_agent.extd import status
from arcbed_agent.extd.manifest import Manifest, ManifestError
from arcbed_agent.extd.output import laid_out


def written(**inner):
    return json.dumps([{"version": 1, "timestampUTC": "2026-01-01T00:00:00Z", "status": inner}]).encode()


MEMBERS = ["status", "code", "substatus", "formattedMessage", "lang", "message"]
REFUSED = [
    b"", b"[]", b"{}", b"[1]", b"null", b"[{}]", b'[{"status": {}}]', b'[{"status": {"status": 1}}]',
    b"[" * 99_999,
    written(status="success", formattedMessage={"message": "no lang"}),
    written(status="success", formattedMessage={"lang": "en"}),
    written(status="success", substatus={}),
    written(status="success", substatus=[{"name": "x"}]),
    written(status="success", substatus=[{"status": "failed"}]),
]  # fmt: skip


@pytest.mark.parametrize("data", REFUSED)
def test_a_file_that_is_no_status_is_an_error_with_1012_that_quotes_it(tmp_path, data):
    path = tmp_path / "0.status"
    path.write_bytes(data)
    with pytest.raises(status.UnreadableError) as caught:
        status.read(path)
    assert (caught.value.status.status, caught.value.status.code) == ("error", 1012)
    assert len(caught.value.status.message) < 2_500


def test_signatures_are_taken_out_of_every_message(tmp_path):
    url = "https://x.blob.core.windows.net/c/b?sv=1&sig=abc%2Fdef&se=2"
    part = {"status": "error", "formattedMessage": {"lang": "en", "message": url}}
    found = status.parse(
        written(status="error", formattedMessage={"lang": "en", "message": url}, substatus=[part])
    )
    assert "abc" not in found.message + found.substatuses[0].message
    assert "se=2" in found.message


def test_a_file_over_the_limit_is_shortened():
    parts = [
        {
            "status": "success",
            "name": "n" * 20_000,
            "formattedMessage": {"lang": "en", "message": "m" * 20_000},
        }
        for _ in range(20)
    ]
    message = {"lang": "en", "message": "x" * 5_000}
    found = status.parse(written(status="success", formattedMessage=message, substatus=parts))
    assert found.message == "x" * 1_024 + " ... [TRUNCATED]"
    assert 0 < len(found.substatuses) < 20
    assert len(json.dumps([part.document() for part in found.substatuses])) <= status.SIZE_LIMIT + 100


@given(st.binary(max_size=300) | st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.sampled_from(MEMBERS), inner),
    max_leaves=12,
).map(lambda value: json.dumps([{"status": value}]).encode()))  # fmt: skip
def test_whatever_a_handler_writes_it_is_a_status_or_a_value_error(data):
    try:
        found = status.parse(data)
    except ValueError:
        return
    assert found.status in status.WORDS
    assert isinstance(found.code, int)


@pytest.mark.parametrize(
    ("said", "wanted"),
    [
        ('[{"heartbeat": {"status": "ready", "code": 0, "formattedMessage": {"lang": "", "message": "up"}}}]',
         ("Ready", 0, "up")),
        ('[{"heartbeat": {"status": "notready", "code": 5}}]', ("NotReady", 5, "")),
        ("[]", ("NotReady", -1, None)),
        ("nonsense", ("NotReady", -1, None)),
    ],
)  # fmt: skip
def test_a_heartbeat_replaces_the_handlers_status(tmp_path, said, wanted):
    path = tmp_path / "heartbeat.log"
    path.write_text(said)
    now = path.stat().st_mtime
    found = status.read_heartbeat(path, now + 600)
    assert (found.status, found.code) == wanted[:2]
    assert wanted[2] is None or found.message == wanted[2]
    assert status.read_heartbeat(path, now + 601).status == "Unresponsive"
    assert status.read_heartbeat(tmp_path / "missing", now).code == -1


def manifest(**inner):
    commands = {
        f"{name}Command": f"{name}.sh" for name in ("install", "enable", "disable", "update", "uninstall")
    }
    return json.dumps([{"version": "1.2", "handlerManifest": commands | inner}]).encode()


@given(st.binary(max_size=200))
def test_a_manifest_is_read_or_refused_with_a_code(data):
    with pytest.raises(ManifestError) as caught:
        Manifest.parse(data)
    assert caught.value.code == 1003


@given(st.text(alphabet="ab", max_size=200), st.text(alphabet="cd", max_size=200), st.integers(2, 100))
def test_the_shorter_stream_gives_its_rest_to_the_longer(stdout, stderr, longest):
    text = laid_out(stdout, stderr, longest)
    first, _, second = text.removeprefix("[stdout]\n").partition("\n\n[stderr]\n")
    assert stdout.endswith(first)
    assert stderr.endswith(second)
    assert len(first) + len(second) == min(longest, len(stdout) + len(stderr))
