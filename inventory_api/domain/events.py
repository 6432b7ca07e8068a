"""What the ledger tells the outside: the events of its movements and operations, in its order.

They are made from the ledger alone, which never changes: the same movement gives the same events
with the same ids and the same content whenever and wherever it is read. Each movement is a
`level.changed`, and one more event for each alert that it crossed. What an operation did to a
reservation, a transfer or a count is one event, however many lines it had; it stands at the
operation's first movement, before that movement's own events. So a reader that begins in the
middle of an operation has either passed its event or not come to it.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

from inventory_api.domain.alerts import show_crossings
from inventory_api.domain.catalog import rfc3339, show_movement
from inventory_api.domain.types import Instant, Movement, Operation

Shown = dict[str, Any]  # Any: JSON values

DOCUMENT_TYPES: Final = (
    "reservation.created",
    "reservation.changed",
    "reservation.confirmed",
    "reservation.fulfilled",
    "reservation.released",
    "reservation.expired",
    "transfer.completed",
    "transfer.shipped",
    "transfer.received",
    "transfer.cancelled",
    "count.posted",
)
LEVEL_TYPES: Final = ("level.changed", "level.low", "level.out", "level.back", "level.oversold")
EVENT_TYPES: Final = (*DOCUMENT_TYPES, *LEVEL_TYPES)
TEST_TYPE: Final = "webhook.test"
RANKS: Final = {name: rank for rank, name in enumerate(EVENT_TYPES)}
"""The order of the events of one movement."""
RANK_MAX: Final = len(EVENT_TYPES)
"""Behind all events of a movement."""
LINES_MAX: Final = 100
"""Movements that an event about an operation shows: some 30 KiB, which any receiver takes."""

# What an operation is called, as an event; a receipt or a cancellation may be of an inbound.
_OF_OPERATION = {
    "confirm": "reservation.confirmed",
    "fulfill": "reservation.fulfilled",
    "release": "reservation.released",
    "expire": "reservation.expired",
    "transfer": "transfer.completed",
    "ship": "transfer.shipped",
    "receive": "transfer.received",
    "cancel": "transfer.cancelled",
    "count": "count.posted",
}
_OF_INBOUND = frozenset({"receive", "cancel"})
# Of movements whose operation is no document: most of a ledger.
_PLAIN = frozenset({"adjust", "policy", "receive"})


class Position(NamedTuple):
    """How far events have been told: all up to the one of this rank of this movement."""

    seq: int
    rank: int


class Event(NamedTuple):
    """One thing that happened; `rank` orders the events of a movement."""

    seq: int
    rank: int
    type: str
    recorded_at: Instant
    data: Shown

    @property
    def id(self) -> str:
        """The same for the same event, for ever."""
        return f"evt_{self.seq}_{self.type}"

    @property
    def position(self) -> Position:
        return Position(self.seq, self.rank)

    @property
    def body(self) -> Shown:
        """What a receiver gets."""
        return {
            "id": self.id,
            "type": self.type,
            "timestamp": rfc3339(self.recorded_at),
            "data": self.data,
        }


def may_begin(movement: Movement) -> bool:
    """Whether a movement may be of an operation that has an event; its operation tells."""
    return movement.type not in _PLAIN


def type_of(operation: Operation, first: Movement) -> str | None:
    """Which event an operation with such a first movement has; None: none."""
    if operation.type == "reserve":
        # A reservation has the id of the operation that made it.
        is_new = first.reservation_id == operation.id
        return "reservation.created" if is_new else "reservation.changed"
    if operation.type in _OF_INBOUND and operation.reason != "transfer":
        return None
    return _OF_OPERATION.get(operation.type)


def level_events(movement: Movement, wanted: frozenset[str]) -> Iterator[Event]:
    """The events of one movement, of the types that are wanted."""
    types = ("level.changed", *(f"level.{name}" for name in show_crossings(movement.alerts)))
    if wanted.isdisjoint(types):
        return
    data = {"movement": show_movement(movement), "before": _before(movement)}
    for name in types:
        if name in wanted:
            yield Event(movement.seq, RANKS[name], name, movement.recorded_at, data)


def document_event(
    operation: Operation, first: Movement, lines: Sequence[Movement]
) -> Event | None:
    """The event of an operation; None if it has none.

    `lines` are its movements in order, or as many of them as an event shows.
    """
    name = type_of(operation, first)
    if name is None:
        return None
    data: Shown = {
        "operation_id": operation.id,
        "reason": operation.reason,
        "reference": operation.reference,
        "note": operation.note,
        "actor": operation.actor,
        "reservation_id": first.reservation_id,
        "occurred_at": rfc3339(operation.occurred_at),
        "recorded_at": rfc3339(operation.recorded_at),
        "first_seq": operation.first_seq,
        "last_seq": operation.last_seq,
        "line_count": operation.last_seq - operation.first_seq + 1,
        "lines": [_line(one) for one in lines[:LINES_MAX]],
    }
    return Event(operation.first_seq, RANKS[name], name, operation.recorded_at, data)


def _before(movement: Movement) -> Shown:
    return {
        "on_hand": movement.on_hand - movement.d_on_hand,
        "reserved": movement.reserved - movement.d_reserved,
        "committed": movement.committed - movement.d_committed,
        "incoming": movement.incoming - movement.d_incoming,
    }


def _line(movement: Movement) -> Shown:
    shown = show_movement(movement)
    names = ("seq", "type", "sku", "location", "level_version", "delta", "after", "oversold_by")
    return {name: shown[name] for name in names}
