"""What reading MOF and evaluating the Linux baseline cost. Run this file; ``--write`` renews DSC.md.

The reader is measured beside lark (LALR, contextual lexer, the grammar below) on the same texts; both give
the same instances, which is checked first. The baseline is evaluated on this machine, by the engine alone
and as `gcad test` with everything that a process costs.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import lark

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "support"))
from baseline_rules import document  # noqa: E402

from arcbed_agent.gcad.dsc import mof  # noqa: E402
from arcbed_agent.gcad.dsc.engine import evaluate  # noqa: E402
from arcbed_agent.gcad.dsc.host import LinuxHost  # noqa: E402
from arcbed_agent.gcad.dsc.mof import Instance  # noqa: E402

ROUNDS = 7

GRAMMAR = r"""
start: (instance ";"?)*
instance: "instance" "of" NAME ("as" ALIAS)? "{" property* "}"
property: NAME "=" value ";"
?value: STRING+      -> text
      | NUMBER       -> number
      | TRUE         -> true
      | FALSE        -> false
      | ALIAS        -> alias
      | "{" (value ("," value)*)? "}" -> array
STRING: /"[^"\\]*(?:\\.[^"\\]*)*"/s
NUMBER: /-?\d+/
TRUE.2: /true/i
FALSE.2: /false/i
ALIAS: /\$\w+/
NAME: /[A-Za-z_]\w*/
%ignore /\s+/
%ignore /\/\*.*?\*\//s
%ignore /\/\/[^\n]*/
"""
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f"}


class _Values(lark.Transformer[lark.Token, Any]):
    """The same instances as the reader's."""

    def start(self, found: list[Any]) -> list[Instance]:
        return found

    def instance(self, found: list[Any]) -> Instance:
        alias = str(found[1]) if len(found) > 1 and isinstance(found[1], lark.Token) else None
        return Instance(str(found[0]), alias, dict(found[2 if alias else 1 :]))

    def property(self, found: list[Any]) -> tuple[str, Any]:
        return str(found[0]), found[1]

    def text(self, found: list[Any]) -> str:
        return "".join(_unescaped(str(one)[1:-1]) for one in found)

    def number(self, found: list[Any]) -> int:
        return int(found[0])

    def true(self, _found: list[Any]) -> bool:
        return True

    def false(self, _found: list[Any]) -> bool:
        return False

    def alias(self, found: list[Any]) -> mof.Reference:
        return mof.Reference(str(found[0]))

    def array(self, found: list[Any]) -> list[Any]:
        return found


def _unescaped(text: str) -> str:
    if "\\" not in text:
        return text
    parts, index = [], 0
    while index < len(text):
        if text[index] == "\\":
            index += 1
            parts.append(_ESCAPES.get(text[index], text[index]))
        else:
            parts.append(text[index])
        index += 1
    return "".join(parts)


def files_document(count: int) -> str:
    """As PowerShell compiles nxFile: many properties, contents of several lines, arrays."""
    contents = "\n".join(f"setting_{number} = 'value \\ \"{number}\"'" for number in range(12))
    return mof.write(
        Instance(
            "MSFT_nxFileResource",
            f"$MSFT_nxFileResource{index}ref",
            {
                "ResourceID": f"[nxFile]file{index}",
                "DestinationPath": f"/etc/app/{index}.conf",
                "Contents": contents,
                "Mode": "0644",
                "Force": True,
                "DependsOn": [f"[nxFile]file{index - 1}"] if index else [],
                "ModuleName": "nx",
                "SourceInfo": f"::{index}::5::nxFile",
                "ModuleVersion": "1.0",
                "ConfigurationName": "Files",
            },
        )
        for index in range(count)
    )


def middle(call: Callable[[], object]) -> float:
    """The median of some rounds, in seconds."""
    took = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        call()
        took.append(time.perf_counter() - began)
    return statistics.median(took)


def reading() -> list[str]:
    """Rows of the table of readers."""
    other = lark.Lark(GRAMMAR, parser="lalr", transformer=_Values())
    texts = {
        "Linux baseline, 169 rules": document(),
        "1,000 nxFile resources": files_document(1000),
        "5,000 short resources": mof.write(
            Instance("TestFile", None, {"ResourceID": f"[TestFile]{index}", "Path": "/a"})
            for index in range(5000)
        ),
    }
    rows = []
    for name, text in texts.items():
        if mof.parse(text) != other.parse(text):
            raise SystemExit(f"{name}: the two readers do not agree")
        size = len(text.encode())
        ours, theirs = middle(lambda text=text: mof.parse(text)), middle(lambda text=text: other.parse(text))
        rows.append(
            f"| {name} | {size / 1e6:.2f} | {ours * 1000:.0f} | {size / ours / 1e6:.1f} | "
            f"{theirs * 1000:.0f} | {size / theirs / 1e6:.2f} | {theirs / ours:.1f} |"
        )
    return rows


def _cpu() -> tuple[float, float]:
    own, children = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return own.ru_utime + own.ru_stime, children.ru_utime + children.ru_stime


def baseline() -> list[str]:
    """What evaluating all 169 rules on this machine costs."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        file = folder / "AzureLinuxBaseline.mof"
        file.write_text(document())
        settings = {"Type": "AuditAndSet", "configurationModeFrequencyMins": 60}
        (folder / "AzureLinuxBaseline.metaconfig.json").write_text(json.dumps(settings))

        def run() -> object:
            return evaluate(
                file,
                assignment_type="Audit",
                previous="Pending",
                parameters=[],
                host=LinuxHost(),
                set_allowed=False,
                now=datetime.fromtimestamp(time.time(), UTC),  # noqa: TID251 - a real machine's dates
            )

        result: Any = run()
        before = _cpu()
        seconds = middle(run)
        own, children = (after - begun for after, begun in zip(_cpu(), before, strict=True))
        package = folder / "baseline.zip"
        with zipfile.ZipFile(package, "w") as archive:
            archive.write(file, file.name)
        words = [sys.executable, "-c", "from arcbed_agent.gcad.cli import main; main()", "test", str(package)]
        process = middle(lambda: subprocess.run(words, capture_output=True, check=False))
    compliant = sum(one.compliance_status == "Compliant" for one in result.resources)
    unsupported = sum(one.reasons[0].code.endswith(":NotSupported") for one in result.resources)
    failed = len(result.resources) - compliant - unsupported
    return [
        f"- {compliant} compliant, {failed} not compliant, {unsupported} not supported",
        (
            f"- the engine: {seconds:.2f} s, of which {own / ROUNDS:.2f} s own CPU "
            f"and {children / ROUNDS:.2f} s of the programs it asks (systemctl, iptables, sshd)"
        ),
        f"- `gcad test` with start of the process, hash, unpacking: {process:.2f} s",
    ]


def main() -> None:
    """Measure, print, and write if asked to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="renew DSC.md beside this file")
    options = parser.parse_args()
    machine = f"{os.cpu_count()} cores, Linux {platform.release()}, Python {platform.python_version()}"
    lines = [
        "# Reading MOF and evaluating the Linux baseline",
        "",
        (
            f"Written by `tests/benchmarks/dsc.py --write`: {machine}, lark {lark.__version__}; "
            f"load average {os.getloadavg()[0]:.1f}. Medians of {ROUNDS} rounds."
        ),
        "",
        "## Reading",
        "",
        "| text | MB | ms | MB/s | lark ms | lark MB/s | times lark |",
        "|---|--:|--:|--:|--:|--:|--:|",
        *reading(),
        "",
        "## The baseline, 169 rules",
        "",
        *baseline(),
    ]
    print("\n".join(lines))
    if options.write:
        (HERE / "DSC.md").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
