"""Runs one script of ARM's run commands; a program of its own, with nothing but the standard library.

Enable reports that the script runs, goes to the background and leaves: time-outs of commands are shorter than
those of scripts. The status message is the instance view of ARM as JSON; a script that fails is a command
that has run. Output is not appended to blobs.

Source: Microsoft's article "Run commands on Azure Arc-enabled servers (Preview)".
"""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

TAIL = 4_096
LIMIT = 5_400


def main() -> None:
    """Do what the command line names; everything but enable has nothing to do."""
    if sys.argv[1:] != ["enable"]:
        return
    folder = Path(__file__).parent
    number = os.environ.get("ConfigSequenceNumber", "0")  # noqa: SIM112 - the contract's spelling
    name = os.environ.get("ConfigExtensionName", "")  # noqa: SIM112 - the contract's spelling
    base = f"{name}.{number}" if name else number
    status = folder / "status" / f"{base}.status"
    public, protected = read_settings(folder / "config" / f"{base}.settings", folder.parent)
    began = stamp()
    # An asynchronous command is done for ARM as soon as it runs.
    first = "success" if public.get("asyncExecution") else "transitioning"
    report(status, first, {"executionState": "Running", "startTime": began})
    if os.fork():
        return
    os.setsid()
    try:
        word, view = "success", run(public, protected)
    except Exception as error:  # noqa: BLE001 - whatever is wrong, ARM has to hear of it
        word, view = "error", {"executionState": "Failed", "executionMessage": str(error), "exitCode": 1}
    report(status, word, {"startTime": began, "endTime": stamp(), **view})
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


def run(public: dict[str, Any], protected: dict[str, Any]) -> dict[str, Any]:
    """Run the script; the instance view."""
    given = [*public.get("parameters", []), *protected.get("protectedParameters", [])]
    named = {one["name"]: one["value"] for one in given if one["name"]}
    words = ["/bin/sh", "-s", "--", *(one["value"] for one in given if not one["name"])]
    if public.get("runAsUser"):
        words = ["runuser", "-u", public["runAsUser"], "--", *words]
    try:
        done = subprocess.run(
            words,
            input=script_of(public["source"], protected),
            capture_output=True,
            env={**os.environ, **named},
            timeout=public.get("timeoutInSeconds") or LIMIT,
            check=False,
        )
    except subprocess.TimeoutExpired as late:
        view = {"executionState": "TimedOut", "exitCode": -1, "executionMessage": "The script took too long"}
        return {**view, "output": tail(late.stdout), "error": tail(late.stderr)}
    state = "Succeeded" if done.returncode == 0 else "Failed"
    message = "Execution completed" if done.returncode == 0 else f"The script ended with {done.returncode}"
    return {
        "executionState": state,
        "executionMessage": message,
        "exitCode": done.returncode,
        "output": tail(done.stdout),
        "error": tail(done.stderr),
    }


def script_of(source: dict[str, Any], protected: dict[str, Any]) -> bytes:
    """The script's text, fetched if it is somewhere else."""
    if source.get("script"):
        return str(source["script"]).encode()
    uri, token = str(source["scriptUri"]), protected.get("sourceSASToken", "")
    if not uri.startswith("https://"):
        raise ValueError("scriptUri is no https address")
    with urllib.request.urlopen(f"{uri}?{token}" if token else uri, timeout=60) as answer:  # noqa: S310 - https
        content: bytes = answer.read(1_048_576)
    return content


def tail(data: bytes | None) -> str:
    """The end of what was printed."""
    return (data or b"")[-TAIL:].decode(errors="replace")


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
