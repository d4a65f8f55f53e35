"""Names, locations and tags."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arcbed_cloud.arm import times, validation
from arcbed_cloud.arm.access import _pattern, within
from arcbed_cloud.arm.errors import ArmError
from arcbed_cloud.arm.ids import parse
from arcbed_cloud.arm.table import ResourceType, Scope

ROW = ResourceType(
    namespace="Microsoft.Test",
    path="widgets",
    scope=Scope.GROUP,
    api_versions=["2026-01-01"],
    verbs=(),
    name_parameter="widgetName",
    locations=("West Europe", "japan west"),
    name_pattern=r"[a-zA-Z0-9-_\.]{1,54}",
)


def code(call: object, *arguments: object) -> str | None:
    try:
        call(*arguments)  # type: ignore[operator]
    except ArmError as error:
        assert 400 <= error.status < 500
        return error.code
    return None


@pytest.mark.parametrize("name", ["exchange", "Exchange", "AZURE", "web.config", "office365", "xbox"])
def test_reserved_word_is_refused_as_the_whole_name_only(name: str) -> None:
    assert code(validation.reserved_name, name) == "ReservedResourceName"
    assert code(validation.reserved_name, f"{name}-01") is None
    assert code(validation.reserved_name, f"my{name}") is None


@pytest.mark.parametrize("name", ["mymicrosoftbox", "WINDOWS", "a-Windows-b", "login01", "LoginServer"])
def test_trademark_is_refused_anywhere_and_login_at_the_start(name: str) -> None:
    assert code(validation.reserved_name, name) == "ReservedResourceName"


def test_login_inside_a_name_is_fine() -> None:
    assert code(validation.reserved_name, "weblogin") is None


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("web-01", None),
        ("a" * 54, None),
        ("a" * 55, "InvalidResourceName"),
        ("", "InvalidResourceName"),
        ("a b", "InvalidResourceName"),
        ("web\n", "InvalidResourceName"),
        ("exchange", "ReservedResourceName"),
    ],
)
def test_resource_name_must_match_its_whole_pattern(name: str, expected: str | None) -> None:
    assert code(validation.resource_name, name, ROW) == expected


def test_location_is_normalised_and_must_be_one_of_the_types() -> None:
    for text in ("West Europe", "westeurope", "WESTEUROPE", " west europe"):
        assert validation.location(text, ROW) == "westeurope"
    assert code(validation.location, None, ROW) == "LocationRequired"
    assert code(validation.location, "", ROW) == "LocationRequired"
    assert code(validation.location, 5, ROW) == "InvalidRequestContent"
    with pytest.raises(ArmError) as caught:
        validation.location("Mars", ROW)
    assert caught.value.message == (
        "The provided location 'Mars' is not available for resource type 'Microsoft.Test/widgets'. "
        "List of available regions for the resource type is 'westeurope,japanwest'."
    )


def test_resource_cannot_move_by_put() -> None:
    assert code(validation.same_location, "m", "West Europe", "westeurope", "rg") is None
    assert code(validation.same_location, "m", "West Europe", "eastus", "rg") == "InvalidResourceLocation"


def test_tags_at_their_limits_are_fine() -> None:
    tags = {f"{index:03}".ljust(512, "n"): "v" * 256 for index in range(50)}
    assert validation.tags(tags) == tags
    assert validation.tags(None) == {}


@given(
    st.none()
    | st.text()
    | st.dictionaries(st.text(max_size=20), st.none() | st.integers() | st.text(max_size=20), max_size=5)
)
def test_tags_are_taken_as_they_are_or_refused_with_400(value: object) -> None:
    try:
        assert validation.tags(value) == (value or {})
    except ArmError as error:
        assert error.status == 400


# -- access --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pattern", "action", "expected"),
    [
        ("*", "microsoft.x/y/read", True),
        ("*/read", "microsoft.x/a/b/c/read", True),
        ("*/read", "microsoft.x/a/readers", False),
        ("Microsoft.X/*/Write", "microsoft.x/a/b/write", True),
        ("Microsoft.X/a/*", "microsoft.x/ab/read", False),
        ("Microsoft.X/a/read", "microsoftxx/a/read", False),
    ],
)
def test_star_in_an_action_spans_segments(pattern: str, action: str, expected: bool) -> None:
    compiled = _pattern([pattern])
    assert compiled is not None
    assert (compiled.fullmatch(action) is not None) == expected


def test_scope_lies_within_its_ancestors_and_not_within_its_namesakes() -> None:
    assert within("/subscriptions/s/resourcegroups/g", "/subscriptions/s")
    assert within("/subscriptions/s", "/")
    assert within("/subscriptions/s", "/subscriptions/s")
    assert not within("/subscriptions/s", "/subscriptions/s/resourcegroups/g")
    assert not within("/subscriptions/s2", "/subscriptions/s")


# -- ids and times -------------------------------------------------------------------------------------------


@given(st.text())
def test_any_path_parses_and_its_key_is_stable(path: str) -> None:
    target = parse(path)
    assert parse(path).key == target.key
    assert target.key == str(target).lower()


def test_extension_resource_hangs_on_a_scope() -> None:
    target = parse("/subscriptions/S/resourcegroups/G/providers/A.B/cs/d/providers/E.F/gs/h")
    assert (target.subscription, target.group, target.type, target.name) == ("S", "G", "E.F/gs", "h")
    assert target.scope == "/subscriptions/S/resourceGroups/G/providers/A.B/cs/d"


def test_times_have_seven_digits_and_are_utc() -> None:
    moment = datetime(2024, 11, 12, 2, 21, 23, 350547, tzinfo=timezone(timedelta(hours=2)))
    assert times.iso7(moment) == "2024-11-12T00:21:23.3505470Z"
    assert times.compact(moment) == "20241112T002123Z"
    assert times.read(times.iso7(moment)) == moment
    assert times.read("2024-11-12") == datetime(2024, 11, 12, tzinfo=UTC)
    assert times.ticks(datetime(1970, 1, 1, tzinfo=UTC)) == 621_355_968_000_000_000
    assert times.ticks(datetime(2024, 11, 12, tzinfo=UTC)) == 638_669_664_000_000_000
