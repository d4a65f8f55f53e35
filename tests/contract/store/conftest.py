"""A store of its own for each test, and a second one on the same database."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from arcbed_cloud.store import SqliteStore


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state.db"


@pytest.fixture
def store(path: Path) -> Iterator[SqliteStore]:
    opened = SqliteStore(path)
    yield opened
    opened.close()


@pytest.fixture
def pair(path: Path) -> Iterator[tuple[SqliteStore, SqliteStore]]:
    one, two = SqliteStore(path, shared=True), SqliteStore(path, shared=True)
    yield one, two
    one.close()
    two.close()
