from __future__ import annotations

import pytest
from extensions import ExtdBed


@pytest.fixture
def bed(tmp_path):
    return ExtdBed.make(tmp_path / "root")
