"""A program treats the 401 of the local token endpoint as its answer.

Reported against several clients that speak the protocol of Azure virtual machines, which has no challenge.
"""

from __future__ import annotations

from arcbed.harness import Bed, arc
from arcbed.harness.checks import contains, equal
from arcbed.harness.scenario import scenario

GROUP = "rg-challenge"
AUDIENCE = "https://vault.azure.net"


@scenario("A client that ignores the challenge gets no token")
async def story(bed: Bed) -> None:
    """What such a client sees, why insisting does not help, and what does."""
    app = await arc.onboard(bed, "app-01", GROUP)
    endpoint = app.environment["IDENTITY_ENDPOINT"]
    query = {"api-version": "2020-06-01", "resource": AUDIENCE}

    async with bed.step("It asks as on a virtual machine and gets 401", ["identity.challenge"]):
        answer = await app.challenge(AUDIENCE)
        equal("status", answer.status_code, 401)
        contains("the challenge", answer.headers["www-authenticate"], "Basic realm=")

    async with bed.step("It asks again, and with proofs it made up", ["identity.proof-needed"]):
        for proof in ("", "Basic", "Basic made-up", "Basic " + "0" * 64, "Bearer made-up"):
            headers = {"Metadata": "true"} | ({"Authorization": proof} if proof else {})
            answer = await app.local(endpoint, headers, **query)
            equal(f"status with {proof!r}", answer.status_code, 401)

    async with bed.step("It reads the key file and gets its token", ["identity.token"]):
        equal("aud", (await app.token(AUDIENCE)).claims["aud"], AUDIENCE)
