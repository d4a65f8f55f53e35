"""The Python snippets of the how-to pages that are marked to be run, as a reader would run them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

HOW_TO = Path(__file__).parents[2] / "docs" / "how-to"
BIN = Path(sys.executable).parent
MARKED = re.compile(
    r"^<!-- tests/docs/test_how_to.py runs this -->\n```python\n(.*?)^```", re.MULTILINE | re.DOTALL
)


def _run(folder: Path, *command: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


def test_every_marked_test_of_the_how_to_pages_passes(tmp_path):
    count = 0
    for page in HOW_TO.glob("*.md"):
        for snippet in MARKED.findall(page.read_text()):
            if name := re.match(r"# (test_\w+\.py)\n", snippet):
                (tmp_path / name[1]).write_text(snippet)
                count += snippet.count("def test_")
    (tmp_path / "pytest.ini").write_text("[pytest]\nasyncio_default_fixture_loop_scope = function\n")
    done = _run(tmp_path, BIN / "python", "-m", "pytest", "-q", "-p", "no:cacheprovider")
    assert done.returncode == 0, done.stdout + done.stderr
    assert count >= 5
    assert f"{count} passed" in done.stdout


def test_sdk_snippet_runs_with_the_environment_that_arcbed_prints(tmp_path):
    (snippet,) = MARKED.findall((HOW_TO / "use-an-sdk.md").read_text())
    (tmp_path / "snippet.py").write_text(snippet)
    script = """
        arcbed start --port 0 && trap 'arcbed stop' EXIT && eval "$(arcbed env)" && python3 snippet.py
    """
    done = _run(tmp_path, "bash", "-ec", script)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "\n[]\n" in done.stdout
