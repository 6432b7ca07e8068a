"""The ledger, the catalogue, and what a retry needs."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

# STRICT tables of SQLite know INTEGER, TEXT and BLOB only.
WHOLE = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
# By its bytes, whatever the database's language is.
TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "api_key",
        sa.Column("id", TEXT, nullable=False),
        sa.Column("name", TEXT, nullable=False),
        sa.Column("secret_sha256", sa.LargeBinary(), nullable=False),
        sa.Column("scopes", TEXT, nullable=False),
        sa.Column("locations", TEXT, nullable=True),
        sa.Column("created_at", WHOLE, nullable=False),
        sa.Column("expires_at", WHOLE, nullable=True),
        sa.Column("revoked_at", WHOLE, nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_api_key")),
        sqlite_strict=True,
    )
    op.create_table(
        "idempotency",
        sa.Column("actor", TEXT, nullable=False),
        sa.Column("key", TEXT, nullable=False),
        sa.Column("recorded_at", WHOLE, nullable=False),
        sa.Column("fingerprint", sa.LargeBinary(), nullable=False),
        sa.Column("refused", TEXT, nullable=True),
        sa.Column("etag", TEXT, nullable=True),
        sa.Column("answer", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("actor", "key", name=op.f("pk_idempotency")),
        sqlite_strict=True,
    )
    op.create_index(
        op.f("ix_idempotency_recorded_at"), "idempotency", ["recorded_at"], unique=False
    )
    op.create_table(
        "item",
        sa.Column("sku", TEXT, nullable=False),
        sa.Column("name", TEXT, nullable=False),
        sa.Column("barcode", TEXT, nullable=True),
        sa.Column("amount", TEXT, nullable=True),
        sa.Column("currency", TEXT, nullable=True),
        sa.Column("attributes", TEXT, nullable=False),
        sa.Column("status", TEXT, nullable=False),
        sa.Column("version", WHOLE, nullable=False),
        sa.Column("created_at", WHOLE, nullable=False),
        sa.Column("updated_at", WHOLE, nullable=False),
        sa.CheckConstraint("status IN ('active', 'archived')", name=op.f("ck_item_status")),
        sa.PrimaryKeyConstraint("sku", name=op.f("pk_item")),
        sqlite_strict=True,
    )
    op.create_index(
        "ix_item_archived",
        "item",
        ["sku"],
        unique=True,
        sqlite_where=sa.text("status = 'archived'"),
        postgresql_where=sa.text("status = 'archived'"),
    )
    op.create_index(op.f("ix_item_barcode"), "item", ["barcode"], unique=False)
    op.create_table(
        "ledger_head",
        sa.Column("id", WHOLE, autoincrement=False, nullable=False),
        sa.Column("seq", WHOLE, nullable=False),
        sa.Column("recorded_at", WHOLE, nullable=False),
        sa.CheckConstraint("id = 1", name=op.f("ck_ledger_head_one_row")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ledger_head")),
        sqlite_strict=True,
    )
    op.create_table(
        "location",
        sa.Column("code", TEXT, nullable=False),
        sa.Column("name", TEXT, nullable=False),
        sa.Column("kind", TEXT, nullable=False),
        sa.Column("sellable", WHOLE, nullable=False),
        sa.Column("priority", WHOLE, nullable=False),
        sa.Column("status", TEXT, nullable=False),
        sa.Column("version", WHOLE, nullable=False),
        sa.Column("created_at", WHOLE, nullable=False),
        sa.Column("updated_at", WHOLE, nullable=False),
        sa.CheckConstraint(
            "kind IN ('warehouse', 'store', 'supplier', 'transit')", name=op.f("ck_location_kind")
        ),
        sa.CheckConstraint("status IN ('active', 'archived')", name=op.f("ck_location_status")),
        sa.CheckConstraint("sellable IN (0, 1)", name=op.f("ck_location_sellable")),
        sa.PrimaryKeyConstraint("code", name=op.f("pk_location")),
        sqlite_strict=True,
    )
    op.create_table(
        "movement",
        sa.Column("seq", WHOLE, autoincrement=False, nullable=False),
        sa.Column("recorded_at", WHOLE, nullable=False),
        sa.Column("operation_id", TEXT, nullable=False),
        sa.Column("actor", TEXT, nullable=False),
        sa.Column("reference", TEXT, nullable=True),
        sa.Column("occurred_at", WHOLE, nullable=False),
        sa.Column("type", TEXT, nullable=False),
        sa.Column("sku", TEXT, nullable=False),
        sa.Column("location", TEXT, nullable=False),
        sa.Column("level_version", WHOLE, nullable=False),
        sa.Column("d_on_hand", WHOLE, nullable=False),
        sa.Column("d_reserved", WHOLE, nullable=False),
        sa.Column("d_committed", WHOLE, nullable=False),
        sa.Column("d_incoming", WHOLE, nullable=False),
        sa.Column("on_hand", WHOLE, nullable=False),
        sa.Column("reserved", WHOLE, nullable=False),
        sa.Column("committed", WHOLE, nullable=False),
        sa.Column("incoming", WHOLE, nullable=False),
        sa.Column("available", WHOLE, nullable=False),
        sa.Column("reason", TEXT, nullable=False),
        sa.Column("oversold_by", WHOLE, nullable=False),
        sa.Column("line_id", TEXT, nullable=True),
        sa.Column("reservation_id", TEXT, nullable=True),
        sa.CheckConstraint("on_hand BETWEEN 0 AND 1000000000000", name=op.f("ck_movement_on_hand")),
        sa.CheckConstraint(
            "reserved >= 0 AND committed >= 0 AND incoming >= 0", name=op.f("ck_movement_promises")
        ),
        sa.CheckConstraint("seq >= 1 AND level_version >= 1", name=op.f("ck_movement_numbers")),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_movement")),
        sa.UniqueConstraint(
            "level_version", "sku", "location", name=op.f("uq_movement_level_version_sku_location")
        ),
        sqlite_strict=True,
    )
    op.create_index(
        "ix_movement_line_id",
        "movement",
        ["line_id"],
        unique=True,
        sqlite_where=sa.text("line_id IS NOT NULL"),
        postgresql_where=sa.text("line_id IS NOT NULL"),
    )
    op.create_table(
        "operation",
        sa.Column("id", TEXT, nullable=False),
        sa.Column("recorded_at", WHOLE, nullable=False),
        sa.Column("actor", TEXT, nullable=False),
        sa.Column("key", TEXT, nullable=True),
        sa.Column("type", TEXT, nullable=False),
        sa.Column("mode", TEXT, nullable=False),
        sa.Column("reason", TEXT, nullable=False),
        sa.Column("reference", TEXT, nullable=True),
        sa.Column("note", TEXT, nullable=True),
        sa.Column("occurred_at", WHOLE, nullable=False),
        sa.Column("first_seq", WHOLE, nullable=False),
        sa.Column("last_seq", WHOLE, nullable=False),
        sa.Column("applied", WHOLE, nullable=False),
        sa.Column("rejected", WHOLE, nullable=False),
        sa.CheckConstraint("last_seq >= first_seq", name=op.f("ck_operation_seqs")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_operation")),
        sqlite_strict=True,
    )
    op.create_index(
        "ix_operation_reference",
        "operation",
        ["reference"],
        unique=False,
        sqlite_where=sa.text("reference IS NOT NULL"),
        postgresql_where=sa.text("reference IS NOT NULL"),
    )
    op.create_table(
        "level",
        sa.Column("sku", TEXT, nullable=False),
        sa.Column("location", TEXT, nullable=False),
        sa.Column("on_hand", WHOLE, nullable=False),
        sa.Column("reserved", WHOLE, nullable=False),
        sa.Column("committed", WHOLE, nullable=False),
        sa.Column("incoming", WHOLE, nullable=False),
        sa.Column("version", WHOLE, nullable=False),
        sa.Column("seq", WHOLE, nullable=False),
        sa.Column("safety_stock", WHOLE, nullable=False),
        sa.Column("backorder_limit", WHOLE, nullable=True),
        sa.Column("reorder_point", WHOLE, nullable=True),
        sa.Column("reorder_to", WHOLE, nullable=True),
        sa.CheckConstraint("backorder_limit >= 0", name=op.f("ck_level_backorder_limit")),
        sa.CheckConstraint("committed >= 0", name=op.f("ck_level_committed")),
        sa.CheckConstraint("incoming >= 0", name=op.f("ck_level_incoming")),
        sa.CheckConstraint("on_hand BETWEEN 0 AND 1000000000000", name=op.f("ck_level_on_hand")),
        sa.CheckConstraint("reserved >= 0", name=op.f("ck_level_reserved")),
        sa.CheckConstraint("safety_stock >= 0", name=op.f("ck_level_safety_stock")),
        sa.ForeignKeyConstraint(
            ["location"], ["location.code"], name=op.f("fk_level_location_location")
        ),
        sa.ForeignKeyConstraint(["sku"], ["item.sku"], name=op.f("fk_level_sku_item")),
        sa.PrimaryKeyConstraint("sku", "location", name=op.f("pk_level")),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_level_location_sku"), "level", ["location", "sku"], unique=False)
    op.execute("INSERT INTO ledger_head (id, seq, recorded_at) VALUES (1, 0, 0)")
    for table in ("movement", "operation"):
        forbid_changes(table)


def forbid_changes(table: str) -> None:
    """Refuse UPDATE, DELETE and TRUNCATE whoever asks: what is recorded stays as it was (I7)."""
    if op.get_bind().dialect.name == "sqlite":
        for verb in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER {table}_{verb.lower()} BEFORE {verb} ON {table} "
                f"BEGIN SELECT RAISE(ABORT, '{table} rows never change'); END"
            )
        return
    op.execute(
        f"CREATE FUNCTION {table}_never_changes() RETURNS trigger LANGUAGE plpgsql AS "
        f"$$ BEGIN RAISE EXCEPTION '{table} rows never change'; END $$"
    )
    op.execute(
        f"CREATE TRIGGER {table}_never_changes BEFORE UPDATE OR DELETE ON {table} "
        f"FOR EACH ROW EXECUTE FUNCTION {table}_never_changes()"
    )
    op.execute(
        f"CREATE TRIGGER {table}_never_emptied BEFORE TRUNCATE ON {table} "
        f"FOR EACH STATEMENT EXECUTE FUNCTION {table}_never_changes()"
    )


def downgrade() -> None:
    raise NotImplementedError("Migrations go forward; restore a backup to go back.")
