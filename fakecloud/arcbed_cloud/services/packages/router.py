"""The package hosts' routes. No logic: find, render.

Sources: Microsoft's "Linux software repository for Microsoft products" (paths of packages.microsoft.com) and
"Connect hybrid machines to Azure using a deployment script" (aka.ms/azcmagent).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import cache
from importlib import resources
from pathlib import Path

import orjson
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, RedirectResponse, Response
from starlette.routing import Route

from arcbed_cloud import hosts
from arcbed_cloud.services.packages.apt import SUITES, AptRepository, repository_package
from arcbed_cloud.services.packages.shelf import Shelf
from arcbed_cloud.services.packages.signing import SigningKey
from arcbed_cloud.services.packages.yum import REPOSITORIES, YumRepository, repository_file

SCRIPT = "install_linux_azcmagent.sh"
#: Where aka.ms sends the name; the file lies with the downloads, as Windows' does.
SHORT_LINKS = {"azcmagent": f"https://download.microsoft.com/azcmagent/{SCRIPT}"}

Handler = Callable[[Request], Awaitable[Response]]


@cache
def install_script() -> bytes:
    """``install_linux_azcmagent.sh``."""
    return resources.files(__package__).joinpath(SCRIPT).read_bytes()


def script_response() -> Response:
    """The install script as a download."""
    return Response(install_script(), media_type="text/x-shellscript")


def package_response(file: Path) -> Response:
    """A package as a download."""
    return FileResponse(file, media_type="application/octet-stream")


class PackageHosts:
    """Answers for packages.microsoft.com, download.microsoft.com and aka.ms."""

    def __init__(self, shelf: Shelf, now: Callable[[], float]) -> None:
        self._shelf = shelf
        self._key = SigningKey(shelf.folder)
        self._apt = AptRepository(shelf, self._key, now)
        self._yum = YumRepository(shelf, self._key)

    def app(self) -> Starlette:
        """The routes as an ASGI app."""
        repository = "/{distribution}/{version}/prod"
        routes: list[tuple[str, Handler]] = [
            ("/azcmagent", self.short_link),
            (f"/azcmagent/{SCRIPT}", self.script),
            ("/keys/microsoft.asc", self.key),
            ("/config/{distribution}/{version}/packages-microsoft-prod.deb", self.repository_deb),
            ("/config/{distribution}/{version}/prod.repo", self.repository_list),
            (f"{repository}/dists/{{suite}}/{{path:path}}", self.apt),
            (f"{repository}/pool/main/a/azcmagent/{{file}}", self.package),
            (f"{repository}/repodata/{{file}}", self.yum),
            (f"{repository}/Packages/a/{{file}}", self.package),
        ]
        return Starlette(
            routes=[Route(path, handler) for path, handler in routes],
            exception_handlers={HTTPException: _refused},
        )

    async def short_link(self, request: Request) -> Response:
        """A name of aka.ms; where there is no DNS, what it stands for."""
        host = request.headers.get("host", "")
        if hosts.bare(host) == "aka.ms":
            return RedirectResponse(SHORT_LINKS["azcmagent"], 301)
        return script_response()

    async def script(self, request: Request) -> Response:  # noqa: ARG002 - the same for everybody
        """The install script."""
        return script_response()

    async def key(self, request: Request) -> Response:  # noqa: ARG002 - the same for everybody
        """The key that signs the repositories."""
        return Response(self._key.public_armored, media_type="application/pgp-keys")

    async def repository_deb(self, request: Request) -> Response:
        """``packages-microsoft-prod.deb``."""
        names = (request.path_params["distribution"], request.path_params["version"])
        if names not in SUITES:
            raise HTTPException(404)
        return Response(
            repository_package(*names, _base(request), self._key),
            media_type="application/vnd.debian.binary-package",
        )

    async def repository_list(self, request: Request) -> Response:
        """``prod.repo``."""
        distribution, version = request.path_params["distribution"], request.path_params["version"]
        if version not in REPOSITORIES.get(distribution, ()):
            raise HTTPException(404)
        return Response(repository_file(distribution, version, _base(request)), media_type="text/plain")

    async def apt(self, request: Request) -> Response:
        """A file below ``dists``."""
        names = request.path_params
        if SUITES.get((names["distribution"], names["version"])) != names["suite"]:
            raise HTTPException(404)
        return _content(self._apt.file(names["suite"], names["path"]))

    async def yum(self, request: Request) -> Response:
        """A file of ``repodata``."""
        names = request.path_params
        if names["version"] not in REPOSITORIES.get(names["distribution"], ()):
            raise HTTPException(404)
        return _content(self._yum.file(names["file"]))

    async def package(self, request: Request) -> Response:
        """A package."""
        file = self._shelf.file(request.path_params["file"])
        if file is None:
            raise HTTPException(404)
        return package_response(file)


def _base(request: Request) -> str:
    return str(request.base_url).rstrip("/")


def _content(content: bytes | None) -> Response:
    if content is None:
        raise HTTPException(404)
    return Response(content, media_type="application/octet-stream")


async def _refused(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    code = {404: "NotFound", 405: "MethodNotAllowed"}.get(status, "InvalidRequest")
    body = {"error": {"code": code, "message": f"There is nothing to {request.method} at {request.url.path}"}}
    return Response(orjson.dumps(body), status, media_type="application/json")
