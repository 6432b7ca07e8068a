"""Reservations, what they have at which location, and when the first hold of a level ends."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

# STRICT tables of SQLite know INTEGER, TEXT and BLOB only.
WHOLE = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
# By its bytes, whatever the database's language is.
TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
IS_DUE_SOME_DAY = sa.text("next_expiry_at IS NOT NULL")
IS_OPEN = sa.text("reference IS NOT NULL AND status IN ('active', 'confirmed')")
IS_HELD = sa.text("held > 0")
UNITS = ("held", "committed", "fulfilled", "released", "expired")


def upgrade() -> None:
    op.add_column("level", sa.Column("next_expiry_at", WHOLE, nullable=True))
    op.create_index(
        "ix_level_next_expiry_at",
        "level",
        ["next_expiry_at"],
        unique=False,
        sqlite_where=IS_DUE_SOME_DAY,
        postgresql_where=IS_DUE_SOME_DAY,
    )
    op.create_table(
        "reservation",
        sa.Column("id", TEXT, nullable=False),
        sa.Column("reference", TEXT, nullable=True),
        sa.Column("actor", TEXT, nullable=False),
        sa.Column("status", TEXT, nullable=False),
        sa.Column("created_at", WHOLE, nullable=False),
        sa.Column("expires_at", WHOLE, nullable=False),
        sa.Column("version", WHOLE, nullable=False),
        sa.CheckConstraint(
            "status IN ('active', 'confirmed', 'fulfilled', 'released', 'expired')",
            name=op.f("ck_reservation_status"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_reservation")),
        sqlite_strict=True,
    )
    op.create_index("ix_reservation_reference", "reservation", ["reference", "id"], unique=False)
    op.create_index("ix_reservation_status", "reservation", ["status", "id"], unique=False)
    op.create_index(
        "ix_reservation_open_reference",
        "reservation",
        ["reference"],
        unique=True,
        sqlite_where=IS_OPEN,
        postgresql_where=IS_OPEN,
    )
    op.create_table(
        "allocation",
        sa.Column("sku", TEXT, nullable=False),
        sa.Column("location", TEXT, nullable=False),
        sa.Column("reservation_id", TEXT, nullable=False),
        sa.Column("line", WHOLE, nullable=False),
        sa.Column("requested", WHOLE, nullable=False),
        sa.Column("expires_at", WHOLE, nullable=False),
        *(sa.Column(name, WHOLE, nullable=False) for name in UNITS),
        *(sa.CheckConstraint(f"{name} >= 0", name=op.f(f"ck_allocation_{name}")) for name in UNITS),
        sa.ForeignKeyConstraint(
            ["reservation_id"],
            ["reservation.id"],
            name=op.f("fk_allocation_reservation_id_reservation"),
        ),
        sa.PrimaryKeyConstraint(
            "sku", "location", "reservation_id", "line", name=op.f("pk_allocation")
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
