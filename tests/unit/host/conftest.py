"""A machine made of files, and metadata services that play a cloud."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from arcbed_agent.host.sources import InterfaceAddress, Sources

MakeSources = Callable[..., Sources]


@pytest.fixture
def machine(tmp_path: Path) -> MakeSources:
    """Write `files` (path to text) and return the sources of a machine that has only them."""

    def make(files: Mapping[str, str] | None = None, **changes: Any) -> Sources:
        for path, text in {"proc/sys/kernel/hostname": "web-01\n", **(files or {})}.items():
            file = tmp_path / "machine" / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        settings: dict[str, Any] = {
            "roots": (tmp_path / "machine",),
            "run": lambda _command: "",
            "addresses": lambda: [InterfaceAddress("eth0", "10.1.2.3", 24)],
            "canonical_name": lambda _name: "",
            "used_bytes": lambda _path: 0,
            "architecture": "x86_64",
        }
        return Sources(**{**settings, **changes})

    return make


class MetadataService:
    """Answers as one cloud's metadata service; `requests` holds what it was asked."""

    def __init__(self, kind: str) -> None:
        self.requests: list[tuple[str, str, dict[str, str]]] = []
        service = self

        class Handler(BaseHTTPRequestHandler):
            def answer(self) -> None:
                headers = {name.lower(): value for name, value in self.headers.items()}
                service.requests.append((self.command, self.path, headers))
                status, more, body = ANSWERS[kind](self.command, self.path.partition("?")[0], headers)
                self.send_response(status)
                for name, value in {**more, "Content-Length": str(len(body))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            do_GET = do_PUT = answer  # noqa: N815 - names of the standard library

            def log_message(self, *_arguments: object) -> None:
                return

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()
        self.address = f"127.0.0.1:{self._server.server_port}"

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


Answer = tuple[int, dict[str, str], bytes]
NOTHING: Answer = (404, {}, b"not found")


def aws(method: str, path: str, headers: Mapping[str, str]) -> Answer:
    """IMDSv2 only: the document needs the session token that PUT gives."""
    if (method, path) == ("PUT", "/latest/api/token"):
        return (
            (200, {}, b"session-1") if "x-aws-ec2-metadata-token-ttl-seconds" in headers else (400, {}, b"")
        )
    if path == "/latest/dynamic/instance-identity/document":
        if headers.get("x-aws-ec2-metadata-token") != "session-1":
            return 401, {}, b""
        document = {"accountId": "123456789012", "instanceId": "i-0abc", "region": "eu-west-1"}
        return 200, {"Content-Type": "text/plain"}, json.dumps(document).encode()
    return NOTHING


def aws_v1(method: str, path: str, headers: Mapping[str, str]) -> Answer:
    """An old instance: no session tokens."""
    if method == "PUT":
        return 405, {}, b""
    return aws("GET", path, {**headers, "x-aws-ec2-metadata-token": "session-1"})


def gcp(method: str, path: str, headers: Mapping[str, str]) -> Answer:
    """Refuses whoever does not say that he knows where he is."""
    if headers.get("metadata-flavor") != "Google":
        return 403, {}, b""
    values = {
        "/computeMetadata/v1/instance/id": b"42",
        "/computeMetadata/v1/project/project-id": b"shop",
        "/computeMetadata/v1/instance/zone": b"projects/7/zones/europe-west1-b",
    }
    return (
        (200, {"Metadata-Flavor": "Google"}, values[path]) if method == "GET" and path in values else NOTHING
    )


def azure(
    method: str, path: str, headers: Mapping[str, str], environment: str = "AzurePublicCloud"
) -> Answer:
    if method == "GET" and path == "/metadata/instance/compute" and headers.get("metadata") == "true":
        return 200, {}, json.dumps({"azEnvironment": environment, "location": "westeurope"}).encode()
    return NOTHING


def azure_stack(method: str, path: str, headers: Mapping[str, str]) -> Answer:
    return azure(method, path, headers, "AzureStackCloud")


def other(_method: str, _path: str, _headers: Mapping[str, str]) -> Answer:
    """A captive portal: 200 and a page, whatever is asked."""
    return 200, {"Content-Type": "text/html"}, b"<html>welcome</html>"


ANSWERS = {
    "aws": aws,
    "aws-v1": aws_v1,
    "gcp": gcp,
    "azure": azure,
    "azure-stack": azure_stack,
    "portal": other,
}


@pytest.fixture
def metadata_service() -> Iterator[Callable[[str], MetadataService]]:
    """Start a metadata service of a kind in `ANSWERS`."""
    started: list[MetadataService] = []

    def start(kind: str) -> MetadataService:
        started.append(MetadataService(kind))
        return started[-1]

    yield start
    for service in started:
        service.close()
