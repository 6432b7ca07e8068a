"""Whether a level has promised and expects what reservations and shipments say."""

from typing import Any

from sqlalchemy import ColumnElement, Select, func, literal_column, or_, select

from inventory_api.store.shipments import IS_OPEN
from inventory_api.store.tables import ALLOCATION, LEVEL, SHIPMENT, SHIPMENT_LINE

_LEVEL = LEVEL.c
_HELD_HERE = (ALLOCATION.c.sku == _LEVEL.sku) & (ALLOCATION.c.location == _LEVEL.location)


def _sum(units: ColumnElement[int]) -> Select[Any]:  # Any: the row of one sum
    return select(func.coalesce(func.sum(units), 0))


def _held(units: ColumnElement[int]) -> ColumnElement[int]:
    return _sum(units).where(_HELD_HERE).scalar_subquery()


def _is_forgotten() -> ColumnElement[bool]:
    is_earlier = ALLOCATION.c.expires_at < _LEVEL.next_expiry_at
    return (
        select(ALLOCATION.c.sku)
        .where(
            _HELD_HERE,
            ALLOCATION.c.held > literal_column("0"),
            or_(_LEVEL.next_expiry_at.is_(None), is_earlier),
        )
        .exists()
    )


def _expected() -> ColumnElement[int]:
    here = (SHIPMENT_LINE.c.sku == _LEVEL.sku) & (SHIPMENT_LINE.c.location == _LEVEL.location)
    return _sum(SHIPMENT_LINE.c.open).where(here, IS_OPEN).scalar_subquery()


def _under_way() -> ColumnElement[int]:
    return (
        _sum(SHIPMENT_LINE.c.open)
        .join(SHIPMENT, SHIPMENT.c.id == SHIPMENT_LINE.c.shipment_id)
        .where(SHIPMENT_LINE.c.sku == _LEVEL.sku, SHIPMENT.c.transit == _LEVEL.location, IS_OPEN)
        .scalar_subquery()
    )


PROMISES: dict[str, ColumnElement[bool]] = {
    "promises_differ": or_(
        _LEVEL.reserved != _held(ALLOCATION.c.held),
        _LEVEL.committed != _held(ALLOCATION.c.committed),
    ),
    "expiry_forgotten": _is_forgotten(),
    "incoming_differs": _LEVEL.incoming != _expected(),
    "transit_short": _LEVEL.on_hand < _under_way(),
}
"""When each of them holds, of a row of levels."""
