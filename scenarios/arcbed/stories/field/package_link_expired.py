"""A policy stays non-compliant because the signature in the address of its package has run out.

Reported as "assignment pending, later non-compliant" in the issues of the guest configuration extension;
since agent 1.40 an expired signature is an error that the report names.
"""

from __future__ import annotations

import re

from arcbed.harness import Bed, arc, policies
from arcbed.harness.checks import contains, equal, exited, true
from arcbed.harness.policies import Content, compliance
from arcbed.harness.scenario import scenario

GROUP = "rg-link"
NAME = "LinkPolicy"


@scenario("A package whose link has expired", options=arc.STEPPED)
async def story(bed: Bed) -> None:
    """Nothing is wrong with machine or policy; the address of the package is too old to be served."""
    web = await arc.onboard(bed, "web-01", GROUP, with_policies=True, config={"gcad.jitterPercent": 0})
    exited(await web.command("mkdir", "-p", str(web.root / "srv")), 0)
    package = policies.file_package(NAME, str(web.root / "srv/link"), "wanted")
    good = await policies.upload(bed, NAME, package)

    async with bed.step("The assignment carries a link that has expired", ["policy.package-refused"]):
        (await policies.assign(bed, web, expired(good))).expect_ok()
        equal("in ARM at first", await compliance(bed, web, NAME), "Pending")
        await bed.advance(minutes=11)
        equal("in ARM later", await compliance(bed, web, NAME), "NonCompliant")

    async with bed.step("The report names the reason, and no secret", ["policy.package-refused"]):
        listed = await policies.reports(bed, web, NAME)
        path = f"{policies.assignment_id(bed, web, NAME)}/reports/{listed[0]['reportId']}"
        found = (await bed.cloud.arm.get(path, policies.GUEST_VERSION)).expect_ok().body
        (resource,) = found["properties"]["details"]["resources"]
        equal("code", resource["reasons"][0]["code"], "PackageAccessDenied")
        log = web.path("gc_agent_log").read_text()
        contains("gc_agent.log", log, "PackageAccessDenied")
        true("the signature is in neither", "sig=" not in log + str(found), "it is")
        true("nothing was published", not (web.path("configurations") / NAME / f"{NAME}.mof").exists())

    async with bed.step("A PUT with a fresh link helps", ["policy.put-brings-back"]):
        (await policies.assign(bed, web, good)).expect_ok()
        await bed.advance(minutes=6)
        equal("in ARM", await compliance(bed, web, NAME), "Compliant")


def expired(content: Content) -> Content:
    """The same package at an address whose signature covers another end, as a link that was edited."""
    uri = re.sub(r"se=[^&]+", "se=2020-01-01T00%3A00%3A00Z", content.uri)
    return Content(content.name, uri, content.sha256)
