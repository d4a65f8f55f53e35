"""The storage hosts: Get Blob, Get Blob Properties, Put Blob, Append Block. All else of Azure's is 501.

``https://{account}.blob.core.windows.net/{container}/{name}``, or where there is no DNS
``/blob/{account}/{container}/{name}``.
"""

from __future__ import annotations

from datetime import UTC, datetime

from starlette.requests import Request
from starlette.responses import Response

from arcbed_cloud import hosts
from arcbed_cloud.dispatch import App, Receive, Scope, Send
from arcbed_cloud.plane import Plane
from arcbed_cloud.services.blob import sas
from arcbed_cloud.services.blob.errors import (
    BlobError,
    blob_not_found,
    container_not_found,
    not_authenticated,
    not_implemented,
    not_public,
    resource_not_found,
)
from arcbed_cloud.services.blob.serving import answer
from arcbed_cloud.services.blob.store import Blob, BlobStore
from arcbed_cloud.services.blob.writing import Place, append_block, put_blob

SERVER = "Windows-Azure-Blob/1.0 Microsoft-HTTPAPI/2.0"


def blob_app(plane: Plane, store: BlobStore) -> App:
    """The service as an ASGI app. Every error has the service's shape."""
    hosts_of_storage = StorageHosts(plane, store)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        response = await hosts_of_storage.answer(Request(scope, receive))
        await response(scope, receive, send)

    return app


class StorageHosts:
    """Answers for all accounts."""

    def __init__(self, plane: Plane, store: BlobStore) -> None:
        self._plane = plane
        self._store = store

    async def answer(self, request: Request) -> Response:
        """One request."""
        request_id = self._plane.ids.guid()
        try:
            response = await self._write(request) if request.method == "PUT" else self._read(request)
        except BlobError as error:
            time = (
                f"{datetime.fromtimestamp(self._plane.clock.wall(), UTC).isoformat(timespec='microseconds')}"
            )
            body = error.body(request_id, time.replace("+00:00", "0Z"))
            headers = {"x-ms-error-code": error.code, **error.headers}
            response = Response(body, error.status, headers, "application/xml")
        response.headers["Server"] = SERVER
        response.headers["x-ms-request-id"] = request_id
        response.headers["x-ms-version"] = request.headers.get("x-ms-version", sas.VERSION)
        if (own := request.headers.get("x-ms-client-request-id")) is not None:
            response.headers["x-ms-client-request-id"] = own
        return response

    def _read(self, request: Request) -> Response:
        account, container, name = _named(request)
        query = dict(request.query_params)
        if request.method not in {"GET", "HEAD"} or "comp" in query or "restype" in query:
            raise not_implemented(f"{request.method} with comp={query.get('comp')}")
        if not name:
            raise resource_not_found()
        blob = self._store.get(account, container, name)
        extra = self._admit(request, query, blob, self._asked(request))
        if blob is None:
            known = self._store.index().has_container(account, container)
            raise blob_not_found() if known else container_not_found()
        head = request.method == "HEAD"
        return answer(blob, self._store.file(blob), request.headers, head=head, extra=extra)

    async def _write(self, request: Request) -> Response:
        account, container, name = _named(request)
        query = dict(request.query_params)
        if query.get("comp", "appendblock") != "appendblock" or "restype" in query:
            raise not_implemented(f"PUT with comp={query.get('comp')}")
        if not name:
            raise resource_not_found()
        place = Place(account, container, name, self._store.get(account, container, name))
        if "sig" not in query:
            raise not_authenticated("Only shared access signatures are understood here.")
        work, needs = (append_block, "aw") if "comp" in query else (put_blob, place.permissions)
        sas.check(query, self._store.key(account), self._asked(request), needs)
        return await work(self._store, place, request, self._plane.clock.wall())

    def _asked(self, request: Request) -> sas.Asked:
        account, container, name = _named(request)
        return sas.Asked(
            account=account,
            container=container,
            name=name,
            now=self._plane.clock.wall(),
            secure=request.url.scheme == "https",
            client=request.client.host if request.client else "",
        )

    def _admit(
        self, request: Request, query: dict[str, str], blob: Blob | None, asked: sas.Asked
    ) -> dict[str, str]:
        """Let a request in by its signature, or because the blob is everybody's; headers for the answer."""
        if "sig" in query:
            return sas.check(query, self._store.key(asked.account), asked)
        if blob is not None and blob.public:
            return {}
        if "authorization" in request.headers:
            raise not_authenticated("Only shared access signatures are understood here.")
        if self._store.key(asked.account) is None:
            raise resource_not_found()
        raise not_public()


def _named(request: Request) -> tuple[str, str, str]:
    """Account, container and name; empty where the path ends earlier."""
    path = request.scope["path"].removeprefix(request.scope.get("root_path", "")).lstrip("/")
    host = request.headers.get("host", "")
    if hosts.service_of(host) == "blob":
        account = hosts.bare(host).partition(".")[0]
    else:
        account, _, path = path.partition("/")
    container, _, name = path.partition("/")
    return account, container, name
