"""Checks of the ``api-version`` that a client sends."""

from __future__ import annotations

import re
from collections.abc import Mapping

from arcbed_cloud.arm.errors import ArmError
from arcbed_cloud.arm.table import ResourceType
from arcbed_cloud.arm.validation import normalised

# Microsoft.Resources, newest first: published versions of resources, groups, providers and tags.
RESOURCES = [
    "2025-04-01",
    "2025-03-01",
    "2024-11-01",
    "2024-07-01",
    "2024-03-01",
    "2023-07-01",
    "2022-09-01",
    "2021-04-01",
    "2021-01-01",
    "2020-10-01",
    "2020-08-01",
    "2020-06-01",
    "2019-10-01",
    "2019-08-01",
    "2019-07-01",
    "2019-05-10",
    "2019-05-01",
    "2019-03-01",
    "2018-05-01",
    "2018-02-01",
    "2017-05-10",
    "2016-09-01",
    "2016-07-01",
    "2016-02-01",
    "2015-11-01",
]
# What ARM itself names when it refuses a version on a route of its own; its subscription routes take any of
# them, as clients of every age ask them.
OWN = sorted(
    {*RESOURCES, "2022-12-01", "2020-01-01", "2019-11-01", "2019-06-01", "2018-06-01", "2016-06-01"},
    reverse=True,
)

_SHAPE = re.compile(r"\d{4}-\d{2}-\d{2}(-[A-Za-z]+)?")


def read(query: Mapping[str, str]) -> str:
    """The api-version of a query with lower-case names.

    Raises:
        ArmError: 400 MissingApiVersionParameter or InvalidApiVersionParameter.
    """
    version = query.get("api-version")
    if not version:
        raise ArmError(
            400,
            "MissingApiVersionParameter",
            "The api-version query parameter (?api-version=) is required for all requests.",
        )
    if _SHAPE.fullmatch(version) is None:
        raise invalid(version)
    return version.lower()


def invalid(version: str) -> ArmError:
    """400 with ARM's own versions."""
    return ArmError(
        400,
        "InvalidApiVersionParameter",
        f"The api-version '{version}' is invalid. The supported versions are '{','.join(OWN)}'.",
    )


def unsupported(row: ResourceType, version: str, location: str) -> ArmError:
    """400 for a version that the type does not have."""
    if row.root:
        return invalid(version)
    return ArmError(
        400,
        "NoRegisteredProviderFound",
        f"No registered resource provider found for location '{location}' and API version '{version}' for "
        "type "
        f"'{row.path}'. The supported api-versions are '{', '.join(row.api_versions)}'. "
        f"The supported locations are '{', '.join(normalised(place) for place in row.locations)}'.",
    )
