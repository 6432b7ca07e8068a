"""What a movement crosses: each crossing once, whatever comes between."""

from collections.abc import Iterable, Sequence

import pytest
from hypothesis import given, strategies as st

from inventory_api.domain.alerts import (
    LOW,
    OUT,
    rearm_point,
    show_crossings,
    show_state,
    state_after,
    state_of,
)
from inventory_api.domain.stock import change_terms, move
from inventory_api.domain.types import Level
from tests.stock_factory import key

MARGIN = 10


def with_point(level: Level, reorder_point: int | None) -> Level:
    rearm_at = rearm_point(reorder_point, MARGIN)
    return level._replace(reorder_point=reorder_point, rearm_at=rearm_at)


def told(level: Level, deltas: Iterable[int]) -> list[list[str]]:
    """The alerts of adjustments one after the other."""
    found = []
    for delta in deltas:
        level, change = move(level, delta, "adjust", "correction")
        found.append(show_crossings(change.alerts))
    return found


def stocked(on_hand: int, reorder_point: int | None = None) -> Level:
    return with_point(Level(*key(), on_hand, version=1, seq=1), reorder_point)


def test_a_thousand_sales_below_the_reorder_point_are_one_low() -> None:
    assert told(stocked(5_000, 2_000), [-2_999, -1, *[-1] * 1_000]) == [
        [],
        ["low"],
        *[[] for _ in range(1_000)],
    ]


def test_low_is_told_again_only_after_the_margin() -> None:
    assert told(stocked(100, 50), [-50, 4, -4, 5, -5]) == [["low"], [], [], [], ["low"]]


def test_the_margin_is_one_unit_at_least() -> None:
    assert told(stocked(4, 3), [-1, 1, -1]) == [["low"], [], ["low"]]


@pytest.mark.parametrize(
    ("point", "percent", "wanted"),
    [(None, 10, None), (0, 10, 1), (3, 10, 4), (11, 10, 13), (50, 10, 55), (50, 0, 51)],
)
def test_the_margin_is_a_share_of_the_point_rounded_up(
    point: int | None, percent: int, wanted: int | None
) -> None:
    assert rearm_point(point, percent) == wanted


def test_without_the_margin_s_end_one_unit_above_the_point_is_enough() -> None:
    level = stocked(4)._replace(reorder_point=3)

    assert told(level, [-1, 1, -1]) == [["low"], [], ["low"]]


def test_the_last_unit_is_out_and_the_next_one_is_back() -> None:
    assert told(stocked(2), [-1, -1, 0, 3, -3]) == [[], ["out"], [], ["back"], ["out"]]


def test_one_movement_can_be_low_and_out_and_coming_back_is_not_low_again() -> None:
    assert told(stocked(20, 10), [-20, 5, 6]) == [["low", "out"], ["back"], []]


def test_a_level_that_never_had_stock_is_not_back_when_it_gets_some() -> None:
    assert told(Level(*key()), [0, 5]) == [[], []]


def test_a_fact_that_leaves_less_than_is_promised_is_oversold_once() -> None:
    level = stocked(10)._replace(reserved=8)

    assert told(level, [-4, -1, 3, -2]) == [["out", "oversold"], [], [], ["oversold"]]


def test_a_hold_that_takes_the_last_unit_is_out_and_its_end_is_back() -> None:
    held, taken = move(stocked(3), 0, "reserve", "sale", reserved=3)
    _, ended = move(held, 0, "expire", "sale", reserved=-3)

    assert show_crossings(taken.alerts) == ["out"]
    assert show_crossings(ended.alerts) == ["back"]


@pytest.mark.parametrize(
    ("wanted", "alerts"),
    [
        ({"reorder_point": 10}, ["low"]),
        ({"reorder_point": 9}, []),
        ({"safety_stock": 10}, ["out"]),
        ({"safety_stock": 11}, ["out", "oversold"]),
        ({"safety_stock": 11, "backorder_limit": None}, ["out"]),
        ({"reorder_point": 10, "safety_stock": 10}, ["low", "out"]),
    ],
    ids=str,
)
def test_a_policy_crosses_in_its_own_movement(wanted: dict[str, int], alerts: list[str]) -> None:
    before = stocked(10)
    after = before._replace(**wanted)  # type: ignore[arg-type]  # units by name

    level, change = change_terms(before, with_point(after, after.reorder_point))

    assert show_crossings(change.alerts) == alerts
    assert (change.type, change.d_on_hand, level.version) == ("policy", 0, 2)


def test_taking_the_reorder_point_away_ends_low_and_setting_it_again_tells_anew() -> None:
    low, _ = change_terms(stocked(5), stocked(5, 5))
    without, taken = change_terms(low, with_point(low, None))
    _, set_again = change_terms(without, with_point(without, 5))

    assert (show_state(low.alert), show_state(without.alert)) == ("low", "ok")
    assert (show_crossings(taken.alerts), show_crossings(set_again.alerts)) == ([], ["low"])


def test_less_backorder_can_oversell_without_a_unit_moving() -> None:
    before = stocked(0)._replace(backorder_limit=5, committed=3)

    _, change = change_terms(before, before._replace(backorder_limit=2))

    assert show_crossings(change.alerts) == ["oversold"]


def test_what_was_recorded_without_alerts_is_told_by_its_balance() -> None:
    assert state_after(None, 5, 5) == LOW
    assert state_after(None, 0, None) == OUT
    assert state_after(None, 6, 5) == 0
    assert show_crossings(None) == []


Step = tuple[str, int]
steps = st.lists(
    st.one_of(
        st.tuples(st.just("move"), st.integers(-12, 12)),
        st.tuples(st.just("hold"), st.integers(-4, 4)),
        st.tuples(st.just("safety_stock"), st.integers(0, 6)),
        st.tuples(st.just("reorder_point"), st.integers(-1, 15)),
        st.tuples(st.just("backorder_limit"), st.integers(-1, 5)),
    ),
    max_size=40,
)


def replayed(history: Sequence[tuple[int, int | None, int | None]]) -> list[list[str]]:
    """The alerts of `(available, point, limit)` after each step, from the words of the contract."""
    found = []
    for number, (available, point, limit) in enumerate(history):
        before = history[:number]
        was, was_limit = (before[-1][0], before[-1][2]) if before else (0, 0)
        words = []
        if point is not None and available <= point and not _is_armed_low(before):
            words.append("low")
        if available <= 0 < was:
            words.append("out")
        if available > 0 >= was and any(one > 0 for one, _, _ in before):
            words.append("back")
        if _is_short(available, limit) and not _is_short(was, was_limit):
            words.append("oversold")
        found.append(words)
    return found


def with_terms(level: Level, name: str, value: int | None) -> Level:
    return level._replace(**{name: value})  # type: ignore[arg-type]  # units by name


def _is_armed_low(before: Sequence[tuple[int, int | None, int | None]]) -> bool:
    """Whether, going back, a step at or below its point comes before one that ended it."""
    for available, point, _ in reversed(before):
        if point is None or available >= point + max(1, -(-point * MARGIN // 100)):
            return False
        if available <= point:
            return True
    return False


def _is_short(available: int, limit: int | None) -> bool:
    return limit is not None and available < -limit


@given(steps)
def test_the_crossings_are_those_of_a_replay(chosen: list[Step]) -> None:
    level, found, history = Level(*key()), [], []
    for kind, value in chosen:
        if kind == "move":
            level, change = move(level, max(value, -level.on_hand), "adjust", "correction")
        elif kind == "hold":
            held = max(value, -level.reserved)
            level, change = move(level, 0, "reserve", "sale", reserved=held)
        else:
            terms = with_terms(level, kind, None if value < 0 else value)
            level, change = change_terms(level, with_point(terms, terms.reorder_point))
        found.append(show_crossings(change.alerts))
        history.append((level.available, level.reorder_point, level.backorder_limit))
        assert state_of(change.alerts) == level.alert

    assert found == replayed(history)
