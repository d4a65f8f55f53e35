"""Who counts as a clone."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from arcbed_cloud.services.his.clones import Voices


def hear(*spoken):
    voices = Voices()
    for instance, at in spoken:
        voices = voices.heard(instance, at)
    return voices


def test_third_turn_within_ten_minutes_makes_a_clone():
    spoken = [("a", 0.0), ("b", 100.0), ("a", 300.0), ("b", 400.0)]
    assert not hear(*spoken[:3]).cloned(300.0)
    voices = hear(*spoken)
    assert voices.cloned(400.0)
    assert voices.is_younger("b")
    assert not voices.is_younger("a")


def test_turns_more_than_ten_minutes_apart_do_not_count():
    voices = hear(("a", 0.0), ("b", 601.0), ("a", 1_300.0), ("b", 2_000.0), ("a", 2_700.0))
    assert not voices.cloned(2_700.0)


def test_clone_is_over_fifteen_minutes_after_the_last_turn():
    voices = hear(("a", 0.0), ("b", 1.0), ("a", 2.0), ("b", 3.0))
    assert voices.cloned(902.0)
    assert not voices.cloned(903.0)
    later = voices.heard("b", 1_000.0)
    assert later.turns == 0


@given(st.lists(st.floats(min_value=0, max_value=900), min_size=1, max_size=50))
def test_one_instance_that_follows_another_for_good_is_never_a_clone(gaps):
    """Each start of himds is heard once or more, and none comes back."""
    voices, now = Voices(), 0.0
    for number, gap in enumerate(gaps):
        now += gap
        voices = voices.heard(str(number // 2), now)
        assert not voices.cloned(now)


@given(st.lists(st.tuples(st.sampled_from("abcdefg"), st.floats(min_value=0, max_value=900)), max_size=50))
def test_voices_survive_being_stored_and_stay_small(spoken):
    voices, now = Voices(), 0.0
    for instance, gap in spoken:
        now += gap
        voices = voices.heard(instance, now).accepted(instance, 1)
        assert Voices.read(voices.write()) == voices
        assert len(voices.instances) <= 4
        assert voices.instances[-1].id == instance
