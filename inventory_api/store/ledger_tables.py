"""The catalogue, the ledger, and what a retry needs."""

from sqlalchemy import (
    CheckConstraint,
    ForeignKey,
    Index,
    UniqueConstraint,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from inventory_api.domain.types import UNITS_MAX
from inventory_api.store.columns import CLUSTERED, STRICT, Table, table


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


class KitComponentRow(Table):
    """What an item is made of that is a kit; such an item has no levels."""

    __tablename__ = "kit_component"
    kit: Mapped[str] = mapped_column(ForeignKey("item.sku"), primary_key=True)
    component: Mapped[str] = mapped_column(ForeignKey("item.sku"), primary_key=True)
    quantity: Mapped[int]
    __table_args__ = (
        CheckConstraint(f"quantity BETWEEN 1 AND {UNITS_MAX}", "quantity"),
        CheckConstraint("component <> kit", "itself"),
        Index(None, "component"),
        CLUSTERED,
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
    alert: Mapped[int] = mapped_column(server_default=text("0"))
    rearm_at: Mapped[int | None]
    __table_args__ = (
        CheckConstraint(f"on_hand BETWEEN 0 AND {UNITS_MAX}", "on_hand"),
        CheckConstraint("reserved >= 0", "reserved"),
        CheckConstraint("committed >= 0", "committed"),
        CheckConstraint("incoming >= 0", "incoming"),
        CheckConstraint("safety_stock >= 0", "safety_stock"),
        CheckConstraint("backorder_limit >= 0", "backorder_limit"),
        CheckConstraint("alert BETWEEN 0 AND 3", "alert"),
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
    alerts: Mapped[int | None]
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


class LeaseRow(Table):
    """Which process does a background job, until when by the server's time."""

    __tablename__ = "lease"
    name: Mapped[str] = mapped_column(primary_key=True)
    holder: Mapped[str]
    token: Mapped[int]
    expires_at: Mapped[int]
    __table_args__ = (STRICT,)


class KeyringRow(Table):
    """One row: how often a key was made or revoked, so that each process knows when to look."""

    __tablename__ = "keyring"
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    version: Mapped[int]
    __table_args__ = (CheckConstraint("id = 1", "one_row"), STRICT)


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


ITEM, LOCATION, LEVEL, MOVEMENT, OPERATION = map(
    table, (ItemRow, LocationRow, LevelRow, MovementRow, OperationRow)
)
LEDGER_HEAD, IDEMPOTENCY = map(table, (LedgerHeadRow, IdempotencyRow))
API_KEY, KEYRING, KIT_COMPONENT = map(table, (APIKeyRow, KeyringRow, KitComponentRow))
