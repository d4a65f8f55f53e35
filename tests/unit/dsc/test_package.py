"""Opening packages: what the field has is accepted, what attacks is refused, and nothing is left behind."""

from __future__ import annotations

import hashlib
import json
import shutil
import stat
import subprocess
import tarfile
import zipfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from arcbed_agent.gcad.package import Limits, PackageError, open_package
from arcbed_agent.gcad.signature import keys_in

MOF = 'instance of TestFile { ResourceID = "[TestFile]a"; Path = "/x"; };'
UNIX = 3


@pytest.fixture
def pack(tmp_path):
    """Write a zip: names (or ZipInfo) to content."""

    def write(members, *, compression=zipfile.ZIP_DEFLATED):
        path = tmp_path / "Any_1.0.0.zip"
        with zipfile.ZipFile(path, "w", compression) as archive:
            for name, content in members:
                archive.writestr(name, content)
        return path

    return write


@pytest.fixture
def target(tmp_path):
    return tmp_path / "out" / "package"


def refused(zip_file, target, **options):
    """The code a package is refused with; nothing may be left where it would have gone."""
    with pytest.raises(PackageError) as caught:
        open_package(zip_file, target, **{"name": "", "sha256": None} | options)
    assert not target.exists()
    return caught.value


# -- what the field has ------------------------------------------------------------------------------------


def test_package_with_backslashes_and_no_metaconfig_is_an_audit(pack, target):
    package = open_package(
        pack([("My.mof", MOF), ("Modules\\TestFileModule\\a.psd1", "x"), ("Modules\\Empty\\", "")]),
        target,
        name="my",
        sha256=None,
    )

    assert package.name == "My"
    assert package.document == target / "My.mof"
    assert (package.metaconfig.type, package.metaconfig.version) == ("Audit", "1.0.0")
    assert package.metaconfig.configuration_mode_frequency_mins is None
    assert (target / "Modules/TestFileModule/a.psd1").read_text() == "x"
    assert (target / "Modules/Empty").is_dir()


@pytest.mark.parametrize("name", ["My.metaconfig.json", "extra.My.metaconfig.json"])
def test_metaconfig_is_read_under_both_names_whatever_its_spelling(pack, target, name):
    settings_of_it = {"type": "AuditandSet", "Version": "1.2.0", "configurationModeFrequencyMins": "60"}
    content = json.dumps(settings_of_it).encode("utf-8-sig")

    metaconfig = open_package(
        pack([("My.mof", MOF), (name, content)]), target, name="", sha256=None
    ).metaconfig

    assert (metaconfig.type, metaconfig.version) == ("AuditAndSet", "1.2.0")
    assert metaconfig.configuration_mode_frequency_mins == 60
    assert metaconfig.document == settings_of_it


def test_broken_metaconfig_counts_as_none(pack, target):
    package = open_package(pack([("My.mof", MOF), ("My.metaconfig.json", "{")]), target, name="", sha256=None)

    assert package.metaconfig.type == "Audit"


def test_document_in_utf16_with_another_name_inside_is_accepted(pack, target):
    text = MOF + '\ninstance of OMI_ConfigurationDocument { Name = "Other"; };'

    package = open_package(pack([("My.mof", text.encode("utf-16"))]), target, name="My", sha256=None)

    assert package.name == "My"


def test_hash_in_any_case_is_accepted(pack, target):
    zip_file = pack([("My.mof", MOF)])
    digest = hashlib.sha256(zip_file.read_bytes()).hexdigest()

    assert open_package(zip_file, target, name="", sha256=digest.upper()).name == "My"


def test_package_of_100_megabytes_is_accepted(pack, target):
    zip_file = pack([("My.mof", MOF), ("Modules/big", b"\0" * (100 * 1024 * 1024 - len(MOF)))])

    assert open_package(zip_file, target, name="", sha256=None).document.is_file()


# -- what is refused ---------------------------------------------------------------------------------------


@pytest.mark.clause("package.hash")
def test_wrong_hash_is_refused(pack, target):
    problem = refused(pack([("My.mof", MOF)]), target, sha256="0" * 64)

    assert problem.code == "PackageHashMismatch"
    assert "0" * 64 in problem.message


@pytest.mark.clause("package.size")
def test_one_byte_over_100_megabytes_is_refused(pack, target):
    zip_file = pack([("My.mof", MOF), ("Modules/big", b"\0" * (100 * 1024 * 1024 - len(MOF) + 1))])

    assert refused(zip_file, target).code == "PackageTooLarge"


def test_bomb_is_refused_before_it_is_unpacked(pack, target):
    bomb = pack([("My.mof", MOF), *((f"Modules/{index}", b"\0" * 20_000_000) for index in range(6))])
    assert bomb.stat().st_size < 200_000

    assert refused(bomb, target).code == "PackageTooLarge"


def test_bomb_that_lies_about_its_size_is_refused(tmp_path, pack, target):
    honest = pack([("My.mof", MOF), ("Modules/b", b"\0" * 5_000_000)])
    content = bytearray(honest.read_bytes())
    size = (5_000_000).to_bytes(4, "little")
    assert content.count(size) == 2
    lying = tmp_path / "lying.zip"
    lying.write_bytes(bytes(content).replace(size, (10).to_bytes(4, "little")))

    assert refused(lying, target, limits=Limits(total_bytes=1_000_000)).code == "PackageNotZip"


def test_too_many_members_are_refused(pack, target):
    zip_file = pack([("My.mof", MOF), *((f"Modules/{index}", "") for index in range(20))])

    assert refused(zip_file, target, limits=Limits(members=20)).code == "PackageTooLarge"


def test_archive_over_its_limit_is_refused_unread(pack, target):
    assert refused(pack([("My.mof", MOF)]), target, limits=Limits(archive_bytes=10)).code == "PackageTooLarge"


def test_document_over_its_limit_is_refused(pack, target):
    zip_file = pack([("My.mof", MOF + "/" * 300)])

    assert refused(zip_file, target, limits=Limits(document_bytes=300)).code == "PackageTooLarge"


@pytest.mark.clause("package.attacks-are-refused")
@pytest.mark.parametrize(
    "name",
    [
        "../evil",
        "..\\evil",
        "Modules/../../evil",
        "Modules\\..\\..\\evil",
        "/etc/evil",
        "\\evil",
        "\\\\server\\share\\evil",
        "C:\\evil",
        "c:evil",
        "Modules/a\nb",
    ],
)
def test_path_that_leaves_the_package_is_refused(pack, target, name):
    problem = refused(pack([("My.mof", MOF), (name, "x")]), target)

    assert problem.code == "PackageUnsafePath"
    assert not (target.parent / "evil").exists()


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR, stat.S_IFSOCK])
def test_links_and_special_files_are_refused(pack, target, kind):
    info = zipfile.ZipInfo("Modules/link")
    info.create_system = UNIX
    info.external_attr = (kind | 0o777) << 16

    assert refused(pack([("My.mof", MOF), (info, "/etc/passwd")]), target).code == "PackageUnsafePath"


def test_same_path_twice_is_refused(pack, target):
    zip_file = pack([("My.mof", MOF), ("Modules/a", "1"), ("Modules\\a", "2")])

    assert refused(zip_file, target).code == "PackageUnsafePath"


def test_file_where_a_folder_must_be_is_refused(pack, target):
    assert refused(pack([("My.mof", MOF), ("Modules", "1"), ("Modules/a", "2")]), target).code in {
        "PackageUnreadable",
        "PackageUnsafePath",
    }


def test_encrypted_member_is_refused(pack, target):
    zip_file = pack([("My.mof", MOF)])
    content = bytearray(zip_file.read_bytes())
    for mark, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.index(mark) + offset] |= 1
    zip_file.write_bytes(content)

    assert refused(zip_file, target).code == "PackageEncrypted"


@pytest.mark.parametrize(
    ("members", "code"),
    [
        ([("readme", "x")], "PackageNoDocument"),
        ([("Folder/My.mof", MOF)], "PackageNoDocument"),
        ([("A.mof", MOF), ("B.MOF", MOF)], "PackageSeveralDocuments"),
        ([("My.mof", "instance of")], "PackageDocumentInvalid"),
    ],
)
def test_package_without_exactly_one_readable_document_is_refused(pack, target, members, code):
    assert refused(pack(members), target).code == code


def test_broken_document_is_refused_with_file_line_and_reason(pack, target):
    problem = refused(pack([("My.mof", "instance of A {\n X = ;\n};")]), target)

    assert problem.message == "My.mof:2:6: expected a value, found ';'"


def test_package_of_another_configuration_is_refused(pack, target):
    problem = refused(pack([("My.mof", MOF)]), target, name="Other")

    assert (problem.code, "'My'" in problem.message) == ("PackageNameMismatch", True)


def test_missing_file_is_refused(tmp_path, target):
    assert refused(tmp_path / "nothing.zip", target).code == "PackageUnreadable"


def test_tar_file_is_refused(tmp_path, target):
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        archive.add(__file__, "My.mof")

    assert refused(tmp_path / "a.tar", target).code == "PackageNotZip"


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_zip_with_flipped_bytes_is_opened_or_refused(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("flip")
    zip_file = folder / "a.zip"
    with zipfile.ZipFile(zip_file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("My.mof", MOF)
        archive.writestr("Modules\\a", "content " * 20)
    content = bytearray(zip_file.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    zip_file.write_bytes(content)
    try:
        open_package(zip_file, folder / "out", name="", sha256=None)
    except PackageError as problem:
        assert problem.code.startswith("Package")
        assert not (folder / "out").exists()
    assert sorted(path.name for path in folder.iterdir()) in (["a.zip"], ["a.zip", "out"])


# -- signatures --------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def signer(tmp_path_factory):
    """A GnuPG home with one key; sign(folder, name) signs what is in a folder."""
    if not shutil.which("gpg"):
        pytest.skip("gpg is not installed")
    home = tmp_path_factory.mktemp("gpg")
    home.chmod(0o700)
    gpg = ["gpg", "--homedir", str(home), "--batch", "--quiet", "--passphrase", ""]
    subprocess.run([*gpg, "--quick-gen-key", "author@example.com", "ed25519", "sign"], check=True)
    key = home / "public.asc"
    key.write_bytes(subprocess.run([*gpg, "--armor", "--export"], check=True, capture_output=True).stdout)

    def sign(folder: Path, name: str) -> None:
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        lines = [
            f"{hashlib.sha256(path.read_bytes()).hexdigest()}  ./{path.relative_to(folder)}" for path in files
        ]
        sums = folder / f"{name}.sha256sums"
        sums.write_text("\n".join(lines) + "\n")
        subprocess.run(
            [*gpg, "--armor", "--detach-sign", "-o", str(folder / f"{name}.asc"), str(sums)], check=True
        )

    sign.key = key
    yield sign
    subprocess.run(["gpgconf", "--homedir", str(home), "--kill", "all"], check=False)


@pytest.fixture
def signed(tmp_path, signer):
    """A signed package, changed by `change` after it was signed."""

    def build(change=lambda _folder: None):
        folder = tmp_path / "content"
        (folder / "Modules").mkdir(parents=True)
        (folder / "My.mof").write_text(MOF)
        (folder / "Modules" / "a.psd1").write_text("module")
        signer(folder, "My")
        change(folder)
        zip_file = tmp_path / "signed.zip"
        with zipfile.ZipFile(zip_file, "w") as archive:
            for path in folder.rglob("*"):
                archive.write(path, path.relative_to(folder))
        return zip_file

    return build


def test_package_signed_with_a_configured_key_is_accepted(signed, signer, target):
    assert open_package(signed(), target, name="", sha256=None, keys=[signer.key]).name == "My"


def test_unsigned_package_is_refused_once_a_key_is_configured(pack, signer, target):
    problem = refused(pack([("My.mof", MOF)]), target, keys=[signer.key])

    assert problem.code == "PackageSignatureInvalid"
    assert "not signed" in problem.message


@pytest.mark.clause("package.signature")
@pytest.mark.parametrize(
    ("change", "phrase"),
    [
        (lambda folder: (folder / "My.mof").write_text(MOF + " "), "'My.mof' is not what was signed"),
        (lambda folder: (folder / "extra").write_text("x"), "'extra' is not among the signed files"),
        (lambda folder: (folder / "Modules/a.psd1").unlink(), "is signed but not in the package"),
        (
            lambda folder: (folder / "My.sha256sums").write_text(
                (folder / "My.sha256sums").read_text() + "\n"
            ),
            "signature of My.sha256sums is not valid",
        ),
    ],
)
def test_package_changed_after_it_was_signed_is_refused(signed, signer, target, change, phrase):
    problem = refused(signed(change), target, keys=[signer.key])

    assert problem.code == "PackageSignatureInvalid"
    assert phrase in problem.message


def test_package_signed_with_another_key_is_refused(signed, tmp_path, target):
    home = tmp_path / "other"
    home.mkdir(mode=0o700)
    gpg = ["gpg", "--homedir", str(home), "--batch", "--quiet", "--passphrase", ""]
    subprocess.run([*gpg, "--quick-gen-key", "other@example.com", "ed25519", "sign"], check=True)
    key = tmp_path / "other.asc"
    key.write_bytes(subprocess.run([*gpg, "--export"], check=True, capture_output=True).stdout)
    subprocess.run(["gpgconf", "--homedir", str(home), "--kill", "all"], check=False)

    assert refused(signed(), target, keys=[key]).code == "PackageSignatureInvalid"


def test_keys_are_the_files_of_the_folder(tmp_path):
    (tmp_path / "b.asc").write_text("b")
    (tmp_path / "a.gpg").write_text("a")
    (tmp_path / "folder").mkdir()

    assert [key.name for key in keys_in(tmp_path)] == ["a.gpg", "b.asc"]
    assert keys_in(tmp_path / "nothing") == []
