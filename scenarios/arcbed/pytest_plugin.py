"""Fixtures for tests that need a machine in Azure Arc: `bed`, `cloud`, `machine`, `resource_group`.

Loaded by pytest in every project where arcbed is installed, so it imports nothing heavy and starts nothing
until a test asks for one of its fixtures.

In an ``async def`` test the handles' methods are awaited; in a plain test the same methods block. One control
plane serves the whole session; each test gets a resource group of its own.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from arcbed.harness.session import BedSession

FOLDER = pytest.StashKey[Path]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Offer ``--arcbed-keep``."""
    group = parser.getgroup("arcbed", "a testbed for Azure Arc-enabled servers")
    group.addoption(
        "--arcbed-keep",
        action="store_true",
        default=False,
        help="keep the state, files and logs of the bed after the session and print where they are",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker, so that strict projects accept it."""
    config.addinivalue_line("markers", "clause(id): the clause of arcbed's catalogue that a test proves")


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Carry the cited clauses into JUnit XML as properties of the test."""
    for mark in item.iter_markers("clause"):
        item.user_properties.extend(("clause", str(clause)) for clause in mark.args)


@pytest.fixture(scope="session")
def arcbed_session(request: pytest.FixtureRequest) -> Iterator[BedSession]:
    """The control plane of this test session; `.bed` is a view whose methods block, for session fixtures."""
    from arcbed.harness.session import BedSession

    session = BedSession(keep=bool(request.config.getoption("--arcbed-keep")))
    with session:
        request.config.stash[FOLDER] = session.folder
        yield session


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say where a bed was left that was to be kept."""
    folder = config.stash.get(FOLDER, None)
    if folder is not None and config.getoption("--arcbed-keep"):
        terminalreporter.write_line(f"arcbed: the bed was kept in {folder}")


def _view(request: pytest.FixtureRequest, session: BedSession, handle: Any) -> Any:
    awaited = inspect.iscoroutinefunction(getattr(request, "function", None))
    return session.view(handle, awaited=awaited)


@pytest.fixture
def bed(request: pytest.FixtureRequest, arcbed_session: BedSession) -> Any:
    """The session's `arcbed.harness.Bed`: `bed.cloud`, `bed.machine(name)`."""
    return _view(request, arcbed_session, arcbed_session.live)


@pytest.fixture
def cloud(request: pytest.FixtureRequest, arcbed_session: BedSession) -> Any:
    """The session's control plane, an `arcbed.harness.Cloud`."""
    return _view(request, arcbed_session, arcbed_session.live.cloud)


@pytest.fixture
def resource_group(arcbed_session: BedSession) -> Iterator[str]:
    """The name of an empty resource group that goes away with the test."""
    bed = arcbed_session.bed
    name = bed.cloud.new_group()
    yield name
    bed.cloud.delete_group(name)


@pytest.fixture
def machine(request: pytest.FixtureRequest, arcbed_session: BedSession, resource_group: str) -> Iterator[Any]:
    """A machine with a running agent; `machine.connect()` puts it into `resource_group`."""
    made = arcbed_session.call(arcbed_session.live.machine(resource_group=resource_group))
    yield _view(request, arcbed_session, made)
    arcbed_session.call(made.remove())
