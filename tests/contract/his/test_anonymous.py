"""Routes without credentials, and what all routes share."""

from __future__ import annotations

import hashlib
import secrets
import uuid
from uuid import UUID

import pytest

from arcbed_cloud.services.packages import Shelf
from arcbed_cloud.services.packages.formats import write_deb

HIS = "https://localhost:8443/his"


def guid() -> str:
    return str(UUID(int=secrets.randbits(128), version=4))


async def test_log_takes_anything_and_keeps_it(bed):
    json_answer = await bed.http.put(f"{HIS}/log", json={"operation": "onboarding", "messageType": "x"})
    broken = await bed.http.put(
        f"{HIS}/log", content=b"{not json\xff", headers={"Content-Type": "application/x-www-form-urlencoded"}
    )
    assert (json_answer.status_code, json_answer.json()) == (200, {})
    assert (broken.status_code, broken.json()) == (200, {})
    kept = [row.document["said"] for row in bed.cloud.plane.store.tail("his_log")]
    assert kept == [{"operation": "onboarding", "messageType": "x"}, "{not json\ufffd"]
    assert (await bed.http.put(f"{HIS}/log", content=b"x" * 65_537)).status_code == 413


async def test_log_keeps_about_a_thousand(bed):
    for number in range(1_150):
        await bed.cloud.his.log(str(number).encode(), "")
    rows = bed.cloud.plane.store.tail("his_log", limit=5_000)
    assert 1_000 <= len(rows) <= 1_100
    assert rows[-1].document["said"] == 1_149


async def test_connectivity_test_is_an_empty_200_and_the_root_a_400(bed):
    answer = await bed.http.get(f"{HIS}/connectivitytest")
    assert (answer.status_code, answer.content) == (200, b"")
    assert (await bed.http.get(f"{HIS}/")).status_code == 400


@pytest.mark.parametrize("path", ["/healthz", "/.well-known/arc-sim"])
async def test_health_names_contract_and_bed_time(bed, path):
    answer = (await bed.http.get(f"{HIS}{path}")).json()
    assert answer["contract"] == ["sim-1"]
    assert answer["clock"] == "stepped"
    assert answer["now"] == bed.clock.now().isoformat(timespec="milliseconds").replace("+00:00", "Z")


@pytest.mark.parametrize("path", ["/azcmagent-windows", "/azcmagent/1.0/x.msi", "/nothing"])
async def test_unknown_path_is_not_found_in_the_services_shape(bed, path):
    answer = await bed.http.get(f"{HIS}{path}")
    assert answer.status_code == 404
    error = answer.json()["error"]
    assert error["code"] == answer.headers["x-ms-error-code"] == "NotFound"
    assert error["innererror"] == {"trackingId": answer.headers["x-ms-request-id"], "retryable": False}


async def test_wrong_method_is_refused_in_the_services_shape(bed):
    answer = await bed.http.delete(f"{HIS}/discovery")
    assert (answer.status_code, answer.json()["error"]["code"]) == (405, "MethodNotAllowed")


async def test_unsupported_version_names_the_supported_ones(bed):
    url = f"{HIS}/machine/{guid()}/heartbeat"
    for params in ({}, {"api-version": "sim-2"}):
        answer = await bed.http.post(url, params=params)
        assert answer.json()["error"]["code"] == "UnsupportedApiVersion"
        assert answer.json()["error"]["details"][0]["message"] == "sim-1"


async def test_answers_carry_ids_and_the_beds_time(bed):
    ids = {"x-ms-client-request-id": guid(), "x-ms-correlation-request-id": guid()}
    answer = await bed.http.get(f"{HIS}/healthz", headers=ids)
    assert {name: answer.headers[name] for name in ids} == ids
    assert uuid.UUID(answer.headers["x-ms-request-id"])
    assert answer.headers["x-sim-now"] == bed.clock.now().isoformat(timespec="milliseconds").replace(
        "+00:00", "Z"
    )


async def test_config_has_an_etag_that_saves_the_second_answer(bed, connected):
    url = f"{HIS}/machine/{connected.vm_id}/config"
    headers = {"Authorization": f"Bearer {connected.token}"}
    first = await bed.http.get(url, params={"api-version": "sim-1"}, headers=headers)
    assert first.json()["endpoints"]["his"] == HIS
    tag = first.headers["ETag"]
    again = await bed.http.get(
        url, params={"api-version": "sim-1"}, headers=headers | {"If-None-Match": f'"x", {tag}'}
    )
    assert (again.status_code, again.content, again.headers["ETag"]) == (304, b"", tag)
    assert (await bed.http.get(url, params={"api-version": "sim-1"})).status_code == 401


def publish(bed, tmp_path, version, **options):
    control = f"Package: azcmagent\nVersion: {version}\nArchitecture: amd64\n"
    file = tmp_path / f"azcmagent_{version}_amd64.deb"
    file.write_bytes(write_deb(control, {}))
    return Shelf(bed.cloud.settings.state).publish(file, released="2026-01-01T00:00:00Z", **options)


async def test_published_agent_versions_are_listed_by_system(bed, tmp_path):
    assert (await bed.http.get(f"{HIS}/agent/versions")).json() == {"latest": None, "supported": []}
    for version in ("1.10.0.0", "1.9.0.0"):
        publish(bed, tmp_path, version, as_latest=version == "1.10.0.0")
    linux = (await bed.http.get(f"{HIS}/agent/versions", params={"osType": "Linux"})).json()
    assert (linux["latest"], [entry["version"] for entry in linux["supported"]]) == (
        "1.10.0.0",
        ["1.9.0.0", "1.10.0.0"],
    )
    assert (await bed.http.get(f"{HIS}/agent/versions?osType=windows")).json()["supported"] == []


async def test_published_package_is_downloaded_from_the_address_that_its_version_names(bed, tmp_path):
    package = publish(bed, tmp_path, "1.9.0.0")
    named = (await bed.http.get(f"{HIS}/agent/versions")).json()["supported"][0]
    content = (await bed.http.get(named["uri"])).content
    assert (len(content), hashlib.sha256(content).hexdigest()) == (package.size, named["sha256"])
    assert (await bed.http.get(f"{HIS}/azcmagent/1.8.0.0/{package.file}")).status_code == 404
    script = await bed.http.get(f"{HIS}/azcmagent-linux")
    assert script.text.startswith("#!/bin/bash\n")
