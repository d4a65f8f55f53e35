"""Pages that clients follow, and limits that really count down."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

import pytest

from arcbed_cloud.arm.throttle import Limit, Throttle

from .conftest import OTHER, SUBSCRIPTION, Arm, error, widget_path

SUB = f"/subscriptions/{SUBSCRIPTION}"
WIDGETS = f"{SUB}/resourceGroups/rg1/providers/Microsoft.Test/widgets"


async def fleet(arm: Arm, names: str = "abcdefg") -> None:
    await arm.register()
    await arm.group()
    for name in names:
        await arm.widget(name)


async def test_next_links_lead_through_everything_once_and_keep_the_query(arm: Arm) -> None:
    await fleet(arm)
    link = f"{WIDGETS}?api-version=2026-02-01&$expand=some thing"
    pages = []
    while link:
        body = (await arm.call("GET", link)).json()
        pages.append([item["name"] for item in body["value"]])
        link = body.get("nextLink", "")
        if link:
            parts = urlsplit(link)
            query = parse_qs(parts.query)
            assert (parts.scheme, parts.netloc, parts.path) == ("https", "localhost:8443", WIDGETS)
            assert query["api-version"] == ["2026-02-01"]
            assert query["$expand"] == ["some thing"]
            assert list(query) == ["api-version", "$expand", "$skiptoken"]
    assert pages == [["a", "b", "c"], ["d", "e", "f"], ["g"]]


async def test_last_full_page_has_no_next_link(arm: Arm) -> None:
    await fleet(arm, "abc")
    assert "nextLink" not in (await arm.call("GET", WIDGETS, version="2026-02-01")).json()


async def test_pages_stay_right_while_items_come_and_go(arm: Arm) -> None:
    await fleet(arm)
    first = (await arm.call("GET", WIDGETS, version="2026-02-01")).json()
    async with arm.plane.store.unit() as unit:
        for name in "acd":
            unit.delete("resources", widget_path(name).lower())
    await arm.widget("bb")
    await arm.widget("dd")
    second = (await arm.call("GET", first["nextLink"])).json()
    assert [item["name"] for item in second["value"]] == ["dd", "e", "f"]


async def test_top_limits_a_page_and_stays_in_the_link(arm: Arm) -> None:
    await fleet(arm)
    body = (await arm.call("GET", f"{WIDGETS}?$top=2", version="2026-02-01")).json()
    assert len(body["value"]) == 2
    assert "%24top=2" in body["nextLink"]
    assert len((await arm.call("GET", f"{WIDGETS}?$top=1000", version="2026-02-01")).json()["value"]) == 3


@pytest.mark.parametrize("top", ["0", "-1", "x", "1.5", "٣", "9" * 30])
async def test_unusable_top_is_400(arm: Arm, top: str) -> None:
    await fleet(arm, "a")
    answer = await arm.call("GET", f"{WIDGETS}?$top={top}", version="2026-02-01")
    assert error(answer)[:2] == (400, "InvalidTopInQueryString")


@pytest.mark.parametrize("token", ["!!", "a", "%FF%FF", "8J-S"])
async def test_unusable_skip_token_is_400(arm: Arm, token: str) -> None:
    await fleet(arm, "a")
    answer = await arm.call("GET", f"{WIDGETS}?$skiptoken={token}", version="2026-02-01")
    assert error(answer)[:2] == (400, "InvalidSkipTokenInQueryString")


# -- limits --------------------------------------------------------------------------------------------------


async def test_headers_count_down_by_kind_and_principal(arm: Arm) -> None:
    arm.front._throttle = Throttle(lambda: 0.0)

    async def left(method: str, path: str, kind: str, who: str) -> int:
        headers = (await arm.call(method, path, who=who)).headers
        return int(headers[f"x-ms-ratelimit-remaining-subscription-{kind}"])

    groups = f"{SUB}/resourcegroups"
    await arm.grant("Reader", SUB)
    owner = "33333333-3333-4333-8333-333333333333"
    assert await left("GET", groups, "reads", owner) == 1_099
    assert await left("GET", groups, "reads", owner) == 1_098
    assert await left("GET", groups, "reads", OTHER) == 1_099
    assert await left("GET", groups, "global-reads", OTHER) == 16_496
    assert await left("DELETE", f"{groups}/none", "deletes", owner) == 799
    assert await left("PUT", f"{groups}/none", "writes", owner) == 799
    tenant = await arm.call("GET", "/subscriptions", version="2022-12-01")
    assert tenant.headers["x-ms-ratelimit-remaining-tenant-reads"] == "1099"


async def test_empty_bucket_is_429_with_a_true_retry_after(arm: Arm) -> None:
    now = [0.0]
    arm.front._throttle = Throttle(
        lambda: now[0], {kind: Limit(2, 0.25) for kind in ("reads", "writes", "deletes")}
    )
    groups = f"{SUB}/resourcegroups"
    for _ in range(2):
        assert (await arm.call("GET", groups)).status_code == 200
    refused = await arm.call("GET", groups)
    assert error(refused) == (
        429,
        "SubscriptionRequestsThrottled",
        (
            f"Number of requests for subscription '{SUBSCRIPTION}' and operation "
            f"'GET/{groups.strip('/').upper()}' exceeded the backend storage limit. "
            "Please try again after '4' seconds."
        ),
    )
    assert refused.headers["retry-after"] == "4"
    assert (await arm.call("PUT", f"{groups}/rg1", json={"location": "westeurope"})).status_code == 201
    now[0] = 4.0
    assert (await arm.call("GET", groups)).status_code == 200
    assert (await arm.call("GET", groups)).status_code == 429


def test_bucket_never_holds_more_than_its_size() -> None:
    now = [0.0]
    throttle = Throttle(lambda: now[0], {"reads": Limit(3, 100.0)})
    now[0] = 1_000_000.0
    left = [throttle.count("s", "p", "GET", "/")[0][1] for _ in range(3)]
    assert left == [b"2", b"1", b"0"]
