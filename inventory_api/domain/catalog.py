"""What is stocked and where: the catalogue's values and how they are shown."""

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, NamedTuple

from inventory_api.domain.alerts import show_crossings, show_state
from inventory_api.domain.types import Instant, Level, Movement, Operation, Recipe

Shown = dict[str, Any]  # Any: JSON values
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
LOCATION_KINDS = ("warehouse", "store", "supplier", "transit")


class Item(NamedTuple):
    """A row of the item table, in the order of its columns; `attributes` is JSON text."""

    sku: str
    name: str
    barcode: str | None
    amount: str | None
    currency: str | None
    attributes: str
    status: str
    version: int
    created_at: Instant
    updated_at: Instant


class Location(NamedTuple):
    """A row of the location table, in the order of its columns."""

    code: str
    name: str
    kind: str
    sellable: int
    priority: int
    status: str
    version: int
    created_at: Instant
    updated_at: Instant


# A batch's movements share their times, so the last few are asked for again and again.
@lru_cache(maxsize=1024)
def rfc3339(instant: Instant) -> str:
    """A time as text: UTC, six decimals, `Z`."""
    moment = _EPOCH + timedelta(microseconds=instant)
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")


def instant_of(moment: datetime) -> Instant:
    """Microseconds of an aware time; the inverse of `rfc3339`."""
    return Instant((moment - _EPOCH) // timedelta(microseconds=1))


def show_location(location: Location) -> Shown:
    """The shape of a location in answers."""
    return {
        **location._asdict(),
        "sellable": bool(location.sellable),
        "created_at": rfc3339(location.created_at),
        "updated_at": rfc3339(location.updated_at),
    }


def show_item(item: Item, attributes: Shown, recipe: Recipe = ()) -> Shown:
    """The shape of an item in answers; `attributes` are those of the item, parsed.

    `recipe` has the components of a kit.
    """
    price = None
    if item.amount is not None:
        price = {"amount": item.amount, "currency": item.currency}
    return {
        "sku": item.sku,
        "name": item.name,
        "barcode": item.barcode,
        "unit_price": price,
        "attributes": attributes,
        "components": show_components(recipe),
        "status": item.status,
        "version": item.version,
        "created_at": rfc3339(item.created_at),
        "updated_at": rfc3339(item.updated_at),
    }


def show_components(recipe: Recipe) -> list[Shown]:
    """The shape of a kit's components in answers."""
    return [{"sku": sku, "quantity": quantity} for sku, quantity in recipe]


def show_level(level: Level) -> Shown:
    """The shape of a level in answers, with its policy."""
    return {
        "sku": level.sku,
        "location": level.location,
        "on_hand": level.on_hand,
        "reserved": level.reserved,
        "committed": level.committed,
        "safety_stock": level.safety_stock,
        "incoming": level.incoming,
        "available": level.available,
        "version": level.version,
        "backorder_limit": level.backorder_limit,
        "reorder_point": level.reorder_point,
        "reorder_to": level.reorder_to,
        "alert": show_state(level.alert),
    }


def show_movement(movement: Movement) -> Shown:
    """The shape of a movement in answers, exports and the feed."""
    return {
        "seq": movement.seq,
        "operation_id": movement.operation_id,
        "type": movement.type,
        "sku": movement.sku,
        "location": movement.location,
        "level_version": movement.level_version,
        "delta": {
            "on_hand": movement.d_on_hand,
            "reserved": movement.d_reserved,
            "committed": movement.d_committed,
            "incoming": movement.d_incoming,
        },
        "after": {
            "on_hand": movement.on_hand,
            "reserved": movement.reserved,
            "committed": movement.committed,
            "incoming": movement.incoming,
            "available": movement.available,
        },
        "reason": movement.reason,
        "reference": movement.reference,
        "actor": movement.actor,
        "reservation_id": movement.reservation_id,
        "line_id": movement.line_id,
        "oversold_by": movement.oversold_by,
        "alerts": show_crossings(movement.alerts),
        "occurred_at": rfc3339(movement.occurred_at),
        "recorded_at": rfc3339(movement.recorded_at),
    }


def show_operation(operation: Operation) -> Shown:
    """The shape of an operation in answers."""
    return {
        **operation._asdict(),
        "occurred_at": rfc3339(operation.occurred_at),
        "recorded_at": rfc3339(operation.recorded_at),
    }
