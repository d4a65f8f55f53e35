"""The metadata routes that agents probe, and little more.

Sources: AWS "Use the Instance Metadata Service" (IMDSv2 with a session token, version 1 refused), Google
"About VM metadata", Microsoft "Azure Instance Metadata Service".
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Any

import orjson
from fastapi import FastAPI, Request, Response

from arcbed_cloud.dispatch import App
from arcbed_cloud.services.imds.instances import Instance, Instances

LONGEST_SECONDS = 21_600


def imds_app(provider: str, instances: Instances, now: Callable[[], float]) -> App:
    """The service of `provider`, a key of `PROVIDERS`; `now` gives real seconds for the life of tokens."""
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None, redirect_slashes=False)
    PROVIDERS[provider](app, lambda request: instances.at(request.client.host if request.client else ""), now)
    return app


Find = Callable[[Request], Instance]


def _aws(app: FastAPI, instance: Find, now: Callable[[], float]) -> None:
    tokens: dict[str, float] = {}

    def refused(request: Request) -> Response | None:
        until = tokens.get(request.headers.get("x-aws-ec2-metadata-token", ""))
        return None if until is not None and now() < until else Response(status_code=401)

    @app.put("/latest/api/token")
    async def token(request: Request) -> Response:
        wanted = request.headers.get("x-aws-ec2-metadata-token-ttl-seconds", "")
        if "x-forwarded-for" in request.headers:
            return Response(status_code=403)
        if not (wanted.isdigit() and 1 <= int(wanted) <= LONGEST_SECONDS):
            return Response(status_code=400)
        value = secrets.token_urlsafe(42)
        tokens[value] = now() + int(wanted)
        headers = {"x-aws-ec2-metadata-token-ttl-seconds": wanted}
        return Response(value, media_type="text/plain", headers=headers)

    @app.get("/latest/dynamic/instance-identity/document")
    async def document(request: Request) -> Response:
        return refused(request) or _json(aws_document(instance(request)))

    @app.get("/latest/meta-data/{name:path}")
    async def value(request: Request, name: str) -> Response:
        if answer := refused(request):
            return answer
        known = aws_document(instance(request))
        values = {
            "instance-id": known["instanceId"],
            "instance-type": known["instanceType"],
            "local-ipv4": known["privateIp"],
            "ami-id": known["imageId"],
            "placement/region": known["region"],
            "placement/availability-zone": known["availabilityZone"],
        }
        if not name:
            return Response(
                "\n".join(sorted({key.partition("/")[0] for key in values})), media_type="text/plain"
            )
        if name not in values:
            return Response(status_code=404)
        return Response(values[name], media_type="text/plain")


def aws_document(instance: Instance) -> dict[str, Any]:
    """The instance identity document."""
    return {
        "accountId": "123456789012",
        "architecture": "x86_64",
        "availabilityZone": "eu-west-1b",
        "imageId": "ami-0c1c30571d2dae5c9",
        "instanceId": instance.aws_id,
        "instanceType": "t3.medium",
        "privateIp": instance.address,
        "region": "eu-west-1",
        "version": "2017-09-30",
    }


def _gcp(app: FastAPI, instance: Find, _now: Callable[[], float]) -> None:
    @app.get("/computeMetadata/v1/{name:path}")
    async def value(request: Request, name: str) -> Response:
        if request.headers.get("metadata-flavor") != "Google":
            return Response(status_code=403)
        values = {
            "instance/id": instance(request).gcp_id,
            "instance/zone": "projects/1234567890/zones/europe-west4-a",
            "project/project-id": "arcbed-project",
        }
        if name not in values:
            return Response(status_code=404)
        return Response(values[name], media_type="application/text", headers={"Metadata-Flavor": "Google"})


def _azure(app: FastAPI, instance: Find, _now: Callable[[], float]) -> None:
    @app.get("/metadata/instance")
    @app.get("/metadata/instance/compute")
    async def compute(request: Request) -> Response:
        if request.headers.get("metadata", "").lower() != "true" or "x-forwarded-for" in request.headers:
            return _json({"error": "Bad request. Required metadata header not specified"}, 400)
        if not request.query_params.get("api-version"):
            return _json({"error": "Bad request. api-version was not specified in the request"}, 400)
        found = azure_compute(instance(request))
        return _json(found if request.url.path.endswith("/compute") else {"compute": found, "network": {}})


def azure_compute(instance: Instance) -> dict[str, Any]:
    """``compute`` of an Azure virtual machine."""
    subscription = str(instance.vm_id)
    name = f"vm-{instance.digest.hex()[:6]}"
    group = f"/subscriptions/{subscription}/resourceGroups/rg-vms"
    return {
        "azEnvironment": "AzurePublicCloud",
        "location": "westeurope",
        "name": name,
        "osType": "Linux",
        "resourceGroupName": "rg-vms",
        "resourceId": f"{group}/providers/Microsoft.Compute/virtualMachines/{name}",
        "subscriptionId": subscription,
        "vmId": instance.vm_id,
        "vmSize": "Standard_D2s_v5",
    }


PROVIDERS: dict[str, Callable[[FastAPI, Find, Callable[[], float]], None]] = {
    "aws": _aws,
    "azure": _azure,
    "gcp": _gcp,
}


def _json(document: dict[str, Any], status: int = 200) -> Response:
    return Response(orjson.dumps(document), status, media_type="application/json")
