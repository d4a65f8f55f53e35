"""``fakecloud extension`` and the admin API's extensions, from outside."""

from __future__ import annotations

import httpx
import pytest
from tests.support.packages import package


def test_package_is_published_without_a_control_plane_listed_and_taken_away(run, tmp_path):
    state = ("--state", str(tmp_path / "state"))
    source = package(tmp_path)
    done = run("extension", "publish", str(source), *state, "--region", "West Europe")
    assert (done.returncode, done.stdout) == (0, "published Contoso.Tools Probe 1.0.0\n"), done.stderr
    listed = run("extension", "list", *state).stdout
    assert listed.startswith("Contoso.Tools  Probe  1.0.0  westeurope  ")
    assert run("extension", "key", *state).stdout.startswith("-----BEGIN PGP PUBLIC KEY BLOCK-----")
    done = run("extension", "unpublish", "Contoso.Tools", "Probe", "1.0.0", *state)
    assert (done.returncode, done.stdout) == (0, "unpublished Contoso.Tools Probe 1.0.0\n")
    assert run("extension", "list", *state).stdout == ""
    assert run("extension", "unpublish", "Contoso.Tools", "Probe", "1.0.0", *state).returncode == 1


def test_what_is_no_package_is_refused_and_nothing_changes(run, tmp_path):
    state = ("--state", str(tmp_path / "state"))
    (tmp_path / "x.zip").write_bytes(b"no zip")
    for file, words in (("x.zip", "no usable zip"), ("y.zip", "No such file")):
        done = run("extension", "publish", str(tmp_path / file), *state)
        assert (done.returncode, words in done.stderr) == (1, True), done.stderr
    assert run("extension", "list", *state).stdout == ""


@pytest.fixture
def admin(running_cloud):
    token = (running_cloud.state / "admin.token").read_text().strip()
    transport = httpx.HTTPTransport(uds=str(running_cloud.state / "admin.sock"))
    headers = {"Authorization": f"Bearer {token}"}
    with httpx.Client(transport=transport, base_url="http://localhost/_fakecloud", headers=headers) as client:
        yield client


def test_admin_api_publishes_lists_and_takes_away(admin, tmp_path):
    content = package(tmp_path, "Contoso.Remote.Probe").read_bytes()
    made = admin.put("/extensions/x.zip", content=content)
    assert (made.status_code, "--publisher" in made.text) == (400, True)
    query = {"publisher": "Contoso.Remote", "type": "Probe", "version": "1.2.3", "region": "eastus"}
    made = admin.put("/extensions/x.zip", params=query, content=content)
    assert made.status_code == 201, made.text
    assert made.json()["regions"] == ["eastus"]
    listed = admin.get("/extensions").json()["extensions"]
    assert made.json()["sha256"] in {entry["sha256"] for entry in listed}
    assert admin.delete("/extensions/Contoso.Remote/Probe/1.2.3").status_code == 204
    assert admin.delete("/extensions/Contoso.Remote/Probe/1.2.3").status_code == 404
