"""Fixtures that several test folders share."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

# Assertions of these explain themselves as those of tests do; it has to be said before anybody imports them.
pytest.register_assert_rewrite("handler_contract", "handler_rules", "extensions_life", "extensions_trace")

from running import RunningCloud, serve  # noqa: E402 - see above


@pytest.fixture(scope="session")
def start_cloud() -> Callable[..., RunningCloud]:
    """The function that starts a control plane; the caller stops it."""
    return serve


@pytest.fixture(scope="session")
def running_cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningCloud]:
    """One control plane for all tests that only add to it."""
    cloud = serve(tmp_path_factory.mktemp("cloud") / "state")
    yield cloud
    cloud.stop()
