"""The hashes of guest assignments, by the vectors that both sides run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from arcbed_cloud.providers.guestconfiguration.hashes import assignment_hash, parameter_hash, parameter_text

VECTORS = json.loads((Path(__file__).parents[1] / "assignment_hashes.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("vector", VECTORS["vectors"], ids=lambda vector: vector["name"])
def test_hashes_of_an_assignment_are_those_that_azure_computes(vector):
    text = parameter_text(vector["parameters"])
    assert parameter_hash(text) == vector["parameterHash"]
    assert assignment_hash(vector["contentHash"], text) == vector["assignmentHash"]


def test_assignment_without_known_content_has_the_parameters_half_only():
    digest = "E3B0C44298FC1C149AFBF4C8996FB92427AE41E4649B934CA495991B7852B855"
    assert assignment_hash(None, "") == f".{digest}"
