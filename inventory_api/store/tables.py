"""The tables, mapped; migrations/ builds the same on both databases (a test compares them)."""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table as Core,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from inventory_api.domain.types import UNITS_MAX

NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}
# STRICT tables of SQLite know INTEGER, TEXT and BLOB only.
Whole = BigInteger().with_variant(Integer, "sqlite")
STRICT = {"sqlite_strict": True}
CLUSTERED = {"sqlite_strict": True, "sqlite_with_rowid": False}


class Table(DeclarativeBase):
    """Columns named `…_at` are microseconds since 1970 UTC; quantities are whole units."""

    metadata = MetaData(naming_convention=NAMING)
    type_annotation_map = {int: Whole, str: Text, bytes: LargeBinary}  # noqa: RUF012 - SQLAlchemy's


class ItemRow(Table):
    """What is stocked. `amount` is the exact decimal text of the unit price."""

    __tablename__ = "item"
    sku: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    barcode: Mapped[str | None]
    amount: Mapped[str | None]
    currency: Mapped[str | None]
    attributes: Mapped[str]
    status: Mapped[str]
    version: Mapped[int]
    created_at: Mapped[int]
    updated_at: Mapped[int]
    __table_args__ = (
        CheckConstraint("status IN ('active', 'archived')", "status"),
        Index(None, "barcode"),
        # The committer asks for the archived among a batch's items: an index of next to nothing.
        Index(
            "ix_item_archived",
            "sku",
            # Unique like the SKU itself, or SQLite prefers the primary key: a seek per line.
            unique=True,
            sqlite_where=text("status = 'archived'"),
            postgresql_where=text("status = 'archived'"),
        ),
        STRICT,
    )


class LocationRow(Table):
    """Where stock is; `priority` 0 is served first."""

    __tablename__ = "location"
    code: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    kind: Mapped[str]
    sellable: Mapped[int]
    priority: Mapped[int]
    status: Mapped[str]
    version: Mapped[int]
    created_at: Mapped[int]
    updated_at: Mapped[int]
    __table_args__ = (
        CheckConstraint("kind IN ('warehouse', 'store', 'supplier', 'transit')", "kind"),
        CheckConstraint("status IN ('active', 'archived')", "status"),
        CheckConstraint("sellable IN (0, 1)", "sellable"),
        STRICT,
    )


class LevelRow(Table):
    """The stock of one item at one location: always the balances after its last movement."""

    __tablename__ = "level"
    sku: Mapped[str] = mapped_column(ForeignKey("item.sku"), primary_key=True)
    location: Mapped[str] = mapped_column(ForeignKey("location.code"), primary_key=True)
    on_hand: Mapped[int]
    reserved: Mapped[int]
    committed: Mapped[int]
    incoming: Mapped[int]
    version: Mapped[int]
    seq: Mapped[int]
    safety_stock: Mapped[int]
    backorder_limit: Mapped[int | None]
    reorder_point: Mapped[int | None]
    reorder_to: Mapped[int | None]
    next_expiry_at: Mapped[int | None]
    __table_args__ = (
        CheckConstraint(f"on_hand BETWEEN 0 AND {UNITS_MAX}", "on_hand"),
        CheckConstraint("reserved >= 0", "reserved"),
        CheckConstraint("committed >= 0", "committed"),
        CheckConstraint("incoming >= 0", "incoming"),
        CheckConstraint("safety_stock >= 0", "safety_stock"),
        CheckConstraint("backorder_limit >= 0", "backorder_limit"),
        Index(None, "location", "sku"),
        Index(
            "ix_level_next_expiry_at",
            "next_expiry_at",
            sqlite_where=text("next_expiry_at IS NOT NULL"),
            postgresql_where=text("next_expiry_at IS NOT NULL"),
        ),
        CLUSTERED,
    )


class MovementRow(Table):
    """The ledger. Triggers refuse UPDATE and DELETE (I7)."""

    __tablename__ = "movement"
    seq: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    recorded_at: Mapped[int]
    operation_id: Mapped[str]
    actor: Mapped[str]
    reference: Mapped[str | None]
    occurred_at: Mapped[int]
    type: Mapped[str]
    sku: Mapped[str]
    location: Mapped[str]
    level_version: Mapped[int]
    d_on_hand: Mapped[int]
    d_reserved: Mapped[int]
    d_committed: Mapped[int]
    d_incoming: Mapped[int]
    on_hand: Mapped[int]
    reserved: Mapped[int]
    committed: Mapped[int]
    incoming: Mapped[int]
    available: Mapped[int]
    reason: Mapped[str]
    oversold_by: Mapped[int]
    line_id: Mapped[str | None]
    reservation_id: Mapped[str | None]
    __table_args__ = (
        # A lost update becomes an error of this constraint (I4). Versions have no gap, so the
        # history of a level is a list of known keys, whatever their order; the version comes
        # first because levels that move together then share pages: with the SKU first each line
        # of a batch dirtied a page of its own, which was half of its cost (docs/decisions.md).
        UniqueConstraint("level_version", "sku", "location"),
        Index(
            "ix_movement_line_id",
            "line_id",
            unique=True,
            sqlite_where=text("line_id IS NOT NULL"),
            postgresql_where=text("line_id IS NOT NULL"),
        ),
        # When a level was last counted: one seek for each line of a count that is posted. Sales
        # and all else that is not a count pay nothing for it.
        Index(
            "ix_movement_set",
            "sku",
            "location",
            "level_version",
            sqlite_where=text("type = 'set'"),
            postgresql_where=text("type = 'set'"),
        ),
        CheckConstraint(f"on_hand BETWEEN 0 AND {UNITS_MAX}", "on_hand"),
        CheckConstraint("reserved >= 0 AND committed >= 0 AND incoming >= 0", "promises"),
        CheckConstraint("seq >= 1 AND level_version >= 1", "numbers"),
        STRICT,
    )


class OperationRow(Table):
    """One request that changed stock; its movements are `first_seq` to `last_seq`."""

    __tablename__ = "operation"
    id: Mapped[str] = mapped_column(primary_key=True)
    recorded_at: Mapped[int]
    actor: Mapped[str]
    key: Mapped[str | None]
    type: Mapped[str]
    mode: Mapped[str]
    reason: Mapped[str]
    reference: Mapped[str | None]
    note: Mapped[str | None]
    occurred_at: Mapped[int]
    first_seq: Mapped[int]
    last_seq: Mapped[int]
    applied: Mapped[int]
    rejected: Mapped[int]
    __table_args__ = (
        Index(
            "ix_operation_reference",
            "reference",
            sqlite_where=text("reference IS NOT NULL"),
            postgresql_where=text("reference IS NOT NULL"),
        ),
        CheckConstraint("last_seq >= first_seq", "seqs"),
        STRICT,
    )


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
    """What a line of a reservation has at a location, by the state of its units (I5)."""

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
    __table_args__ = (
        CheckConstraint("held >= 0", "held"),
        CheckConstraint("committed >= 0", "committed"),
        CheckConstraint("fulfilled >= 0", "fulfilled"),
        CheckConstraint("released >= 0", "released"),
        CheckConstraint("expired >= 0", "expired"),
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


class LedgerHeadRow(Table):
    """One row: the last sequence number, and a time before which nothing more is recorded."""

    __tablename__ = "ledger_head"
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    seq: Mapped[int]
    recorded_at: Mapped[int]
    __table_args__ = (CheckConstraint("id = 1", "one_row"), STRICT)


class IdempotencyRow(Table):
    """The outcome of a keyed write, success or refusal, committed together with its effect."""

    __tablename__ = "idempotency"
    actor: Mapped[str] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    recorded_at: Mapped[int]
    fingerprint: Mapped[bytes]
    refused: Mapped[str | None]
    etag: Mapped[str | None]
    answer: Mapped[bytes]
    __table_args__ = (Index(None, "recorded_at"), STRICT)


class APIKeyRow(Table):
    """A key of the API; `secret_sha256` is all that is kept of its secret."""

    __tablename__ = "api_key"
    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    secret_sha256: Mapped[bytes]
    scopes: Mapped[str]
    locations: Mapped[str | None]
    created_at: Mapped[int]
    expires_at: Mapped[int | None]
    revoked_at: Mapped[int | None]
    __table_args__ = (STRICT,)


def table(row: type[Table]) -> Core:
    """The plain table behind a mapped one.

    Statements on it skip the ORM's loading, which cost 100 µs for each statement of a batch.
    """
    found = row.__table__
    assert isinstance(found, Core)
    return found


ITEM, LOCATION, LEVEL, MOVEMENT, OPERATION = map(
    table, (ItemRow, LocationRow, LevelRow, MovementRow, OperationRow)
)
COUNT_SHEET, COUNT_LINE = map(table, (CountSheetRow, CountLineRow))
RESERVATION, ALLOCATION, LEDGER_HEAD, IDEMPOTENCY, API_KEY = map(
    table, (ReservationRow, AllocationRow, LedgerHeadRow, IdempotencyRow, APIKeyRow)
)
SHIPMENT, SHIPMENT_LINE = map(table, (ShipmentRow, ShipmentLineRow))
