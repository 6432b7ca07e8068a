"""The events of the ledger: the same wherever one begins to read."""

import orjson
import pytest

from inventory_api.domain.catalog import show_movement
from inventory_api.domain.events import (
    DOCUMENT_TYPES,
    EVENT_TYPES,
    LINES_MAX,
    RANK_MAX,
    Position,
    document_event,
    level_events,
    may_begin,
    type_of,
)
from inventory_api.domain.types import SKU, Instant, LocationCode, Movement, Operation

EVERY = frozenset(EVENT_TYPES)


def movement(seq: int = 7, kind: str = "adjust", **fields: object) -> Movement:
    values: dict[str, object] = {
        **dict.fromkeys(Movement._fields, 0),
        "seq": seq,
        "recorded_at": Instant(1_700_000_000_000_000),
        "occurred_at": Instant(1_700_000_000_000_000),
        "operation_id": "op",
        "actor": "till",
        "reference": None,
        "type": kind,
        "sku": SKU("P001"),
        "location": LocationCode("main"),
        "level_version": 3,
        "d_on_hand": -2,
        "on_hand": 5,
        "available": 5,
        "reason": "sale",
        "line_id": None,
        "reservation_id": None,
    }
    return Movement(**values | fields)  # type: ignore[arg-type]  # values of columns


def operation(kind: str, *, reason: str = "sale", seqs: tuple[int, int] = (7, 7)) -> Operation:
    at = Instant(1_700_000_000_000_000)
    return Operation(
        "op", at, "till", None, kind, "atomic", reason, "order:1", None, at, *seqs, 1, 0
    )


def test_a_movement_is_one_event_and_each_alert_one_more() -> None:
    events = list(level_events(movement(alerts=1 | 8), EVERY))

    assert [one.id for one in events] == [
        "evt_7_level.changed",
        "evt_7_level.low",
        "evt_7_level.oversold",
    ]
    assert events[0].data["movement"] == show_movement(movement(alerts=1 | 8))
    assert events[0].data["before"] == {"on_hand": 7, "reserved": 0, "committed": 0, "incoming": 0}


def test_only_the_wanted_types_are_made() -> None:
    assert [one.type for one in level_events(movement(alerts=2), frozenset({"level.out"}))] == [
        "level.out"
    ]
    assert list(level_events(movement(), frozenset({"level.out"}))) == []


def test_a_movement_from_before_alerts_has_none() -> None:
    assert [one.type for one in level_events(movement(alerts=None), EVERY)] == ["level.changed"]


def test_the_same_movement_gives_the_same_bytes() -> None:
    first, second = (
        [orjson.dumps(one.body) for one in level_events(movement(alerts=15), EVERY)]
        for _ in range(2)
    )

    assert first == second


def test_the_events_of_a_movement_have_an_order_and_all_are_before_its_end() -> None:
    events = list(level_events(movement(alerts=15), EVERY))
    positions = [one.position for one in events]

    assert positions == sorted(positions)
    assert all(Position(6, RANK_MAX) < one < Position(7, RANK_MAX) for one in positions)


@pytest.mark.parametrize(
    ("kind", "reason", "wanted"),
    [
        ("confirm", "sale", "reservation.confirmed"),
        ("fulfill", "sale", "reservation.fulfilled"),
        ("release", "cancelled_sale", "reservation.released"),
        ("expire", "cancelled_sale", "reservation.expired"),
        ("transfer", "transfer", "transfer.completed"),
        ("transfer", "sample", "transfer.completed"),
        ("ship", "transfer", "transfer.shipped"),
        ("receive", "transfer", "transfer.received"),
        ("cancel", "transfer", "transfer.cancelled"),
        ("count", "cycle_count", "count.posted"),
        ("receive", "received", None),
        ("cancel", "correction", None),
        ("expect", "received", None),
        ("adjust", "sale", None),
        ("set", "cycle_count", None),
        ("policy", "policy", None),
    ],
)
def test_an_operation_is_called_by_what_it_did(kind: str, reason: str, wanted: str | None) -> None:
    assert type_of(operation(kind, reason=reason), movement()) == wanted


def test_a_reservation_is_new_if_the_operation_made_it() -> None:
    made = operation("reserve")

    assert type_of(made, movement(reservation_id="op")) == "reservation.created"
    assert type_of(made, movement(reservation_id="older")) == "reservation.changed"


def test_an_event_of_an_operation_shows_some_of_its_lines_and_counts_all() -> None:
    last = 7 + 3 * LINES_MAX
    lines = [movement(seq, "transfer_out") for seq in range(7, last + 1)]

    event = document_event(operation("transfer", seqs=(7, last)), lines[0], lines)

    assert event is not None
    assert event.id == "evt_7_transfer.completed"
    assert event.data["line_count"] == len(lines)
    assert [one["seq"] for one in event.data["lines"]] == list(range(7, 7 + LINES_MAX))
    assert event.position < next(level_events(lines[0], EVERY)).position


def test_sales_need_no_look_at_their_operation() -> None:
    assert not may_begin(movement(kind="adjust"))
    assert may_begin(movement(kind="transfer_out"))
    assert len(DOCUMENT_TYPES) + 5 == len(EVENT_TYPES)
