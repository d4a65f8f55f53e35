"""``fakecloud blob`` and the admin API's blobs: the same files, whether the control plane runs or not."""

from __future__ import annotations

import hashlib
import json

import httpx
from typer.testing import CliRunner

from arcbed_cloud.cli import app

FILE = b"a package of a few bytes"
DIGEST = hashlib.sha256(FILE).hexdigest().upper()


def run(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, list(arguments))
    return result.exit_code, result.output


def test_file_is_uploaded_listed_signed_and_deleted_without_a_control_plane(tmp_path):
    file, state = tmp_path / "Motd.zip", ("--state", str(tmp_path / "state"))
    file.write_bytes(FILE)
    code, printed = run("blob", "put", str(file), *state, "--json")
    assert code == 0, printed
    found = json.loads(printed)
    assert found["contentHash"] == DIGEST
    assert found["contentUri"].startswith("https://arcbed.blob.core.windows.net/packages/Motd.zip?sp=r&se=")
    assert run("blob", "list", *state) == (0, f"arcbed/packages/Motd.zip  {len(FILE)}  {DIGEST}\n")
    code, printed = run("blob", "sign", "arcbed/packages/Motd.zip", *state)
    assert code == 0
    assert f"contentHash  {DIGEST}" in printed
    assert run("blob", "delete", "arcbed/packages/Motd.zip", *state)[0] == 0
    assert run("blob", "delete", "arcbed/packages/Motd.zip", *state)[0] == 1
    assert run("blob", "list", *state) == (0, "")


def test_public_blob_has_an_address_without_a_signature(tmp_path):
    file = tmp_path / "x.zip"
    file.write_bytes(FILE)
    options = (
        "--state",
        str(tmp_path / "s"),
        "--account",
        "oaasguestconfigwcuss1",
        "--container",
        "builtinconfig",
    )
    code, printed = run("blob", "put", str(file), *options, "--name", "A/A_1.0.zip", "--public", "--json")
    assert code == 0
    uri = "https://oaasguestconfigwcuss1.blob.core.windows.net/builtinconfig/A/A_1.0.zip"
    assert json.loads(printed)["contentUri"] == uri


def test_file_that_is_not_there_is_named_without_an_error_number(tmp_path):
    code, printed = run("blob", "put", str(tmp_path / "none.zip"), "--state", str(tmp_path / "state"))
    assert (code, printed) == (1, f"fakecloud: {tmp_path}/none.zip: No such file or directory\n")


def test_bad_name_and_missing_file_are_said(tmp_path):
    file, state = tmp_path / "x.zip", ("--state", str(tmp_path / "state"))
    file.write_bytes(FILE)
    code, printed = run("blob", "put", str(file), *state, "--account", "Not OK")
    assert (code, "no account name" in printed) == (1, True)
    code, printed = run("blob", "put", str(tmp_path / "nothing"), *state)
    assert (code, "No such file" in printed) == (1, True)
    assert run("blob", "sign", "a/b/c", *state)[0] == 1


def test_blob_of_a_running_bed_is_downloaded_from_the_printed_address(running_cloud, tmp_path):
    file = tmp_path / "Running.zip"
    file.write_bytes(FILE)
    code, printed = run("blob", "put", str(file), "--state", str(running_cloud.state), "--json")
    assert code == 0, printed
    uri = json.loads(printed)["contentUri"]
    assert uri.startswith(f"{running_cloud.url}/blob/arcbed/packages/Running.zip?")
    assert httpx.get(uri, verify=running_cloud.tls).content == FILE
    host = {"Host": "arcbed.blob.core.windows.net"}
    path = uri.removeprefix(f"{running_cloud.url}/blob/arcbed")
    assert httpx.get(f"{running_cloud.url}{path}", headers=host, verify=running_cloud.tls).content == FILE


def test_admin_api_uploads_signs_lists_and_deletes(running_cloud):
    token = (running_cloud.state / "admin.token").read_text().strip()
    transport = httpx.HTTPTransport(uds=str(running_cloud.state / "admin.sock"))
    headers = {"Authorization": f"Bearer {token}"}
    root = "http://localhost/_fakecloud/blobs"
    with httpx.Client(transport=transport, headers=headers) as admin:
        made = admin.put(f"{root}/acme/packages/a/b.zip", content=FILE, params={"hours": 1})
        assert made.status_code == 201, made.text
        assert made.json()["contentHash"] == DIGEST
        assert httpx.get(made.json()["url"], verify=running_cloud.tls).content == FILE
        listed = admin.get(root).json()["blobs"]
        assert [blob["name"] for blob in listed if blob["account"] == "acme"] == ["a/b.zip"]
        again = admin.post(f"{root}/acme/packages/a/b.zip")
        assert again.json()["url"].startswith(f"{running_cloud.url}/blob/acme/packages/a/b.zip?")
        bad = admin.put(f"{root}/ACME/packages/a.zip", content=FILE)
        assert (bad.status_code, bad.json()["error"]["code"]) == (400, "InvalidBlobName")
        assert admin.delete(f"{root}/acme/packages/a/b.zip").status_code == 204
        assert admin.delete(f"{root}/acme/packages/a/b.zip").status_code == 404
        assert admin.post(f"{root}/acme/packages/a/b.zip").status_code == 404
