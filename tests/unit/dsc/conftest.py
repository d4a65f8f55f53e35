"""A tree that stands for a machine, and documents evaluated against it."""

from __future__ import annotations

import stat
from datetime import UTC, datetime
from pathlib import Path

import pytest
from machine_tree import MachineTree

from arcbed_agent.gcad.dsc import mof
from arcbed_agent.gcad.dsc.engine import evaluate
from arcbed_agent.gcad.dsc.mof import Instance

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def details(result):
    """The last part of each reason's code."""
    return [reason.code.rpartition(":")[2] for reason in result.reasons]


def mode_of(path):
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def tree(tmp_path):
    return MachineTree(tmp_path / "machine")


@pytest.fixture
def run(tmp_path, tree):
    """Evaluate instances, given as (class, properties), or text; by default against the tree, applying."""

    def evaluated(*described, kind="AuditAndSet", mode="ApplyAndAutoCorrect", previous="Pending", **options):
        document = tmp_path / "package" / "My.mof"
        document.parent.mkdir(exist_ok=True)
        (document.parent / "My.metaconfig.json").write_text(f'{{"Type": "{kind}"}}')
        if described and isinstance(described[0], str):
            document.write_text(described[0])
        else:
            instances = [
                Instance(name, None, {"ResourceID": f"[{name}]{index}"} | properties)
                for index, (name, properties) in enumerate(described)
            ]
            document.write_text(mof.write(instances))
        settings = {"parameters": [], "host": tree.host(), "set_allowed": False, "now": NOW} | options
        return evaluate(document, assignment_type=mode, previous=previous, **settings)

    return evaluated


@pytest.fixture
def audit(run):
    """The result of one resource, audited."""

    def audited(name, /, **properties):
        (result,) = run((name, properties), mode="Audit").resources
        return result

    return audited


@pytest.fixture
def apply(run):
    """The result of one resource, applied."""

    def applied(name, /, **properties):
        (result,) = run((name, properties)).resources
        return result

    return applied


@pytest.fixture
def package_folder(tmp_path) -> Path:
    return tmp_path / "package"
