"""What is ordered for what was sold."""

import math
import statistics

import pytest
from hypothesis import given, strategies as st

from inventory_api.domain.replenishment import (
    UNITS,
    Demand,
    Terms,
    classify,
    propose,
    reorder_point,
)
from inventory_api.domain.types import UNITS_MAX
from tests.stock_factory import level

TERMS = Terms(service_level=0.95, lead_time_days=9, lead_time_deviation_days=0, review_days=5)


def demand(*daily: int) -> Demand:
    return Demand(len(daily), sum(daily), float(sum(units * units for units in daily)))


@given(st.lists(st.integers(0, 10_000), min_size=2, max_size=100))
def test_mean_and_deviation_are_those_of_the_days(daily: list[int]) -> None:
    found = demand(*daily)

    assert found.mean == pytest.approx(statistics.mean(daily))
    assert found.deviation == pytest.approx(statistics.stdev(daily), abs=1e-3)


def test_one_day_has_no_deviation() -> None:
    assert demand(7).deviation == 0


def test_steady_demand_needs_no_margin_and_no_unit_more_by_rounding() -> None:
    assert reorder_point(demand(*[1] * 30), TERMS) == 9
    assert reorder_point(Demand(30, 3, 0.3), Terms(0.5, 10, 0, 5)) == 1


def test_a_lead_time_that_varies_needs_more() -> None:
    steady = demand(*[10] * 30)
    varying = Terms(0.95, 9, 2, 5)

    # 90, and 1.6449 * 10 * 2.
    assert reorder_point(steady, varying) == math.ceil(90 + 32.898)


@given(
    st.lists(st.integers(0, 1_000), min_size=2, max_size=40),
    st.floats(0.5, 0.99),
    st.floats(0.5, 0.99),
)
def test_more_service_is_never_a_lower_point(daily: list[int], one: float, other: float) -> None:
    low, high = sorted((one, other))

    assert reorder_point(demand(*daily), Terms(low, 9, 1, 5)) <= reorder_point(
        demand(*daily), Terms(high, 9, 1, 5)
    )


@pytest.mark.parametrize(
    ("on_hand", "incoming", "quantity"),
    [(10, 0, 0), (9, 0, 5), (9, 1, 0), (0, 0, 14), (0, 9, 5), (0, 14, 0)],
    ids=["above", "at", "covered", "empty", "coming", "all coming"],
)
def test_what_is_due_is_ordered_up_to_the_review_period(
    on_hand: int, incoming: int, quantity: int
) -> None:
    stock = level(on_hand)._replace(incoming=incoming)

    found = propose(stock, demand(*[1] * 30), TERMS, None)

    assert (found.reorder_point, found.order_up_to, found.quantity) == (9, 14, quantity)


def test_what_is_promised_beyond_the_stock_is_ordered_too() -> None:
    short = level(0, committed=6, backorder_limit=None)

    assert propose(short, demand(*[1] * 30), TERMS, None).quantity == 20


def test_no_quantity_is_beyond_what_can_be_stocked() -> None:
    huge = demand(UNITS_MAX, UNITS_MAX)

    found = propose(level(0, committed=5), huge, TERMS, None)

    assert (found.reorder_point, found.order_up_to, found.quantity) == (UNITS_MAX,) * 3


def test_nothing_sold_and_no_point_is_due_only_when_there_is_nothing_and_then_nothing() -> None:
    found = propose(level(0), Demand(30), TERMS, None)

    assert (found.quantity, found.days_of_cover) == (0, None)


@pytest.mark.parametrize(
    ("units", "wanted"), [(50, "A"), (49, "B"), (10, "B"), (9, "C"), (0, "C")], ids=str
)
def test_classes_end_at_their_borders(units: int, wanted: str) -> None:
    assert classify(units, None, None, {UNITS: (50.0, 10.0)}) == wanted


def test_values_are_compared_within_their_currency() -> None:
    classes = {"EUR": (100.0, 10.0), "JPY": (10_000.0, 1_000.0)}

    assert classify(100, "1.00", "EUR", classes) == "A"
    assert classify(100, "1.00", "JPY", classes) == "C"
    assert classify(100, "1.00", "USD", classes) == "C"
    assert classify(100, None, None, classes) is None
    assert classify(100, "1.00", "EUR", None) is None
