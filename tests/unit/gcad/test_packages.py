"""Packages on their way to the machine: resumed, refused, given up, and what is said about it."""

from __future__ import annotations

import asyncio
import hashlib
import io
import json
import random
import zipfile

import httpx
import pytest
from scripted import BLOBS, GAS, VM_ID, refusal

from arcbed_agent.clock import SystemClock
from arcbed_agent.config import LocalConfig
from arcbed_agent.gcad.dsc.mof import read
from arcbed_agent.gcad.package import Limits

from .conftest import mof, package


class Broken(httpx.AsyncByteStream):
    """An answer that ends early."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    async def __aiter__(self):
        yield self._content
        raise httpx.ReadError("connection reset by peer")


def cut_short(content: bytes, at: int) -> httpx.Response:
    etag = f'"{hashlib.sha256(content).hexdigest()[:8]}"'
    return httpx.Response(
        200, stream=Broken(content[:at]), headers={"etag": etag, "content-length": str(len(content))}
    )


def failure_of(bed, name: str = "motd") -> dict[str, str]:
    (report,) = [one for one in bed.service.reports if one["assignmentName"] == name]
    assert report["complianceStatus"] == "NonCompliant"
    assert report["resources"][0]["reasons"][0]["code"] == report["error"]["code"]
    return report["error"]


async def test_an_interrupted_download_goes_on_where_it_was(bed, content):
    made = content()
    bed.service.put("motd", made)
    bed.service.script("packages.test", cut_short(made, 100))
    async with bed.running():
        await bed.pass_time(minutes=6)
    assert bed.statuses() == ["Compliant"]
    second = bed.service.asked("GET", "packages.test")[1][1]
    assert second.headers["range"] == "bytes=100-"


async def test_a_download_that_was_complete_when_the_agent_ended_is_taken_once_more(bed, content):
    made = content()
    bed.service.put("motd", made)
    key = hashlib.sha256(made).hexdigest()
    bed.layout["packages"].mkdir(parents=True)
    async with bed.running():
        (bed.layout["packages"] / f"{key}.part").write_bytes(made)
        (bed.layout["packages"] / f"{key}.part.etag").write_text(f'"{key[:8]}"')
        bed.service.script("packages.test", refusal(416, "InvalidRange"))
        await bed.pass_time(minutes=5)
    assert bed.statuses() == ["Compliant"]
    assert len(bed.service.asked("GET", "packages.test")) == 2


async def test_a_package_that_changed_meanwhile_is_fetched_from_its_start(bed, content):
    made = content()
    bed.service.put("motd", made)
    bed.service.script("packages.test", cut_short(b"another" * 50, 100))
    async with bed.running():
        await bed.pass_time(minutes=6)
    assert bed.statuses() == ["Compliant"]


async def test_ten_failures_are_a_report_and_the_next_pull_tries_again(bed, content):
    bed.service.put("motd", content())
    bed.service.script("packages.test", *[refusal(503, "ServerBusy") for _ in range(10)])
    async with bed.running():
        await bed.pass_time(minutes=25)
    assert len(bed.service.asked("GET", "packages.test")) == 11
    failed, succeeded = bed.service.reports[:2]
    assert failed["error"]["code"] == "PackageDownloadFailed"
    assert succeeded["complianceStatus"] == "Compliant"


@pytest.mark.parametrize(
    ("status", "code"),
    [(403, "PackageAccessDenied"), (404, "PackageNotFound"), (400, "PackageDownloadFailed")],
)
async def test_a_refused_address_is_not_tried_again_before_the_next_pull(bed, content, status, code):
    bed.service.put("motd", content())
    bed.service.script("packages.test", refusal(status, "AuthenticationFailed"))
    async with bed.running():
        await bed.pass_time(minutes=5)
        if bed.service.reports:
            assert failure_of(bed)["code"] == code
        await bed.pass_time(minutes=6)
    assert [one["error"]["code"] for one in bed.service.reports if "error" in one] == [code]
    assert bed.statuses()[-1] == "Compliant"


async def test_a_wrong_hash_is_reported_and_the_good_package_goes_on(bed, content):
    bed.service.put("motd", content(), mode="Audit")
    async with bed.running() as gcad:
        await bed.pass_time(minutes=6)
        bed.service.put("motd", content("other\n"), mode="Audit", contentHash="AB" * 32)
        await bed.pass_time(minutes=40)
        assert gcad.store.get("motd").published.item["itemGeneration"] == 1
    errors = [one for one in bed.service.reports if "error" in one]
    assert errors
    assert all(one["itemGeneration"] == 2 for one in errors)
    assert any("ash" in one["error"]["code"] for one in errors)
    assert any(
        one["itemGeneration"] == 1 and one["operationType"] == "Consistency" for one in bed.service.reports
    )
    assert bed.folder("motd").exists()


async def test_a_package_that_is_too_large_is_refused_before_it_is_fetched(bed, content):
    bed.limits = Limits(archive_bytes=100)
    bed.service.put("motd", content())
    async with bed.running():
        await bed.pass_time(minutes=5)
    assert failure_of(bed)["code"] == "PackageTooLarge"
    assert not list(bed.layout["packages"].iterdir())


@pytest.mark.parametrize(
    "uri", ["http://packages.test/x.zip", "https://169.254.169.254/x.zip", "https://[fe80::1]/x"]
)
async def test_addresses_that_no_package_lives_at_are_refused(bed, content, uri):
    bed.service.put("motd", content(), contentUri=uri)
    async with bed.running():
        await bed.pass_time(minutes=5)
    assert failure_of(bed)["code"] == "InvalidContentUri"


async def test_a_redirect_to_a_link_local_address_is_refused(bed, content):
    bed.service.put("motd", content())
    bed.service.script(
        "packages.test", httpx.Response(302, headers={"location": "https://169.254.169.254/x"})
    )
    async with bed.running():
        await bed.pass_time(minutes=5)
    assert failure_of(bed)["code"] == "InvalidContentUri"


async def test_redirects_without_end_are_given_up(bed, content):
    bed.service.put("motd", content())
    loop = [httpx.Response(302, headers={"location": f"{BLOBS}/again"}) for _ in range(4)]
    bed.service.script("packages.test", *loop)
    async with bed.running():
        await bed.pass_time(minutes=5)
    assert failure_of(bed)["code"] == "TooManyRedirects"


async def test_the_tag_allows_addresses_for_custom_packages_only(bed, content):
    bed.identity.named = {"allowedGuestConfigPkgUrls": "https://other.test/*, https://third.test/*"}
    bed.service.put("motd", content())
    bed.service.put("builtin", content(), contentType="Builtin")
    async with bed.running():
        await bed.pass_time(minutes=5)
        assert failure_of(bed)["code"] == "PackageUrlNotAllowed"
        assert bed.statuses("builtin") == ["Compliant"]
        bed.identity.named = {"allowedGuestConfigPkgUrls": f"{BLOBS}/*"}
        await bed.pass_time(minutes=6)
    assert bed.statuses()[-1] == "Compliant"


async def test_a_package_at_the_service_itself_is_fetched_with_the_machines_token(bed, content):
    made = content()
    digest = hashlib.sha256(made).hexdigest()
    uri = f"{GAS}/virtualMachines/{VM_ID}/packages/{digest}"
    bed.service.put("motd", made, contentUri=uri)
    bed.service.script("/packages/", httpx.Response(200, content=made))
    async with bed.running():
        await bed.pass_time(minutes=6)
    (_, request) = bed.service.asked("GET", "/packages/")[0]
    assert request.headers["authorization"] == "Bearer machine"
    assert bed.statuses() == ["Compliant"]


async def test_an_identity_of_the_assignment_is_used_at_the_storage(bed, content):
    made = content()
    bed.service.put("motd", made, contentManagedIdentity="system")
    bed.service.script("packages.test", httpx.Response(200, content=made))
    async with bed.running():
        await bed.pass_time(minutes=6)
    (_, request) = bed.service.asked("GET", "packages.test")[0]
    assert request.headers["x-ms-version"] == "2025-11-05"
    assert ("https://storage.azure.com/", False) in bed.identity.tokens


async def test_secrets_of_the_address_are_in_no_log(bed, content):
    bed.service.put("motd", content())
    bed.service.script("packages.test", refusal(403, "AuthenticationFailed"))
    async with bed.running():
        await bed.pass_time(minutes=12)
    assert "sig=secret" not in bed.log_text() + bed.log_text("gc_worker_log")
    assert "sig=secret" not in json.dumps(bed.service.reports)


# -- what is in them -----------------------------------------------------------------------------------------


async def test_a_broken_document_is_a_reason_and_the_others_go_on(bed, content):
    bed.service.put("broken", package("instance of {"))
    bed.service.put("motd", content())
    async with bed.running():
        await bed.pass_time(minutes=6)
    assert bed.statuses() == ["Compliant"]
    assert bed.statuses("broken") == ["NonCompliant"]
    (report,) = [one for one in bed.service.reports if one["assignmentName"] == "broken"]
    assert report["resources"][0]["reasons"][0]["phrase"]


async def test_parameters_replace_what_the_document_says(bed, content):
    values = [{"name": "[nxFile]motd;Contents", "value": "of the assignment"}]
    bed.service.put("motd", content(), configurationParameter=values)
    async with bed.running():
        await bed.pass_time(minutes=6)
    assert bed.target.read_text() == "of the assignment"


def hanging() -> bytes:
    script = "#!/bin/sh\\nexec sleep 1000\\n"
    return package(
        f"""instance of MSFT_nxScriptResource as $S
{{
 ResourceID = "[nxScript]hang";
 GetScript = "{script}"; TestScript = "{script}"; SetScript = "{script}";
 ModuleName = "nx"; ModuleVersion = "1.0"; SourceInfo = "x"; ConfigurationName = "FilePolicy";
}};
instance of OMI_ConfigurationDocument
{{ Version = "2.0.0"; MinimumCompatibleVersion = "1.0.0"; Name = "FilePolicy"; }};
"""
    )


async def test_an_evaluation_without_end_is_ended_and_the_others_go_on(bed, content):
    bed.configure(**{"gcad.pullSeconds": 1, "gcad.evaluationLimitSeconds": 1})
    bed.clock = bed.service.clock = SystemClock()
    arrived = {name: asyncio.Event() for name in ("a-hanging", "motd")}
    take = bed.service.take

    def noticing(request):
        answer = take(request)
        arrived[bed.service.reports[-1]["assignmentName"]].set()
        return answer

    bed.service.take = noticing
    bed.service.put("a-hanging", hanging())
    async with bed.running() as gcad, asyncio.timeout(100):
        await arrived["a-hanging"].wait()
        # A second would be too short for the other one on a busy computer.
        bed.configure(**{"gcad.evaluationLimitSeconds": 600})
        await gcad.uplink.reload(LocalConfig.load(bed.layout))
        bed.service.put("motd", content())
        await arrived["motd"].wait()
    assert failure_of(bed, "a-hanging")["code"] == "EvaluationTimedOut"
    assert bed.statuses() == ["Compliant"]


async def test_a_worker_that_is_killed_is_a_reason_and_a_new_one_is_started(bed, content):
    bed.service.put("motd", content(), mode="Audit")
    async with bed.running() as gcad:
        await bed.pass_time(minutes=6)
        gcad.workers._running.kill()
        await gcad.workers._running.wait()
        await bed.pass_time(minutes=15)
        assert bed.service.reports[-1]["error"]["code"] == "WorkerEnded"
        await bed.pass_time(minutes=15)
    assert "error" not in bed.service.reports[-1]


async def test_one_configuration_in_two_assignments_is_two_reports(bed, content):
    bed.service.put("one", package(mof(bed.target, "a\n")), mode="Audit")
    bed.service.put("two", package(mof(bed.target, "b\n")), mode="Audit")
    bed.target.write_text("b\n")
    async with bed.running():
        await bed.pass_time(minutes=6)
    assert bed.statuses("one") == ["NonCompliant"]
    assert bed.statuses("two") == ["Compliant"]


async def test_parameters_are_written_into_the_stored_document(bed, content):
    values = [{"name": "[nxfile]motd;contents", "value": 'a "b"'}]
    bed.service.put("motd", content(), configurationParameter=values)
    async with bed.running():
        await bed.pass_time(minutes=6)
    (resource, _closing) = read(bed.folder("motd") / "FilePolicy.mof")
    assert resource.get("Contents") == 'a "b"'


async def test_once_a_key_lies_on_the_machine_an_unsigned_package_is_refused(bed, content):
    folder = bed.root / "usr/local/share/ca-certificates/gc"
    folder.mkdir(parents=True)
    (folder / "public.asc").write_text("a key")
    bed.service.put("motd", content())
    async with bed.running():
        await bed.pass_time(minutes=6)
    assert failure_of(bed)["code"] == "PackageSignatureInvalid"
    assert not bed.folder("motd").exists()


async def test_a_redirect_is_followed_and_the_token_stays_behind(bed, content):
    made = content()
    bed.service.put("motd", made, contentManagedIdentity="system")
    moved = httpx.Response(302, headers={"location": "https://elsewhere.test/motd.zip"})
    bed.service.script("packages.test", moved)
    bed.service.script("elsewhere.test", httpx.Response(200, content=made))
    async with bed.running():
        await bed.pass_time(minutes=5)
    assert bed.statuses() == ["Compliant"]
    assert "authorization" in bed.service.asked("GET", "packages.test")[0][1].headers
    assert "authorization" not in bed.service.asked("GET", "elsewhere.test")[0][1].headers


async def test_a_package_of_a_hundred_megabytes_is_taken(bed):
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr("FilePolicy.mof", mof(bed.target))
        # Stored, and a little less than the limit together with the document.
        archive.writestr("Modules/big/data.bin", random.Random(7).randbytes(104_857_600 - 8_192))
    bed.service.put("motd", made.getvalue(), mode="Audit")
    async with bed.running():
        await bed.pass_time(minutes=6)
    assert bed.statuses() == ["NonCompliant"]
    assert "error" not in bed.service.reports[0]
    assert (bed.folder("motd") / "Modules/big/data.bin").stat().st_size == 104_857_600 - 8_192
