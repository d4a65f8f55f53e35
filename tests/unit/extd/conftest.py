from __future__ import annotations

import pytest

pytest.register_assert_rewrite("handler_contract", "handler_rules")

from extensions import ExtdBed  # noqa: E402 - assertions of the modules above are to explain themselves


@pytest.fixture
def bed(tmp_path):
    return ExtdBed.make(tmp_path / "root")
