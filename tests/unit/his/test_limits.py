"""Rates on the bed's clock."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from arcbed_cloud.services.his.limits import HeartbeatRate, IdentityRate


@given(st.lists(st.floats(min_value=0, max_value=400), max_size=60))
def test_no_minute_and_no_hour_has_more_heartbeats_than_the_rate_allows(gaps):
    rate, now, allowed = HeartbeatRate(), 1_000_000.0, []
    for gap in gaps:
        now += gap
        if rate.allows("vm", "a", now):
            allowed.append(now)
    for start in allowed:
        for minutes in (1, 5):
            window = [at for at in allowed if start <= at < start + 60 * minutes]
            assert len(window) <= minutes + 1


@given(st.lists(st.floats(min_value=60, max_value=1_000), max_size=60))
def test_heartbeats_a_minute_apart_are_never_refused(gaps):
    rate, now = HeartbeatRate(), 0.0
    for gap in gaps:
        now += gap
        assert rate.allows("vm", "a", now)


def test_each_instance_has_its_own_rate_and_few_are_remembered():
    rate = HeartbeatRate()
    for number in range(100):
        assert rate.allows("vm", str(number), 0.0)
    assert len(rate._arrivals["vm"]) <= 4
    rate.forget("vm")
    assert rate._arrivals == {}


@given(st.lists(st.integers(min_value=0, max_value=2_000), max_size=40))
def test_never_more_than_six_identities_in_an_hour_and_the_wait_is_right(gaps):
    rate, now, allowed = IdentityRate(), 0.0, []
    for gap in gaps:
        now += gap
        wait = rate.wait("vm", now)
        if wait == 0:
            allowed.append(now)
            assert len([at for at in allowed if at > now - 3_600]) <= 6
        else:
            assert len([at for at in allowed if at > now - 3_600]) == 6
            assert len([at for at in allowed if at > now + wait - 3_600]) < 6
