"""What may be published, who a package is, and that nothing half-done is ever seen."""

from __future__ import annotations

import json
import shutil
import subprocess
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.packages import COMMANDS, manifest, package

from arcbed_cloud.services.blob import BlobStore
from arcbed_cloud.services.extensions import ExtensionPackageError, Gallery, versions
from arcbed_cloud.services.extensions.depots import ACCOUNT, CONTAINER
from arcbed_cloud.services.extensions.manifest import parse

NOW = 1_790_000_000.0


def zipped(path: Path, *entries: tuple[zipfile.ZipInfo | str, str]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for entry, text in entries:
            archive.writestr(entry, text)
    return path


@pytest.fixture
def gallery(tmp_path):
    return Gallery(tmp_path / "state")


def test_published_version_is_listed_and_replaced_by_the_same_version(gallery, tmp_path):
    first = gallery.publish(package(tmp_path), now=NOW)
    assert (first.publisher, first.type, first.version) == ("Contoso.Tools", "Probe", "1.0.0")
    second = gallery.publish(package(tmp_path, files={"more": "x"}), now=NOW)
    assert first.sha256 != second.sha256
    assert gallery.all() == (second,)
    assert Gallery(tmp_path / "state").all() == (second,)


def test_unpublished_version_is_gone_and_cannot_go_twice(gallery, tmp_path):
    gallery.publish(package(tmp_path), now=NOW)
    gallery.unpublish("contoso.tools", "probe", "1.0.0")
    assert gallery.all() == ()
    with pytest.raises(ExtensionPackageError, match="is not published"):
        gallery.unpublish("Contoso.Tools", "Probe", "1.0.0")


@pytest.mark.parametrize(
    ("file", "document", "named"),
    [
        (
            "x.zip",
            {"signingInfo": {"publisher": "A.B", "type": "C", "version": "2.0.1"}},
            ("A.B", "C", "2.0.1"),
        ),
        ("x.zip", {"name": "A.B.C", "version": "1.2"}, ("A.B", "C", "1.2")),
        ("A.B.C__1.2.3.zip", {"version": 1.0}, ("A.B", "C", "1.2.3")),
        ("A.B.C-1.2.3.4.zip", {}, ("A.B", "C", "1.2.3.4")),
    ],
)
def test_package_says_whose_it_is_by_signing_info_name_or_file(gallery, tmp_path, file, document, named):
    text = json.dumps([{**document, "handlerManifest": COMMANDS}])
    source = zipped(tmp_path / file, ("HandlerManifest.json", text))
    entry = gallery.publish(source, now=NOW)
    assert (entry.publisher, entry.type, entry.version) == named


def test_package_that_does_not_say_whose_it_is_can_be_told(gallery, tmp_path):
    source = zipped(tmp_path / "x.zip", ("HandlerManifest.json", manifest()))
    with pytest.raises(ExtensionPackageError, match="--publisher"):
        gallery.publish(source, now=NOW)
    assert gallery.publish(source, now=NOW, publisher="A", kind="B", version="3.1").file == "A.B__3.1.zip"


def test_manifest_is_found_in_the_tree_and_with_a_byte_order_mark(gallery, tmp_path):
    source = zipped(tmp_path / "A.B__1.0.zip", ("bin/HandlerManifest.json", "\ufeff" + manifest()))
    assert gallery.publish(source, now=NOW).version == "1.0"


def _link() -> zipfile.ZipInfo:
    info = zipfile.ZipInfo("link")
    info.external_attr = 0o120777 << 16
    return info


@pytest.mark.parametrize(
    ("entries", "words"),
    [
        ([("../evil", "x")], "outside"),
        ([("/etc/passwd", "x")], "outside"),
        ([("a\\..\\..\\b", "x")], "outside"),
        ([(_link(), "/etc/passwd")], "neither a file nor a folder"),
        ([], "no HandlerManifest.json"),
        ([("HandlerManifest.json", "{")], "not JSON"),
        ([("HandlerManifest.json", "{}")], "array of one object"),
        ([("HandlerManifest.json", "[]")], "array of one object"),
        ([("HandlerManifest.json", '[{"handlerManifest": {}}]')], "lacks installCommand"),
        ([("HandlerManifest.json", manifest(updateMode="Sometimes"))], "updateMode"),
    ],
)
def test_package_that_no_machine_would_take_is_refused(gallery, tmp_path, entries, words):
    source = zipped(tmp_path / "A.B__1.0.zip", *entries)
    with pytest.raises(ExtensionPackageError, match=words):
        gallery.publish(source, now=NOW)
    assert gallery.all() == ()


def test_bomb_is_refused_by_what_its_directory_says(gallery, tmp_path, monkeypatch):
    monkeypatch.setattr("arcbed_cloud.services.extensions.manifest.LARGEST_UNPACKED", 1000)
    source = package(tmp_path, files={"big": "0" * 2000})
    with pytest.raises(ExtensionPackageError, match="Unpacked"):
        gallery.publish(source, now=NOW)


def test_what_is_no_zip_is_refused(gallery, tmp_path):
    source = tmp_path / "A.B__1.0.zip"
    source.write_bytes(b"PK\x03\x04nonsense")
    with pytest.raises(ExtensionPackageError, match="no usable zip"):
        gallery.publish(source, now=NOW)


def test_damaged_index_says_what_to_do(gallery, tmp_path):
    gallery.publish(package(tmp_path), now=NOW)
    (gallery.folder / "index.json").write_text("{")
    with pytest.raises(ExtensionPackageError, match="publish again"):
        gallery.all()


def test_flags_of_a_manifest_may_be_text():
    assert parse(manifest(supportsMultipleExtensions="True").encode()).multiple
    assert not parse(manifest(supportsMultipleExtensions="yes").encode()).multiple


@pytest.mark.skipif(not shutil.which("gpg"), reason="gpg is not installed")
def test_catalogue_is_signed_with_the_key_that_is_told(gallery, tmp_path):
    entry = gallery.publish(package(tmp_path), now=NOW)
    blobs = BlobStore(tmp_path / "state")
    blob = blobs.file(blobs.get(ACCOUNT, CONTAINER, entry.catalog)).read_bytes()
    (tmp_path / "key.asc").write_bytes(gallery.key.public_armored)
    (tmp_path / "probe.cat").write_bytes(blob)
    home = tmp_path / "gpg"
    home.mkdir(mode=0o700)
    command = ["gpg", "--homedir", str(home), "--batch", "--no-autostart", "--status-fd", "1"]
    subprocess.run([*command, "--import", str(tmp_path / "key.asc")], check=True, capture_output=True)
    told = subprocess.run(
        [*command, "--trust-model", "always", "--verify", str(tmp_path / "probe.cat")],
        check=True,
        capture_output=True,
    )
    assert b"VALIDSIG" in told.stdout


NUMBERS = st.lists(st.integers(0, 30), min_size=1, max_size=4).map(tuple)


def text(numbers: tuple[int, ...]) -> str:
    return ".".join(map(str, numbers))


@given(known=st.lists(NUMBERS, max_size=12), wanted=NUMBERS, minor=st.booleans())
def test_chosen_version_is_the_newest_that_fits(known, wanted, minor):
    found = versions.newest(map(text, known), text(wanted), minor=minor)

    def fits(version):
        return version[: len(wanted)] == wanted or (minor and version[0] == wanted[0] and version > wanted)

    assert found == (text(max(filter(fits, known))) if any(map(fits, known)) else None)


@given(st.text(max_size=12))
def test_versions_are_numbers_with_dots_or_refused(given_text):
    try:
        numbers = versions.numbers(given_text)
    except ValueError as error:
        assert "is no version" in str(error)
    else:
        assert 1 <= len(numbers) <= 4
