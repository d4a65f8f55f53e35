"""azure-identity against Entra: secret, certificate, device code; claims are compared with the directory."""

from __future__ import annotations

import re
import threading

import httpx
import jwt
import pytest
from azure.core.exceptions import ClientAuthenticationError
from azure.identity import CertificateCredential, ClientSecretCredential, DeviceCodeCredential

ARM_SCOPE = "https://management.azure.com/.default"


def claims(token: str) -> dict:
    return jwt.decode(token, options={"verify_signature": False})


def arm_subscriptions(cloud, token: str) -> httpx.Response:
    with httpx.Client(verify=cloud.tls) as client:
        return client.get(
            f"{cloud.url}/subscriptions?api-version=2022-12-01", headers={"Authorization": f"Bearer {token}"}
        )


def test_secret_credential_gets_a_token_that_arm_accepts(running_cloud, owner):
    token = owner.get_token(ARM_SCOPE)
    found = claims(token.token)
    assert found["appid"] == running_cloud.env["owner"]["clientId"]
    assert found["oid"] == running_cloud.env["owner"]["objectId"]
    assert running_cloud.stored("principals", found["oid"]) is not None
    answer = arm_subscriptions(running_cloud, token.token)
    assert [item["subscriptionId"] for item in answer.json()["value"]] == [
        running_cloud.env["subscriptionId"]
    ]


def test_secret_credential_with_a_wrong_secret_reads_aadsts7000215(running_cloud, credential_options):
    credential = ClientSecretCredential(
        running_cloud.env["tenantId"], running_cloud.env["owner"]["clientId"], "wrong", **credential_options
    )
    with pytest.raises(ClientAuthenticationError, match="AADSTS7000215"):
        credential.get_token(ARM_SCOPE)


def test_secret_credential_of_an_unknown_tenant_reads_aadsts90002(running_cloud, credential_options):
    credential = ClientSecretCredential(
        "11111111-1111-1111-1111-111111111111",
        running_cloud.env["owner"]["clientId"],
        running_cloud.env["owner"]["clientSecret"],
        **credential_options,
    )
    with pytest.raises(ClientAuthenticationError):
        credential.get_token(ARM_SCOPE)


@pytest.mark.parametrize("send_chain", [False, True])
def test_certificate_credential_gets_a_token_that_arm_accepts(running_cloud, credential_options, send_chain):
    principal = running_cloud.env["onboarding"]
    credential = CertificateCredential(
        running_cloud.env["tenantId"],
        principal["clientId"],
        certificate_path=principal["certificateFile"],
        send_certificate_chain=send_chain,
        **credential_options,
    )
    token = credential.get_token(ARM_SCOPE)
    assert claims(token.token)["oid"] == principal["objectId"]
    assert arm_subscriptions(running_cloud, token.token).status_code == 200


def test_device_code_credential_waits_for_the_approval_page(running_cloud, credential_options):
    seen: dict[str, str] = {}
    shown = threading.Event()

    def prompt(verification_uri, user_code, _expires_on):
        seen.update(uri=verification_uri, code=user_code)
        shown.set()

    def approve():
        shown.wait(20)
        with httpx.Client(verify=running_cloud.tls, follow_redirects=True) as browser:
            page = browser.get(seen["uri"])
            person = re.search(r'name="user" value="([^"]+)"', page.text)[1]
            form = {"code": seen["code"], "user": person, "answer": "approve"}
            answer = browser.post(seen["uri"], data=form)
            seen["status"] = str(answer.status_code)

    thread = threading.Thread(target=approve)
    thread.start()
    credential = DeviceCodeCredential(
        tenant_id=running_cloud.env["tenantId"], prompt_callback=prompt, timeout=30, **credential_options
    )
    token = credential.get_token(ARM_SCOPE)
    thread.join()
    assert seen["status"] == "200"
    found = claims(token.token)
    assert found["tid"] == running_cloud.env["tenantId"]
    assert running_cloud.stored("principals", found["oid"])["kind"] == "User"
    assert arm_subscriptions(running_cloud, token.token).status_code == 200
