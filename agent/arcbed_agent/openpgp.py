"""Signatures of OpenPGP, checked by the machine's own ``gpg`` against given public keys and no others."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

_SECONDS: Final = 60.0


class SignatureError(Exception):
    """Something is not signed by any of the keys, or that cannot be told; `str()` says which."""


def check_detached(content: Path, signature: Path, keys: Sequence[Path]) -> None:
    """Check that the owner of one of `keys` signed the file `content`.

    Args:
        content: what is signed.
        signature: its signature, armored or not.
        keys: files with public keys, armored or not.

    Raises:
        SignatureError: nobody of them did, or gpg cannot be run.
    """
    _verified(keys, "--verify", str(signature), str(content))


def signed_text(file: Path, keys: Sequence[Path]) -> bytes:
    """The text that the owner of one of `keys` signed in clear, without what stands around it.

    Raises:
        SignatureError: as `check_detached`.
    """
    with tempfile.TemporaryDirectory(prefix="arc-") as folder:
        text = Path(folder) / "text"
        _verified(keys, "--output", str(text), "--decrypt", str(file))
        return text.read_bytes()


def _verified(keys: Sequence[Path], *words: str) -> None:
    with tempfile.TemporaryDirectory(prefix="arc-") as home:
        for key in keys:
            _gpg(home, "--import", str(key))
        answer = _gpg(home, "--trust-model", "always", *words)
    if answer.returncode or b"[GNUPG:] VALIDSIG " not in answer.stdout:
        lines = [line for line in answer.stderr.decode(errors="replace").splitlines() if line.strip()]
        raise SignatureError(lines[-1].removeprefix("gpg: ") if lines else f"gpg: {answer.returncode}")


def _gpg(home: str, *words: str) -> subprocess.CompletedProcess[bytes]:
    command = ["gpg", "--homedir", home, "--batch", "--no-autostart", "--status-fd", "1", *words]
    environment = {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"}
    try:
        return subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            env=environment,
            timeout=_SECONDS,
            check=False,
        )
    except FileNotFoundError:
        raise SignatureError("gpg is not installed") from None
    except (OSError, subprocess.TimeoutExpired) as error:
        raise SignatureError(f"gpg cannot be run: {error}") from error
