"""`fakecloud package`, from outside."""

from __future__ import annotations

from arcbed_cloud.services.packages.formats import write_deb


def test_package_is_published_without_a_control_plane_and_listed(run, tmp_path):
    state = ("--state", str(tmp_path / "state"))
    for version in ("1.2.3.4", "1.2.3.5"):
        file = tmp_path / f"azcmagent_{version}_amd64.deb"
        file.write_bytes(write_deb(f"Package: azcmagent\nVersion: {version}\nArchitecture: amd64\n", {}))
        done = run("package", "publish", str(file), *state)
        assert (done.returncode, done.stdout) == (0, f"published azcmagent {version} (deb, amd64)\n"), (
            done.stderr
        )
    listed = run("package", "list", *state)
    assert listed.stdout.splitlines() == [
        "1.2.3.4  azcmagent_1.2.3.4_amd64.deb  latest",
        "1.2.3.5  azcmagent_1.2.3.5_amd64.deb",
    ]


def test_what_is_no_package_of_the_agent_is_refused_and_nothing_changes(run, tmp_path):
    state = ("--state", str(tmp_path / "state"))
    (tmp_path / "x.deb").write_bytes(b"no package")
    for file, words in ((tmp_path / "x.deb", "is no .deb"), (tmp_path / "y.deb", "There is no file")):
        done = run("package", "publish", str(file), *state)
        assert (done.returncode, words in done.stderr) == (1, True), done.stderr
    assert not run("package", "list", *state).stdout
