"""``fakecloud prepare``: what an owner does in a subscription before machines can be onboarded to it."""

from __future__ import annotations

import json
import ssl
import urllib.error
import urllib.request
from typing import Annotated, Any
from urllib.parse import urlencode

import typer

from arcbed_cloud.cli.env import describe
from arcbed_cloud.cli.options import State, fail, state_folder

#: Source: Microsoft's article "Connected Machine agent prerequisites", Azure resource providers.
PROVIDERS = ("Microsoft.HybridCompute", "Microsoft.GuestConfiguration", "Microsoft.HybridConnectivity")


def command(
    state: State = None,
    resource_group: Annotated[list[str] | None, typer.Option(help="A group to make; repeatable.")] = None,
    location: Annotated[str, typer.Option(help="Region of the groups.")] = "westeurope",
) -> None:
    """Register the resource providers and make resource groups, as the owner, through ARM. Safe to repeat."""
    document = describe(state_folder(state))
    scope = f"/subscriptions/{document['subscriptionId']}"
    try:
        owner = Owner(document)
        for provider in PROVIDERS:
            owner.call("POST", f"{scope}/providers/{provider}/register?api-version=2021-04-01")
        for name in resource_group or ():
            owner.call("PUT", f"{scope}/resourcegroups/{name}?api-version=2021-04-01", {"location": location})
    except urllib.error.HTTPError as error:
        fail(f"{error.url} answered {error.code}: {error.read().decode(errors='replace')}")
    except OSError as error:
        fail(f"{document['armEndpoint']} cannot be reached: {error}")
    groups = f" and {', '.join(resource_group)}" if resource_group else ""
    print(f"The subscription {document['subscriptionId']} has {', '.join(PROVIDERS)}{groups}.")


class Owner:
    """Calls ARM as the subscription's owner; `document` is that of ``env --json``."""

    def __init__(self, document: dict[str, Any]) -> None:
        self._arm: str = document["armEndpoint"]
        self._context = ssl.create_default_context(cafile=document["caFile"])
        form = {
            "grant_type": "client_credentials",
            "client_id": document["owner"]["clientId"],
            "client_secret": document["owner"]["clientSecret"],
            "scope": "https://management.azure.com/.default",
        }
        authority, tenant = document["authority"], document["tenantId"]
        answer = self._send(f"{authority}/{tenant}/oauth2/v2.0/token", "POST", urlencode(form).encode(), {})
        self._token: str = json.loads(answer)["access_token"]

    def call(self, method: str, path: str, body: dict[str, Any] | None = None) -> None:
        """One request.

        Raises:
            HTTPError: refused. OSError: not reached.
        """
        headers = {"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"}
        self._send(self._arm + path, method, json.dumps(body).encode() if body is not None else b"", headers)

    def _send(self, url: str, method: str, data: bytes, headers: dict[str, str]) -> bytes:
        request = urllib.request.Request(url, data, headers, method=method)  # noqa: S310 - the bed's own https URL
        with urllib.request.urlopen(request, context=self._context, timeout=30) as answer:  # noqa: S310
            content: bytes = answer.read()
            return content
