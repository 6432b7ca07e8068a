"""Commands about shipments, with all that a test does not care about filled in."""

from inventory_api.domain.shipment import (
    Announce,
    Arrival,
    Cancel,
    ExpectLine,
    Receive,
    ShipmentKind,
    Withdrawal,
)
from inventory_api.domain.types import SKU, Instant, LocationCode

TRANSIT = LocationCode("transit")


def expected(quantity: int, sku: str = "P001", location: str = "main") -> ExpectLine:
    return ExpectLine(SKU(sku), LocationCode(location), quantity)


def expect(*lines: ExpectLine, expected_at: int | None = None) -> Announce:
    at = None if expected_at is None else Instant(expected_at)
    return Announce(lines=lines, expected_at=at)


def ship(*lines: ExpectLine, source: str = "main", transit: str = TRANSIT) -> Announce:
    """From `main`, to the locations of the lines."""
    return Announce(lines=lines, source=LocationCode(source), transit=LocationCode(transit))


def receive(name: str, *lines: Arrival, of: ShipmentKind = "inbound") -> Receive:
    return Receive(id=name, of=of, lines=lines)


def cancel(name: str, *lines: Withdrawal, of: ShipmentKind = "inbound") -> Cancel:
    return Cancel(id=name, of=of, lines=lines)


def arrival(
    quantity: int, sku: str = "P001", *, location: str | None = None, missing: int = 0
) -> Arrival:
    where = None if location is None else LocationCode(location)
    return Arrival(SKU(sku), where, quantity, missing, "lost" if missing else None)


def withdrawal(quantity: int | None, sku: str = "P001") -> Withdrawal:
    return Withdrawal(SKU(sku), None, quantity)
