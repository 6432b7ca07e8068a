"""How values are shown."""

from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given, strategies as st

from inventory_api.domain.alerts import LOW, OUT, STATE_SHIFT
from inventory_api.domain.catalog import (
    instant_of,
    rfc3339,
    show_item,
    show_level,
    show_location,
    show_movement,
    show_operation,
)
from inventory_api.domain.types import Instant, Movement, Operation
from tests.stock_factory import P001, STORE, item, level, location

INSTANTS = st.integers(0, 10**16).map(Instant)


@pytest.mark.parametrize(
    ("instant", "text"),
    [
        (0, "1970-01-01T00:00:00.000000Z"),
        (1, "1970-01-01T00:00:00.000001Z"),
        (1_700_000_000_000_000, "2023-11-14T22:13:20.000000Z"),
        (4_102_444_799_999_999, "2099-12-31T23:59:59.999999Z"),
    ],
)
def test_a_time_is_shown_in_utc_with_six_decimals(instant: int, text: str) -> None:
    assert rfc3339(Instant(instant)) == text


@given(INSTANTS)
def test_a_time_survives_being_shown_and_read(instant: Instant) -> None:
    assert instant_of(datetime.fromisoformat(rfc3339(instant))) == instant


def test_a_time_in_another_zone_is_the_same_instant() -> None:
    zone = timezone(timedelta(hours=8))

    assert instant_of(datetime(1970, 1, 1, 8, 0, 1, tzinfo=zone)) == 1_000_000


def test_an_item_shows_its_exact_price() -> None:
    shown = show_item(item("P001")._replace(amount="5999.00"), {"colour": "grey"})

    assert shown["unit_price"] == {"amount": "5999.00", "currency": "CNY"}
    assert shown["attributes"] == {"colour": "grey"}


def test_an_item_without_a_price_says_so() -> None:
    assert show_item(item("P001")._replace(amount=None), {})["unit_price"] is None


def test_a_location_says_whether_it_is_sellable_in_json_s_words() -> None:
    assert show_location(location("main", sellable=True))["sellable"] is True
    assert show_location(location("quarantine", sellable=False))["sellable"] is False


def test_a_level_shows_its_balances_and_its_policy() -> None:
    shown = show_level(level(10, reserved=3, safety_stock=2, backorder_limit=None, version=7))

    assert shown == {
        "sku": "P001",
        "location": "main",
        "on_hand": 10,
        "reserved": 3,
        "committed": 0,
        "safety_stock": 2,
        "incoming": 0,
        "available": 5,
        "version": 7,
        "backorder_limit": None,
        "reorder_point": None,
        "reorder_to": None,
        "alert": "ok",
    }


def test_a_movement_shows_deltas_and_balances_side_by_side() -> None:
    movement = Movement(
        seq=18,
        recorded_at=Instant(2),
        operation_id="op-1",
        actor="local",
        reference="order:1",
        occurred_at=Instant(1),
        type="adjust",
        sku=P001,
        location=STORE,
        level_version=4,
        d_on_hand=-2,
        d_reserved=1,
        d_committed=0,
        d_incoming=0,
        on_hand=48,
        reserved=1,
        committed=0,
        incoming=0,
        available=47,
        reason="sale",
        oversold_by=0,
        line_id="till-1",
        reservation_id=None,
        alerts=LOW | OUT << STATE_SHIFT,
    )

    shown = show_movement(movement)

    assert shown["delta"] == {"on_hand": -2, "reserved": 1, "committed": 0, "incoming": 0}
    assert shown["after"] == {
        "on_hand": 48,
        "reserved": 1,
        "committed": 0,
        "incoming": 0,
        "available": 47,
    }
    assert shown["alerts"] == ["low"]
    assert (shown["seq"], shown["level_version"], shown["line_id"]) == (18, 4, "till-1")
    assert shown["recorded_at"] == "1970-01-01T00:00:00.000002Z"
    assert shown["occurred_at"] == "1970-01-01T00:00:00.000001Z"


def test_an_operation_shows_the_numbers_of_its_movements() -> None:
    operation = Operation(
        *("op-1", Instant(1), "local", "k", "adjust", "atomic", "sale", "order:1", None),
        *(Instant(1), 18, 19, 2, 0),
    )

    shown = show_operation(operation)

    assert (shown["first_seq"], shown["last_seq"], shown["applied"]) == (18, 19, 2)
    assert shown["recorded_at"] == "1970-01-01T00:00:00.000001Z"
