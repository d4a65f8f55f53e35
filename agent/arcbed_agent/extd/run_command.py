"""Runs one script of ARM's run commands; a program of its own, with nothing but the standard library.

Enable reports that the script runs, goes to the background and leaves: time-outs of commands are shorter than
those of scripts. The status message is the instance view of ARM as JSON; a script that fails is a command
that has run. The view has the last 4 KB of each stream. All of it goes to append blobs where the command
names some, while the script runs; a blob that is there is overwritten. Disable stops the script, and so does
the next enable of the same name.

Source: Microsoft's articles "Run command on Azure Arc-enabled servers (Preview)", "REST API requests for Run
command", and those of the operations Put Blob and Append Block.
"""

from __future__ import annotations

import base64
import http.client
import json
import os
import signal
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

#: Bytes of a stream in the view, and so many that secrets are looked for in.
TAIL, SEARCHED = 4_096, 65_536
#: Seconds for a script that has no limit of its own, and for one call to storage.
LIMIT, CALL = 5_400, 60
#: Seconds without output after which a stream is over that a process in the background holds open.
IDLE = 2
#: Bytes of a block, and of what may wait to be sent before the script has to.
BLOCK, WAITING = 4 * 1_048_576, 16 * 1_048_576
HIDDEN = "[redacted]"
ORDINARY = {"true", "false", "null", "none"}


def main() -> None:
    """Do what the command line names; install, update and uninstall have nothing to do."""
    folder = Path(__file__).parent
    number = os.environ.get("ConfigSequenceNumber", "0")  # noqa: SIM112 - the contract's spelling
    name = os.environ.get("ConfigExtensionName", "")  # noqa: SIM112 - the contract's spelling
    if sys.argv[1:] in (["disable"], ["enable"]):
        stop(folder, name)
    if sys.argv[1:] == ["enable"]:
        enable(folder, name, f"{name}.{number}" if name else number)


def enable(folder: Path, name: str, base: str) -> None:
    """Say that the script runs, and run it in a process that stays."""
    status = folder / "status" / f"{base}.status"
    public, protected = read_settings(folder / "config" / f"{base}.settings", folder.parent)
    began = stamp()
    # An asynchronous command is done for ARM as soon as it runs.
    first = "success" if public.get("asyncExecution") else "transitioning"
    report(status, first, {"executionState": "Running", "startTime": began})
    if os.fork():
        return
    os.setsid()
    note(folder, name, os.getpid())
    try:
        word, view = "success", run(public, protected, lambda pid: note(folder, name, os.getpid(), pid))
    except Exception as error:  # noqa: BLE001 - whatever is wrong, ARM has to hear of it
        word, view = "error", {"executionState": "Failed", "executionMessage": str(error), "exitCode": 1}
    report(status, word, {"startTime": began, "endTime": stamp(), **view})
    running(folder, name).unlink(missing_ok=True)
    os._exit(0)


def read_settings(path: Path, keys: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Public and protected settings; the latter are decrypted as every handler does it."""
    inner = json.loads(path.read_text())["runtimeSettings"][0]["handlerSettings"]
    sealed = inner.get("protectedSettings")
    if not sealed:
        return inner["publicSettings"], {}
    pair = keys / inner["protectedSettingsCertThumbprint"]
    words = ["openssl", "cms", "-inform", "DER", "-decrypt", "-recip", f"{pair}.crt", "-inkey", f"{pair}.prv"]
    plain = subprocess.run(words, input=base64.b64decode(sealed), capture_output=True, check=True).stdout
    return inner["publicSettings"], json.loads(plain)


# -- the script ----------------------------------------------------------------------------------------------


def run(public: dict[str, Any], protected: dict[str, Any], started: Any) -> dict[str, Any]:
    """Run the script; the instance view.

    Args:
        public: settings.
        protected: settings.
        started: told the script's process group.
    """
    given = [*public.get("parameters", []), *protected.get("protectedParameters", [])]
    named = {one["name"]: one["value"] for one in given if one["name"]}
    words = ["/bin/sh", "-s", "--", *(one["value"] for one in given if not one["name"])]
    if public.get("runAsUser"):
        words = ["runuser", "-u", public["runAsUser"], "--", *words]
    with tempfile.TemporaryFile() as script:
        script.write(script_of(public["source"], protected))
        script.seek(0)
        process = subprocess.Popen(
            words,
            stdin=script,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, **named},
            start_new_session=True,
        )
    started(process.pid)
    streams = {
        name: Stream(pipe, Blob.wanted(f"{name}Blob", public, protected))
        for name, pipe in (("output", process.stdout), ("error", process.stderr))
    }
    try:
        process.wait(public.get("timeoutInSeconds") or LIMIT)
        late = False
    except subprocess.TimeoutExpired:
        late = True
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    for stream in streams.values():
        stream.finish()
    view = {name: stream.tail(protected) for name, stream in streams.items()}
    problems = "".join(
        f". {name}BlobUri: {stream.problem}" for name, stream in streams.items() if stream.problem
    )
    return {**ended(process.returncode, late=late, problems=problems), **view}


def ended(code: int, *, late: bool, problems: str) -> dict[str, Any]:
    """How the script ended, for the view."""
    if late:
        state, text, code = "TimedOut", "The script took too long", -1
    elif code == 0:
        state, text = "Succeeded", "Execution completed"
    else:
        state, text = "Failed", f"The script ended with {code}"
    return {"executionState": state, "executionMessage": text + problems, "exitCode": code}


def script_of(source: dict[str, Any], protected: dict[str, Any]) -> bytes:
    """The script's text, fetched if it is somewhere else."""
    if source.get("script"):
        return str(source["script"]).encode()
    address = signed(str(source["scriptUri"]), protected.get("sourceSASToken", ""))
    with called(urllib.request.Request(address)) as answer:  # noqa: S310 - https, see `signed`
        content: bytes = answer.read(1_048_576)
    return content


class Stream:
    """One of the script's streams: its end is kept, and all of it goes to a blob where one is wanted."""

    def __init__(self, pipe: IO[bytes] | None, blob: Blob | None) -> None:
        self.problem = ""
        self._end = b""
        self._count = 0
        self._blob = blob
        self._unsent = bytearray()
        self._over = False
        self._news = threading.Condition()
        self._reader = threading.Thread(target=self._read, args=(pipe,), daemon=True)
        self._reader.start()
        self._sender = threading.Thread(target=self._send, daemon=True)
        self._sender.start()

    def _read(self, pipe: Any) -> None:
        while data := pipe.read1(65_536):
            with self._news:
                self._count += len(data)
                self._end = (self._end + data)[-TAIL - SEARCHED :]
                if self._blob is None or self.problem:
                    continue
                self._unsent += data
                self._news.notify_all()
                self._news.wait_for(lambda: len(self._unsent) < WAITING or self.problem)
        self._finished()

    def _send(self) -> None:
        if self._blob is None:
            return
        try:
            self._blob.create()
            while block := self._next():
                self._blob.append(block)
        except (OSError, ValueError, http.client.HTTPException) as error:
            with self._news:
                self.problem = str(error)
                self._news.notify_all()

    def _next(self) -> bytes:
        """What has been printed since it was asked last; nothing at the end."""
        with self._news:
            self._news.wait_for(lambda: self._unsent or self._over)
            block = bytes(self._unsent[:BLOCK])
            del self._unsent[:BLOCK]
            self._news.notify_all()
        return block

    def _finished(self) -> None:
        with self._news:
            self._over = True
            self._news.notify_all()

    def finish(self) -> None:
        """Wait for the end of the stream, and of sending."""
        before = -1
        while self._reader.is_alive() and (before != self._count or len(self._unsent) >= WAITING):
            before = self._count
            self._reader.join(IDLE)
        self._finished()
        self._sender.join()

    def tail(self, protected: dict[str, Any]) -> str:
        """The end of what was printed, without secrets."""
        text = self._end.decode(errors="replace")
        for word in sorted(texts(protected), key=len, reverse=True):
            text = text.replace(word, HIDDEN)
        return text.encode()[-TAIL:].decode(errors="ignore")


def texts(settings: object) -> set[str]:
    """Every text in `settings` that is long enough to be told from ordinary text."""
    if isinstance(settings, str):
        return {settings} if len(settings) >= 4 and settings.lower() not in ORDINARY else set()
    inner = (
        settings.values() if isinstance(settings, dict) else settings if isinstance(settings, list) else ()
    )
    return {word for value in inner for word in texts(value)}


# -- storage -------------------------------------------------------------------------------------------------


class Blob:
    """An append blob, by its address with a shared access signature."""

    def __init__(self, address: str) -> None:
        self._address = address

    @classmethod
    def wanted(cls, name: str, public: dict[str, Any], protected: dict[str, Any]) -> Blob | None:
        """The blob that the settings want for ``outputBlob`` or ``errorBlob``."""
        uri = public.get(f"{name}Uri")
        return cls(signed(str(uri), protected.get(f"{name}SASToken", ""))) if uri else None

    def create(self) -> None:
        """Make it, empty, whatever was there.

        Raises:
            OSError: storage refuses or is not reached.
        """
        self._put(self._address, b"", {"x-ms-blob-type": "AppendBlob"})

    def append(self, block: bytes) -> None:
        """Add `block`, at most 4 MiB.

        Raises:
            OSError: storage refuses or is not reached.
        """
        mark = "&" if "?" in self._address else "?"
        self._put(f"{self._address}{mark}comp=appendblock", block, {})

    def _put(self, address: str, data: bytes, headers: dict[str, str]) -> None:
        sent = {"x-ms-version": "2021-12-02", "Content-Type": "application/octet-stream", **headers}
        wanted = urllib.request.Request(address, data=data, headers=sent, method="PUT")  # noqa: S310 - https
        try:
            called(wanted).close()
        except urllib.error.HTTPError as error:
            code = error.headers.get("x-ms-error-code") or error.reason
            raise OSError(f"{error.code} {code}") from None


def signed(uri: str, token: str) -> str:
    """`uri` with its signature.

    Raises:
        ValueError: it is no https address.
    """
    if not uri.startswith("https://"):
        raise ValueError("the address of the script or of a blob is no https address")
    return f"{uri}?{token}" if token else uri


def called(wanted: urllib.request.Request) -> Any:
    """The answer to a request, on the way that the agent takes: its proxy, and the authorities it trusts.

    Raises:
        OSError: nobody answers, or with an error.
    """
    config = agent_config()
    context = ssl.create_default_context()
    if config.get("tls.caBundle"):
        context.load_verify_locations(config["tls.caBundle"])
    ways: list[urllib.request.BaseHandler] = [urllib.request.HTTPSHandler(context=context)]
    if config.get("proxy.url"):
        ways.append(urllib.request.ProxyHandler({"https": config["proxy.url"]}))
    return urllib.request.build_opener(*ways).open(wanted, timeout=CALL)


def agent_config() -> dict[str, Any]:
    """The agent's local configuration; it lies where this handler does, below the same root."""
    root = Path(__file__).resolve().parents[4]
    try:
        found = json.loads((root / "var/opt/azcmagent/localconfig.json").read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


# -- what runs -----------------------------------------------------------------------------------------------


def running(folder: Path, name: str) -> Path:
    """Says which processes carry the run command `name`."""
    return folder / "config" / f"{name or 'run'}.pids"


def note(folder: Path, name: str, *pids: int) -> None:
    """Write down who carries it."""
    path = running(folder, name)
    new = path.with_suffix(".pids.new")
    new.write_text(" ".join(str(pid) for pid in pids))
    os.replace(new, path)  # noqa: PTH105 - one rename


def stop(folder: Path, name: str) -> None:
    """End the script of an earlier enable and what watches it, if they still run."""
    with suppress(OSError, ValueError):
        watcher, *script = [int(word) for word in running(folder, name).read_text().split()]
        # The number may have been given to somebody else since.
        if str(Path(__file__)).encode() in Path(f"/proc/{watcher}/cmdline").read_bytes():
            for pid in (watcher, *script):
                with suppress(ProcessLookupError):
                    os.killpg(pid, signal.SIGKILL)
    running(folder, name).unlink(missing_ok=True)


# -- what is told --------------------------------------------------------------------------------------------


def stamp() -> str:
    """Now, as people outside see it: the handler is no part of the bed and knows no other time."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def report(path: Path, word: str, view: dict[str, Any]) -> None:
    """Write the status file by way of another, so that nobody reads half of it."""
    inner = {
        "name": "RunCommand",
        "operation": "Enable",
        "status": word,
        "code": 0 if word != "error" else 1,
        "formattedMessage": {"lang": "en-US", "message": json.dumps(view)},
    }
    document = [{"version": 1.0, "timestampUTC": stamp(), "status": inner}]
    new = path.with_suffix(".new")
    new.write_text(json.dumps(document))
    os.replace(new, path)  # noqa: PTH105 - one rename


if __name__ == "__main__":
    main()
