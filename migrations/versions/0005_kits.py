"""Kits: what they are made of, and which allocations are of a kit's components."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

# STRICT tables of SQLite know INTEGER, TEXT and BLOB only.
WHOLE = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
# By its bytes, whatever the database's language is.
TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
UNITS_MAX = 10**12
UNITS = ("held", "committed", "fulfilled", "released", "expired")
IS_HELD = sa.text("held > 0")
IS_OF_KIT = sa.text("kit <> ''")
IS_OPEN = sa.text("kit <> '' AND held + committed > 0")


def upgrade() -> None:
    op.create_table(
        "kit_component",
        sa.Column("kit", TEXT, nullable=False),
        sa.Column("component", TEXT, nullable=False),
        sa.Column("quantity", WHOLE, nullable=False),
        sa.CheckConstraint(
            f"quantity BETWEEN 1 AND {UNITS_MAX}", name=op.f("ck_kit_component_quantity")
        ),
        sa.CheckConstraint("component <> kit", name=op.f("ck_kit_component_itself")),
        sa.ForeignKeyConstraint(["kit"], ["item.sku"], name=op.f("fk_kit_component_kit_item")),
        sa.ForeignKeyConstraint(
            ["component"], ["item.sku"], name=op.f("fk_kit_component_component_item")
        ),
        sa.PrimaryKeyConstraint("kit", "component", name=op.f("pk_kit_component")),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )
    op.create_index(
        op.f("ix_kit_component_component"), "kit_component", ["component"], unique=False
    )
    # The kit becomes a part of the key, which no database changes in place; the rows wait aside.
    op.execute("CREATE TABLE allocation_aside AS SELECT * FROM allocation")
    op.drop_table("allocation")
    _create_allocation()
    op.execute(
        "INSERT INTO allocation (sku, location, reservation_id, line, requested, expires_at, held,"
        " committed, fulfilled, released, expired, kit, per_kit)"
        " SELECT sku, location, reservation_id, line, requested, expires_at, held,"
        " committed, fulfilled, released, expired, '', 1 FROM allocation_aside"
        " ORDER BY sku, location, reservation_id, line"
    )
    op.drop_table("allocation_aside")


def _create_allocation() -> None:
    op.create_table(
        "allocation",
        sa.Column("sku", TEXT, nullable=False),
        sa.Column("location", TEXT, nullable=False),
        sa.Column("reservation_id", TEXT, nullable=False),
        sa.Column("line", WHOLE, nullable=False),
        sa.Column("requested", WHOLE, nullable=False),
        sa.Column("expires_at", WHOLE, nullable=False),
        *(sa.Column(name, WHOLE, nullable=False) for name in UNITS),
        sa.Column("kit", TEXT, nullable=False),
        sa.Column("per_kit", WHOLE, nullable=False),
        *(sa.CheckConstraint(f"{name} >= 0", name=op.f(f"ck_allocation_{name}")) for name in UNITS),
        sa.CheckConstraint("per_kit >= 1", name=op.f("ck_allocation_per_kit")),
        sa.ForeignKeyConstraint(
            ["reservation_id"],
            ["reservation.id"],
            name=op.f("fk_allocation_reservation_id_reservation"),
        ),
        sa.PrimaryKeyConstraint(
            "sku", "location", "reservation_id", "line", "kit", name=op.f("pk_allocation")
        ),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )
    op.create_index(
        op.f("ix_allocation_reservation_id"), "allocation", ["reservation_id"], unique=False
    )
    op.create_index(
        "ix_allocation_due",
        "allocation",
        ["sku", "location", "expires_at"],
        unique=False,
        sqlite_where=IS_HELD,
        postgresql_where=IS_HELD,
    )
    op.create_index(
        "ix_allocation_kit",
        "allocation",
        ["reservation_id", "line", "location", "kit"],
        unique=False,
        sqlite_where=IS_OF_KIT,
        postgresql_where=IS_OF_KIT,
    )
    op.create_index(
        "ix_allocation_open_kit",
        "allocation",
        ["kit"],
        unique=False,
        sqlite_where=IS_OPEN,
        postgresql_where=IS_OPEN,
    )
