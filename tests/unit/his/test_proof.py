"""Any change of a proof or of what it is about makes it worthless."""

from __future__ import annotations

import json
import string
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from arcbed_cloud.clock import Keeper
from arcbed_cloud.services.his.errors import HisError
from arcbed_cloud.services.his.proof import JTI_SECONDS, Proofs, Proven

POP = json.loads((Path(__file__).parents[2] / "contract" / "pop.json").read_text())
GOOD = POP["accepted"][0]["jws"]
BODY = POP["request"]["body"].encode()
URL = POP["request"]["url"].partition("?")[0]
ALPHABET = string.ascii_letters + string.digits + "-_"


class FixedKeeper(Keeper):
    def __init__(self) -> None:
        super().__init__("stepped")
        self.at = float(POP["now"])

    def wall(self) -> float:
        return self.at


def check(jws, body=BODY, url=URL, proofs=None):
    proven = Proven(POP["machine"]["vmId"], POP["machine"]["resourceId"], "POST", url, body)
    (proofs or Proofs(FixedKeeper())).check(jws, POP["publicKey"], proven)


def refused(jws, body=BODY, url=URL):
    with pytest.raises(HisError) as error:
        check(jws, body, url)
    assert error.value.code in {"InvalidProof", "KeyMismatch"}


@given(st.integers(0, len(GOOD) - 1), st.sampled_from(ALPHABET + ".=+/ \u00e9\x00"))
def test_any_changed_character_is_refused(position, character):
    assume(GOOD[position] != character)
    refused(GOOD[:position] + character + GOOD[position + 1 :])


@pytest.mark.parametrize("character", sorted(set(ALPHABET) - {GOOD[-1]}))
def test_other_spelling_of_the_same_signature_bytes_is_refused(character):
    """The last character carries two bits of the signature and four that mean nothing."""
    refused(GOOD[:-1] + character)


@given(st.integers(0, len(GOOD) - 1), st.integers(1, 20))
def test_any_cut_is_refused(position, length):
    refused(GOOD[:position] + GOOD[position + length :])


@given(st.integers(0, len(BODY) - 1), st.integers(1, 255))
def test_any_changed_byte_of_the_body_is_refused(position, flip):
    refused(GOOD, body=BODY[:position] + bytes([BODY[position] ^ flip]) + BODY[position + 1 :])


@given(st.text(max_size=200))
def test_text_is_refused_and_never_an_error_of_ours(text):
    refused(text)


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists, max_leaves=5))
def test_header_of_any_shape_is_refused(header):
    from base64 import urlsafe_b64encode

    first = urlsafe_b64encode(json.dumps(header).encode()).rstrip(b"=").decode()
    refused(f"{first}.{GOOD.partition('.')[2]}")


@pytest.mark.parametrize(
    "url", [URL + "/", URL.replace("https", "http"), URL.upper(), URL.replace(".com", ".com:444")]
)
def test_another_url_is_refused(url):
    refused(GOOD, url=url)


def test_explicit_default_port_is_the_same_url():
    check(GOOD, url=URL.replace(".com", ".com:443"))


def test_proof_is_remembered_for_ten_minutes_of_real_time():
    clock = FixedKeeper()
    proofs = Proofs(clock)
    check(GOOD, proofs=proofs)
    clock.at += 300
    with pytest.raises(HisError, match="used before"):
        check(GOOD, proofs=proofs)
    clock.at += JTI_SECONDS
    with pytest.raises(HisError, match="expired"):
        check(GOOD, proofs=proofs)
    assert len(proofs._used) == 1
