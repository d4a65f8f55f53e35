"""One seed, one event log: under another hash seed and another load, byte for byte."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from arcbed.harness.programs import KEPT

STORY = Path(__file__).with_name("repeat.py")
#: Keeps a core busy until it is ended.
SPIN = "while True: pass"


def run(log: Path, hash_seed: str) -> bytes:
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
    subprocess.run([sys.executable, STORY, log], env=environment, check=True, timeout=100)
    return log.read_bytes()


def test_same_seed_writes_the_same_bytes_under_another_hash_seed_and_load(tmp_path: Path) -> None:
    assert "PYTHONHASHSEED" in KEPT, "the processes of a bed must get the hash seed"
    first = run(tmp_path / "first.log", "1")
    spinners = [subprocess.Popen([sys.executable, "-c", SPIN]) for _ in range(os.cpu_count() or 1)]
    try:
        second = run(tmp_path / "second.log", "4242")
    finally:
        for spinner in spinners:
            spinner.kill()
            spinner.wait()
    assert first == second
    assert first.count(b'"task":"web-01/himds/heartbeat"') > 30
    assert b"not repeatable" not in first
