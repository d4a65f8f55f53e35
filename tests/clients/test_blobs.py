"""Microsoft's storage library writes to the storage hosts, with what a shared access signature allows."""

from __future__ import annotations

import time

import pytest
from azure.core import MatchConditions
from azure.core.exceptions import HttpResponseError, ResourceExistsError, ResourceModifiedError
from azure.storage.blob import BlobClient, BlobType

from arcbed_cloud.services.blob import BlobStore
from arcbed_cloud.services.blob.links import place_of, signed_url_of

ALL = "racw"


@pytest.fixture
def client(running_cloud, request):
    """Makes clients of one blob, which is not there at first, with signatures of given permissions."""
    store = BlobStore(running_cloud.state)
    name = f"{request.node.name}/out put.txt".replace("_", "-")

    def made(permissions: str = ALL) -> BlobClient:
        place = place_of(store, "outputs", "results", name, ALL)
        expiry = time.time() + 600  # noqa: TID251 - whoever signs has a clock of their own
        url = signed_url_of(store, place, running_cloud.state, expiry=expiry, permissions=permissions)
        return BlobClient.from_blob_url(url, connection_verify=running_cloud.ca)

    return made


def refused(error: pytest.ExceptionInfo[HttpResponseError]) -> tuple[int | None, str]:
    # The library knows some codes as members of an enumeration of texts.
    return error.value.status_code, error.value.error_code


def test_block_blob_is_uploaded_read_and_replaced(client):
    blob = client()
    blob.upload_blob(b"first")
    assert blob.download_blob().readall() == b"first"
    with pytest.raises(ResourceExistsError):
        blob.upload_blob(b"second")
    blob.upload_blob(b"second", overwrite=True)
    found = blob.get_blob_properties()
    assert (found.blob_type, found.size) == (BlobType.BLOCKBLOB, 6)


def test_append_blob_grows_block_by_block_and_is_emptied_when_it_is_made_again(client):
    blob = client()
    blob.create_append_blob()
    assert blob.append_block(b"one ")["blob_append_offset"] == "0"
    added = blob.append_block(b"two", appendpos_condition=4)
    assert (added["blob_append_offset"], added["blob_committed_block_count"]) == ("4", 2)
    assert blob.download_blob().readall() == b"one two"
    found = blob.get_blob_properties()
    assert (found.blob_type, found.append_blob_committed_block_count) == (BlobType.APPENDBLOB, 2)
    blob.create_append_blob()
    assert blob.download_blob().readall() == b""
    blob.upload_blob(b"x" * 9_000_000, blob_type="AppendBlob", overwrite=True)
    assert blob.get_blob_properties().append_blob_committed_block_count > 1


def test_conditions_of_an_append_are_kept(client):
    blob = client()
    blob.create_append_blob()
    blob.append_block(b"1234")
    with pytest.raises(HttpResponseError) as error:
        blob.append_block(b"5", appendpos_condition=3)
    assert refused(error) == (412, "AppendPositionConditionNotMet")
    with pytest.raises(HttpResponseError) as error:
        blob.append_block(b"5", maxsize_condition=4)
    assert refused(error) == (412, "MaxBlobSizeConditionNotMet")
    with pytest.raises(ResourceModifiedError):
        blob.append_block(b"5", etag='"0x1"', match_condition=MatchConditions.IfNotModified)
    assert blob.download_blob().readall() == b"1234"


def test_no_block_is_added_to_what_is_no_append_blob_or_is_not_there(client):
    blob = client()
    with pytest.raises(HttpResponseError) as error:
        blob.append_block(b"x")
    assert refused(error) == (404, "BlobNotFound")
    blob.upload_blob(b"first")
    with pytest.raises(HttpResponseError) as error:
        blob.append_block(b"x")
    assert refused(error) == (409, "InvalidBlobType")


@pytest.mark.parametrize(
    ("permissions", "create", "replace", "append"),
    [
        ("r", False, False, False),
        ("c", True, False, False),
        ("a", False, False, True),
        ("w", True, True, True),
    ],
)
def test_signature_allows_what_its_letters_say(client, permissions, create, replace, append):
    limited, blob = client(permissions), client()

    def allowed(work) -> bool:
        try:
            work()
        except HttpResponseError as error:
            assert (error.status_code, error.error_code) == (403, "AuthorizationPermissionMismatch")
            return False
        return True

    assert allowed(limited.create_append_blob) == create
    blob.create_append_blob()
    assert allowed(limited.create_append_blob) == replace
    assert allowed(lambda: limited.append_block(b"x")) == append


def test_without_a_signature_nothing_is_written(client, running_cloud):
    url = client().url.partition("?")[0]
    with pytest.raises(HttpResponseError) as error:
        BlobClient.from_blob_url(url, connection_verify=running_cloud.ca).create_append_blob()
    assert error.value.status_code == 403


def test_damaged_content_is_refused(client):
    blob = client()
    blob.create_append_blob()
    blob.append_block(b"checked", validate_content=True)
    with pytest.raises(HttpResponseError) as error:
        blob.append_block(b"wrong", headers={"Content-MD5": "AAAAAAAAAAAAAAAAAAAAAA=="})
    assert refused(error) == (400, "Md5Mismatch")
