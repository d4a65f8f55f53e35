"""``extd test`` as authors call it: what is wrong with a call is said in one line."""

from __future__ import annotations

import json
import zipfile

import pytest

from arcbed import handlers
from arcbed_agent.extd import cli


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)

    def called(*words):
        return cli.run(["test", *words]), capsys.readouterr().err

    return called


def test_file_that_is_no_package_is_refused_by_name(run, tmp_path):
    (tmp_path / "a.zip").write_text("no zip")
    code, said = run("a.zip")
    assert code == 1
    assert said == "extd test: a.zip is not a readable zip file: File is not a zip file\n"


def test_package_without_a_manifest_is_refused(run, tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("readme", "x")
    code, said = run("a.zip")
    assert code == 1
    assert "HandlerManifest.json was not found" in said


def test_files_of_the_machine_are_kept_in_an_empty_folder_only(run, tmp_path):
    package = handlers.build("well_behaved", tmp_path)
    code, said = run(package.name, "--keep", ".")
    assert code == 2
    assert said == "extd test: . is no empty folder; choose another --keep\n"
    assert [path.name for path in tmp_path.iterdir()] == [package.name]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["none.zip"], "none.zip: No such file or directory"),
        (["none.zip", "--settings", "none.json"], "none.json: No such file or directory"),
        (["none.zip", "--settings", "broken.json"], "broken.json is not JSON: "),
        (["none.zip", "--protected-settings", "list.json"], "list.json is no JSON object"),
    ],
)
def test_files_that_cannot_be_used_are_wrong_usage_and_named(run, tmp_path, words, said):
    (tmp_path / "broken.json").write_text("{")
    (tmp_path / "list.json").write_text(json.dumps([1]))
    code, told = run(*words)
    assert code == 2
    assert told.startswith(f"extd test: {said}")
