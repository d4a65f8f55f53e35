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
READ = [
    ("success", written(status="success"), ("success", 0, "")),
    ("upper case", written(status="Success"), ("success", 0, "")),
    ("failed is error", written(status="failed", code=1), ("error", 1, "")),
    ("unknown word is error", written(status="done"), ("error", 0, "")),
    ("code as text", written(status="success", code="51"), ("success", 51, "")),
    ("code that is no number", written(status="success", code="x"), ("success", 0, "")),
    ("negative code", written(status="error", code=-21), ("error", -21, "")),
    (
        "message",
        written(status="success", formattedMessage={"lang": "en", "message": "m"}),
        ("success", 0, "m"),
    ),
    ("null substatus", written(status="success", substatus=None), ("success", 0, "")),
    ("null item", written(status="success", substatus=[None]), ("success", 0, "")),
    ("only the first element", written(status="success")[:-1] + b', {"status": 1}]', ("success", 0, "")),
    ("byte order mark", b"\xef\xbb\xbf" + written(status="success"), ("success", 0, "")),
]
REFUSED = [
    b"", b"[]", b"{}", b"[1]", b"null", b"[{}]", b'[{"status": {}}]', b'[{"status": {"status": 1}}]',
    b"[" * 99_999,
    written(status="success", formattedMessage={"message": "no lang"}),
    written(status="success", formattedMessage={"lang": "en"}),
    written(status="success", substatus={}),
    written(status="success", substatus=[{"name": "x"}]),
    written(status="success", substatus=[{"status": "failed"}]),
]  # fmt: skip


@pytest.mark.parametrize(("case", "data", "wanted"), READ, ids=[one[0] for one in READ])
def test_a_status_file_is_read_as_real_handlers_mean_it(case, data, wanted):
    found = status.parse(data)
    assert (found.status, found.code, found.message) == wanted


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


@pytest.mark.parametrize(
    ("value", "wanted"), [(True, True), ("true", True), ("True", True), (False, False), ("no", False), (1, 0)]
)  # fmt: skip
def test_flags_of_a_manifest_are_booleans_or_the_text_true(value, wanted):
    found = Manifest.parse(
        manifest(reportHeartbeat=value, continueOnUpdateFailure=value, supportsMultipleExtensions=value)
    )
    assert (found.report_heartbeat, found.continue_on_update_failure, found.multi) == (wanted,) * 3


def test_without_an_update_mode_install_runs_in_an_upgrade():
    assert Manifest.parse(manifest()).update_with_install
    assert not Manifest.parse(manifest(updateMode="UPDATEWITHOUTINSTALL")).update_with_install


def test_a_leading_slash_of_a_command_is_taken_off():
    assert Manifest.parse(manifest(installCommand="/bin/x.sh  a")).commands["install"] == "bin/x.sh  a"


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
