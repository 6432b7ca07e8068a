"""Reservations, shipments, counts and kits: what the ledger's movements are about."""

from sqlalchemy import (
    CheckConstraint,
    ForeignKey,
    Index,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from inventory_api.domain.types import UNITS_MAX
from inventory_api.store.columns import CLUSTERED, STRICT, Table, table


class ReservationRow(Table):
    """A hold and its state; what it has is in its allocations."""

    __tablename__ = "reservation"
    id: Mapped[str] = mapped_column(primary_key=True)
    reference: Mapped[str | None]
    actor: Mapped[str]
    status: Mapped[str]
    created_at: Mapped[int]
    expires_at: Mapped[int]
    version: Mapped[int]
    __table_args__ = (
        CheckConstraint(
            "status IN ('active', 'confirmed', 'fulfilled', 'released', 'expired')", "status"
        ),
        Index("ix_reservation_reference", "reference", "id"),
        Index("ix_reservation_status", "status", "id"),
        # One cart has one hold, whoever asks for it at the same time.
        Index(
            "ix_reservation_open_reference",
            "reference",
            unique=True,
            sqlite_where=text("reference IS NOT NULL AND status IN ('active', 'confirmed')"),
            postgresql_where=text("reference IS NOT NULL AND status IN ('active', 'confirmed')"),
        ),
        STRICT,
    )


class AllocationRow(Table):
    """What a line of a reservation has at a location, by the state of its units (I5).

    `kit` is empty unless the line is of a kit: then there is one row for each of its components.
    """

    __tablename__ = "allocation"
    sku: Mapped[str] = mapped_column(primary_key=True)
    location: Mapped[str] = mapped_column(primary_key=True)
    reservation_id: Mapped[str] = mapped_column(ForeignKey("reservation.id"), primary_key=True)
    line: Mapped[int] = mapped_column(primary_key=True)
    requested: Mapped[int]
    expires_at: Mapped[int]
    held: Mapped[int]
    committed: Mapped[int]
    fulfilled: Mapped[int]
    released: Mapped[int]
    expired: Mapped[int]
    # In the key: a line that was of an item may become one of a kit that contains it.
    kit: Mapped[str] = mapped_column(primary_key=True)
    per_kit: Mapped[int]
    __table_args__ = (
        CheckConstraint("held >= 0", "held"),
        CheckConstraint("committed >= 0", "committed"),
        CheckConstraint("fulfilled >= 0", "fulfilled"),
        CheckConstraint("released >= 0", "released"),
        CheckConstraint("expired >= 0", "expired"),
        CheckConstraint("per_kit >= 1", "per_kit"),
        Index(None, "reservation_id"),
        # What is due on a level, in order: a read that subtracts it touches nothing else.
        Index(
            "ix_allocation_due",
            "sku",
            "location",
            "expires_at",
            sqlite_where=text("held > 0"),
            postgresql_where=text("held > 0"),
        ),
        # What moves in lock-step, for whoever verifies it.
        Index(
            "ix_allocation_kit",
            "reservation_id",
            "line",
            "location",
            "kit",
            sqlite_where=text("kit <> ''"),
            postgresql_where=text("kit <> ''"),
        ),
        # Whether a kit may be archived.
        Index(
            "ix_allocation_open_kit",
            "kit",
            sqlite_where=text("kit <> '' AND held + committed > 0"),
            postgresql_where=text("kit <> '' AND held + committed > 0"),
        ),
        CLUSTERED,
    )


class CountSheetRow(Table):
    """A count: where, in which state, how far; `operation_id` is that of its posting."""

    __tablename__ = "count_sheet"
    id: Mapped[str] = mapped_column(primary_key=True)
    reference: Mapped[str | None]
    location: Mapped[str] = mapped_column(ForeignKey("location.code"))
    status: Mapped[str]
    blind: Mapped[int]
    approval_threshold: Mapped[int | None]
    note: Mapped[str | None]
    actor: Mapped[str]
    created_at: Mapped[int]
    version: Mapped[int]
    line_count: Mapped[int]
    counted_count: Mapped[int]
    approved_by: Mapped[str | None]
    operation_id: Mapped[str | None]
    __table_args__ = (
        CheckConstraint("status IN ('open', 'approved', 'posted', 'cancelled')", "status"),
        CheckConstraint("blind IN (0, 1)", "blind"),
        CheckConstraint("approval_threshold >= 0", "approval_threshold"),
        CheckConstraint("counted_count BETWEEN 0 AND line_count", "counted_count"),
        CheckConstraint("(status = 'posted') = (operation_id IS NOT NULL)", "operation_id"),
        Index(None, "location", "id"),
        Index(None, "reference", "id"),
        Index(None, "status", "id"),
        STRICT,
    )


class CountLineRow(Table):
    """What one level had at the version that was seen, and what was found there."""

    __tablename__ = "count_line"
    count_id: Mapped[str] = mapped_column(ForeignKey("count_sheet.id"), primary_key=True)
    sku: Mapped[str] = mapped_column(ForeignKey("item.sku"), primary_key=True)
    line: Mapped[int]
    opened_version: Mapped[int]
    opened_on_hand: Mapped[int]
    level_version: Mapped[int]
    expected: Mapped[int]
    counted: Mapped[int | None]
    posted_version: Mapped[int | None]
    __table_args__ = (
        CheckConstraint("opened_version >= 0 AND level_version >= 0", "versions"),
        CheckConstraint(
            f"opened_on_hand BETWEEN 0 AND {UNITS_MAX} AND expected BETWEEN 0 AND {UNITS_MAX}",
            "expected",
        ),
        CheckConstraint(f"counted BETWEEN 0 AND {UNITS_MAX}", "counted"),
        CheckConstraint("posted_version IS NULL OR counted IS NOT NULL", "posted_version"),
        CLUSTERED,
    )


class ShipmentRow(Table):
    """Goods on their way; `source` and `transit` are a transfer's."""

    __tablename__ = "shipment"
    id: Mapped[str] = mapped_column(primary_key=True)
    kind: Mapped[str]
    reference: Mapped[str]
    actor: Mapped[str]
    status: Mapped[str]
    source: Mapped[str | None]
    transit: Mapped[str | None]
    expected_at: Mapped[int | None]
    created_at: Mapped[int]
    version: Mapped[int]
    __table_args__ = (
        CheckConstraint("kind IN ('inbound', 'transfer')", "kind"),
        CheckConstraint("status IN ('open', 'received', 'cancelled')", "status"),
        CheckConstraint(
            "(kind = 'transfer') = (source IS NOT NULL)"
            " AND (kind = 'transfer') = (transit IS NOT NULL)",
            "ends",
        ),
        Index(None, "kind", "id"),
        Index(None, "kind", "status", "id"),
        Index(None, "kind", "reference", "id"),
        STRICT,
    )


class ShipmentLineRow(Table):
    """What of an item goes to a location; what is open of it is the level's `incoming`."""

    __tablename__ = "shipment_line"
    shipment_id: Mapped[str] = mapped_column(ForeignKey("shipment.id"), primary_key=True)
    line: Mapped[int] = mapped_column(primary_key=True)
    sku: Mapped[str]
    location: Mapped[str]
    quantity: Mapped[int]
    received: Mapped[int]
    cancelled: Mapped[int]
    missing: Mapped[int]
    open: Mapped[int]
    expected_at: Mapped[int | None]
    __table_args__ = (
        CheckConstraint(f"quantity BETWEEN 1 AND {UNITS_MAX}", "quantity"),
        CheckConstraint("received >= 0 AND cancelled >= 0 AND missing >= 0", "ended"),
        # More than was expected may be received, but not while something is open.
        CheckConstraint(
            "open >= 0 AND open + received + cancelled + missing >= quantity"
            " AND (open = 0 OR open + received + cancelled + missing = quantity)",
            "open",
        ),
        # The first dated line of a level is one seek, however many have been received before.
        Index(
            "ix_shipment_line_open",
            "sku",
            "location",
            "expected_at",
            sqlite_where=text("open > 0"),
            postgresql_where=text("open > 0"),
        ),
        CLUSTERED,
    )


RESERVATION, ALLOCATION = map(table, (ReservationRow, AllocationRow))
SHIPMENT, SHIPMENT_LINE = map(table, (ShipmentRow, ShipmentLineRow))
COUNT_SHEET, COUNT_LINE = map(table, (CountSheetRow, CountLineRow))
