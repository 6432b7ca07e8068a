"""What one line may do to one level."""

import pytest

from inventory_api.domain.alerts import OUT, STATE_SHIFT
from inventory_api.domain.rejections import Code
from inventory_api.domain.stock import guard, move, shortage
from inventory_api.domain.types import UNITS_MAX
from tests.stock_factory import level


@pytest.mark.parametrize("is_fact", [False, True], ids=["request", "fact"])
def test_the_last_unit_can_be_taken_and_no_more(is_fact: bool) -> None:
    stock = level(3)

    assert guard(stock, -3, is_fact=is_fact) is None
    refusal = guard(stock, -4, is_fact=is_fact)

    assert refusal is not None
    assert refusal.code is Code.INSUFFICIENT_STOCK
    assert refusal.facts["shortage"] == 1


@pytest.mark.parametrize(
    "stock",
    [
        level(10, reserved=8),
        level(10, committed=8),
        level(10, safety_stock=8),
        level(10, reserved=3, committed=3, safety_stock=2),
    ],
    ids=["reserved", "committed", "safety_stock", "all_three"],
)
def test_a_request_leaves_what_is_promised_and_a_fact_does_not(stock: object) -> None:
    assert isinstance(stock, type(level(0)))
    assert stock.available == 2

    assert guard(stock, -2, is_fact=False) is None
    assert guard(stock, -3, is_fact=False) is not None
    assert guard(stock, -10, is_fact=True) is None
    assert guard(stock, -11, is_fact=True) is not None


@pytest.mark.parametrize(
    ("limit", "most"), [(0, 4), (3, 7), (6, 10), (100, 10), (None, 10)], ids=str
)
def test_a_request_may_dip_into_promises_by_the_backorder_limit_and_never_below_the_shelf(
    limit: int | None, most: int
) -> None:
    stock = level(10, reserved=6, backorder_limit=limit)

    assert guard(stock, -most, is_fact=False) is None
    refusal = guard(stock, -most - 1, is_fact=False)

    assert refusal is not None
    assert refusal.facts["shortage"] == 1


def test_a_receipt_is_accepted_where_promises_already_exceed_the_stock() -> None:
    oversold = level(0, reserved=5)

    assert guard(oversold, 1, is_fact=False) is None


def test_nothing_changes_on_a_level_is_never_refused() -> None:
    assert guard(level(0, reserved=5), 0, is_fact=False) is None


def test_a_level_holds_the_maximum_and_not_one_unit_more() -> None:
    nearly_full = level(UNITS_MAX - 1)

    assert guard(nearly_full, 1, is_fact=False) is None
    refusal = guard(nearly_full, 2, is_fact=True)

    assert refusal is not None
    assert refusal.code is Code.QUANTITY_OUT_OF_RANGE
    assert refusal.facts == {"on_hand": UNITS_MAX - 1, "maximum": UNITS_MAX}


def test_a_shortage_tells_requested_available_and_missing_units() -> None:
    refusal = shortage(level(10, reserved=6), 9, is_fact=False)

    assert refusal.facts == {
        "requested": 9,
        "on_hand": 10,
        "available": 4,
        "shortage": 5,
        "elsewhere": [],
        "next_available_at": None,
    }


def test_the_shortage_of_an_oversold_level_is_all_that_was_requested() -> None:
    refusal = shortage(level(2, reserved=5), 4, is_fact=False)

    assert (refusal.facts["available"], refusal.facts["shortage"]) == (-3, 4)


def test_the_shortage_of_a_fact_counts_from_the_shelf() -> None:
    refusal = shortage(level(10, reserved=10), 12, is_fact=True)

    assert (refusal.facts["available"], refusal.facts["shortage"]) == (0, 2)


def test_a_movement_carries_its_delta_and_every_balance_after_it() -> None:
    stock = level(10, reserved=2, committed=1, safety_stock=3, version=7)

    after, change = move(stock, -4, "adjust", "sale", "till-9")

    assert after == stock._replace(on_hand=6, version=8, alert=OUT)
    assert change._asdict() == {
        "type": "adjust",
        "sku": "P001",
        "location": "main",
        "level_version": 8,
        "d_on_hand": -4,
        "d_reserved": 0,
        "d_committed": 0,
        "d_incoming": 0,
        "on_hand": 6,
        "reserved": 2,
        "committed": 1,
        "incoming": 0,
        "available": 0,
        "reason": "sale",
        "oversold_by": 0,
        "line_id": "till-9",
        "reservation_id": None,
        "alerts": OUT | OUT << STATE_SHIFT,
    }


@pytest.mark.parametrize(("limit", "oversold_by"), [(0, 5), (2, 3), (5, 0), (None, 0)], ids=str)
def test_a_fact_that_leaves_too_little_says_by_how_much(
    limit: int | None, oversold_by: int
) -> None:
    stock = level(8, reserved=8, backorder_limit=limit)

    _, change = move(stock, -5, "adjust", "damaged", None)

    assert change.available == -5
    assert change.oversold_by == oversold_by


def test_a_receipt_says_how_much_is_still_oversold() -> None:
    _, change = move(level(0, reserved=8), 6, "adjust", "received", None)

    assert change.oversold_by == 2


def test_policies_outlive_a_movement() -> None:
    stock = level(1)._replace(
        safety_stock=1, backorder_limit=None, reorder_point=4, reorder_to=9, rearm_at=5
    )

    after, _ = move(stock, 1, "adjust", "received", None)

    assert after._replace(alert=0)[8:] == stock[8:]


@pytest.mark.parametrize("delta", [-2, UNITS_MAX], ids=["below_zero", "above_the_maximum"])
def test_a_movement_that_no_guard_has_seen_is_a_defect(delta: int) -> None:
    with pytest.raises(AssertionError):
        move(level(1), delta, "adjust", "sale", None)
