"""Counts, their lines, and when a level was last counted."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

# STRICT tables of SQLite know INTEGER, TEXT and BLOB only.
WHOLE = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
# By its bytes, whatever the database's language is.
TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
IS_SET = sa.text("type = 'set'")
UNITS_MAX = 10**12


def upgrade() -> None:
    op.create_index(
        "ix_movement_set",
        "movement",
        ["sku", "location", "level_version"],
        unique=False,
        sqlite_where=IS_SET,
        postgresql_where=IS_SET,
    )
    op.create_table(
        "count_sheet",
        sa.Column("id", TEXT, nullable=False),
        sa.Column("reference", TEXT, nullable=True),
        sa.Column("location", TEXT, nullable=False),
        sa.Column("status", TEXT, nullable=False),
        sa.Column("blind", WHOLE, nullable=False),
        sa.Column("approval_threshold", WHOLE, nullable=True),
        sa.Column("note", TEXT, nullable=True),
        sa.Column("actor", TEXT, nullable=False),
        sa.Column("created_at", WHOLE, nullable=False),
        sa.Column("version", WHOLE, nullable=False),
        sa.Column("line_count", WHOLE, nullable=False),
        sa.Column("counted_count", WHOLE, nullable=False),
        sa.Column("approved_by", TEXT, nullable=True),
        sa.Column("operation_id", TEXT, nullable=True),
        sa.CheckConstraint(
            "status IN ('open', 'approved', 'posted', 'cancelled')",
            name=op.f("ck_count_sheet_status"),
        ),
        sa.CheckConstraint("blind IN (0, 1)", name=op.f("ck_count_sheet_blind")),
        sa.CheckConstraint(
            "approval_threshold >= 0", name=op.f("ck_count_sheet_approval_threshold")
        ),
        sa.CheckConstraint(
            "counted_count BETWEEN 0 AND line_count", name=op.f("ck_count_sheet_counted_count")
        ),
        sa.CheckConstraint(
            "(status = 'posted') = (operation_id IS NOT NULL)",
            name=op.f("ck_count_sheet_operation_id"),
        ),
        sa.ForeignKeyConstraint(
            ["location"], ["location.code"], name=op.f("fk_count_sheet_location_location")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_count_sheet")),
        sqlite_strict=True,
    )
    for column in ("location", "reference", "status"):
        op.create_index(
            op.f(f"ix_count_sheet_{column}_id"), "count_sheet", [column, "id"], unique=False
        )
    op.create_table(
        "count_line",
        sa.Column("count_id", TEXT, nullable=False),
        sa.Column("sku", TEXT, nullable=False),
        sa.Column("line", WHOLE, nullable=False),
        sa.Column("opened_version", WHOLE, nullable=False),
        sa.Column("opened_on_hand", WHOLE, nullable=False),
        sa.Column("level_version", WHOLE, nullable=False),
        sa.Column("expected", WHOLE, nullable=False),
        sa.Column("counted", WHOLE, nullable=True),
        sa.Column("posted_version", WHOLE, nullable=True),
        sa.CheckConstraint(
            "opened_version >= 0 AND level_version >= 0", name=op.f("ck_count_line_versions")
        ),
        sa.CheckConstraint(
            f"opened_on_hand BETWEEN 0 AND {UNITS_MAX} AND expected BETWEEN 0 AND {UNITS_MAX}",
            name=op.f("ck_count_line_expected"),
        ),
        sa.CheckConstraint(
            f"counted BETWEEN 0 AND {UNITS_MAX}", name=op.f("ck_count_line_counted")
        ),
        sa.CheckConstraint(
            "posted_version IS NULL OR counted IS NOT NULL",
            name=op.f("ck_count_line_posted_version"),
        ),
        sa.ForeignKeyConstraint(
            ["count_id"], ["count_sheet.id"], name=op.f("fk_count_line_count_id_count_sheet")
        ),
        sa.ForeignKeyConstraint(["sku"], ["item.sku"], name=op.f("fk_count_line_sku_item")),
        sa.PrimaryKeyConstraint("count_id", "sku", name=op.f("pk_count_line")),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )


def downgrade() -> None:
    raise NotImplementedError("Migrations go forward; restore a backup to go back.")
