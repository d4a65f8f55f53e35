"""The pytest plugin in somebody else's project: one with an `agent` folder and a conftest of its own."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from below import running_below

SUPPORT = Path(__file__).parents[1] / "support"
CONFIG = """
[pytest]
addopts = --strict-markers --strict-config
asyncio_mode = auto
asyncio_default_fixture_loop_scope = function
filterwarnings = error
"""


@pytest.fixture
def project(tmp_path) -> Path:
    """A project whose package is called like one of arcbed's folders."""
    root = tmp_path / "project"
    write(root / "pytest.ini", CONFIG)
    write(root / "agent" / "__init__.py", "NAME = 'an agent of our own'\n")
    write(
        root / "conftest.py",
        """
        import pytest

        import agent


        @pytest.fixture
        def own_agent():
            return agent.NAME
        """,
    )
    return root


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(textwrap.dedent(text))


def pytest_in(project: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("PYTEST_", "COV_"))}
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *arguments],
        cwd=project,
        env=environment,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


def test_project_that_does_not_use_it_pays_nothing(project):
    write(
        project / "test_own.py",
        """
        import sys

        import agent


        def test_own_package_is_found(own_agent):
            assert own_agent == agent.NAME == "an agent of our own"
            assert "project" in agent.__file__


        def test_nothing_heavy_was_imported():
            names = ("arcbed.harness", "arcbed_cloud", "arcbed_agent", "httpx", "fastapi", "typer", "rich")
            assert [name for name in names if name in sys.modules] == []
        """,
    )

    done = pytest_in(project)

    assert done.returncode == 0, done.stdout
    assert "2 passed" in done.stdout


def test_marker_is_known_and_its_clauses_reach_junit(project):
    write(
        project / "test_marked.py",
        """
        import pytest


        @pytest.mark.clause("onboarding.success")
        def test_marked():
            pass
        """,
    )

    done = pytest_in(project, "--junit-xml", "out.xml")

    assert done.returncode == 0, done.stdout
    found = ET.parse(project / "out.xml").find(".//property")
    assert found is not None
    assert found.attrib == {"name": "clause", "value": "onboarding.success"}


def test_fixtures_give_a_machine_to_plain_and_to_async_tests(project):
    write(
        project / "test_machines.py",
        """
        import pytest

        seen = []


        def test_plain(machine, cloud, resource_group, own_agent):
            assert machine.connect().exit_code == 0
            resource = cloud.machine(resource_group, machine.name).body
            assert resource["properties"]["status"] == "Connected"
            assert machine.token("https://vault.azure.net").claims["aud"] == "https://vault.azure.net"
            seen.append((resource_group, cloud.env["armEndpoint"]))


        async def test_async(bed, machine, cloud, resource_group):
            done = await machine.connect(tags={"from": "pytest"})
            assert done.exit_code == 0, done.output
            resource = (await cloud.machine(resource_group, machine.name)).body
            assert resource["tags"] == {"from": "pytest"}
            second = await bed.machine("second", resource_group=resource_group)
            assert (await second.connect(name=machine.name)).exit_code == 44
            seen.append((resource_group, cloud.env["armEndpoint"]))


        def test_each_test_has_a_group_of_its_own_on_one_control_plane(cloud, resource_group):
            path = f"{cloud.arm.group_id(resource_group)}/providers/Microsoft.HybridCompute/machines"
            assert cloud.arm.get(path).body["value"] == []
            groups, endpoints = zip(*seen)
            assert resource_group not in groups
            assert set(endpoints) == {cloud.env["armEndpoint"]}
            for group in groups:
                assert cloud.arm.get(cloud.arm.group_id(group)).status == 404


        @pytest.fixture(scope="session")
        def fleet(arcbed_session):
            return [arcbed_session.bed.machine(f"fleet-{number}", started=False) for number in range(2)]


        def test_session_fixture_builds_on_the_session(fleet):
            assert [machine.name for machine in fleet] == ["fleet-0", "fleet-1"]
        """,
    )

    done = pytest_in(project, "--arcbed-keep")

    assert done.returncode == 0, done.stdout + done.stderr
    assert "4 passed" in done.stdout
    kept = re.search(r"the bed was kept in (\S+)", done.stdout)
    assert kept
    assert (Path(kept[1]) / "cloud").is_dir()
    shutil.rmtree(kept[1])


def test_session_leaves_nothing_behind(project):
    write(
        project / "test_one.py",
        """
        import sys
        from pathlib import Path

        sys.path.insert(0, "SUPPORT")
        from below import running_below


        def test_one(bed, machine):
            Path("folder").write_text(str(bed.folder))
            assert running_below(bed.folder) >= {"himds", "fakecloud"}
        """.replace("SUPPORT", str(SUPPORT)),
    )

    done = pytest_in(project)

    assert done.returncode == 0, done.stdout + done.stderr
    folder = Path((project / "folder").read_text())
    assert not folder.exists()
    assert running_below(folder) == set()
