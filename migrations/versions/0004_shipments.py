"""Shipments, inbounds and transfers, and what of each line is still open."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

# STRICT tables of SQLite know INTEGER, TEXT and BLOB only.
WHOLE = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
# By its bytes, whatever the database's language is.
TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
IS_OPEN = sa.text("open > 0")


def upgrade() -> None:
    op.create_table(
        "shipment",
        sa.Column("id", TEXT, nullable=False),
        sa.Column("kind", TEXT, nullable=False),
        sa.Column("reference", TEXT, nullable=False),
        sa.Column("actor", TEXT, nullable=False),
        sa.Column("status", TEXT, nullable=False),
        sa.Column("source", TEXT, nullable=True),
        sa.Column("transit", TEXT, nullable=True),
        sa.Column("expected_at", WHOLE, nullable=True),
        sa.Column("created_at", WHOLE, nullable=False),
        sa.Column("version", WHOLE, nullable=False),
        sa.CheckConstraint("kind IN ('inbound', 'transfer')", name=op.f("ck_shipment_kind")),
        sa.CheckConstraint(
            "status IN ('open', 'received', 'cancelled')", name=op.f("ck_shipment_status")
        ),
        sa.CheckConstraint(
            "(kind = 'transfer') = (source IS NOT NULL)"
            " AND (kind = 'transfer') = (transit IS NOT NULL)",
            name=op.f("ck_shipment_ends"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_shipment")),
        sqlite_strict=True,
    )
    op.create_index(op.f("ix_shipment_kind_id"), "shipment", ["kind", "id"], unique=False)
    op.create_index(
        op.f("ix_shipment_kind_status_id"), "shipment", ["kind", "status", "id"], unique=False
    )
    op.create_index(
        op.f("ix_shipment_kind_reference_id"),
        "shipment",
        ["kind", "reference", "id"],
        unique=False,
    )
    op.create_table(
        "shipment_line",
        sa.Column("shipment_id", TEXT, nullable=False),
        sa.Column("line", WHOLE, nullable=False),
        sa.Column("sku", TEXT, nullable=False),
        sa.Column("location", TEXT, nullable=False),
        sa.Column("quantity", WHOLE, nullable=False),
        sa.Column("received", WHOLE, nullable=False),
        sa.Column("cancelled", WHOLE, nullable=False),
        sa.Column("missing", WHOLE, nullable=False),
        sa.Column("open", WHOLE, nullable=False),
        sa.Column("expected_at", WHOLE, nullable=True),
        sa.CheckConstraint(
            "quantity BETWEEN 1 AND 1000000000000", name=op.f("ck_shipment_line_quantity")
        ),
        sa.CheckConstraint(
            "received >= 0 AND cancelled >= 0 AND missing >= 0",
            name=op.f("ck_shipment_line_ended"),
        ),
        sa.CheckConstraint(
            "open >= 0 AND open + received + cancelled + missing >= quantity"
            " AND (open = 0 OR open + received + cancelled + missing = quantity)",
            name=op.f("ck_shipment_line_open"),
        ),
        sa.ForeignKeyConstraint(
            ["shipment_id"],
            ["shipment.id"],
            name=op.f("fk_shipment_line_shipment_id_shipment"),
        ),
        sa.PrimaryKeyConstraint("shipment_id", "line", name=op.f("pk_shipment_line")),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )
    op.create_index(
        "ix_shipment_line_open",
        "shipment_line",
        ["sku", "location", "expected_at"],
        unique=False,
        sqlite_where=IS_OPEN,
        postgresql_where=IS_OPEN,
    )
