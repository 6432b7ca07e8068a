"""Suppliers, what their codes mean, and what became of each pull."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

# STRICT tables of SQLite know INTEGER, TEXT and BLOB only.
WHOLE = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
# By its bytes, whatever the database's language is.
TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    _suppliers()
    op.create_table(
        "supplier_code",
        sa.Column("supplier", TEXT, nullable=False),
        sa.Column("code", TEXT, nullable=False),
        sa.Column("sku", TEXT, nullable=False),
        sa.ForeignKeyConstraint(
            ["supplier"], ["supplier.code"], name=op.f("fk_supplier_code_supplier_supplier")
        ),
        sa.ForeignKeyConstraint(["sku"], ["item.sku"], name=op.f("fk_supplier_code_sku_item")),
        sa.PrimaryKeyConstraint("supplier", "code", name=op.f("pk_supplier_code")),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )
    _runs()


def _suppliers() -> None:
    op.create_table(
        "supplier",
        sa.Column("code", TEXT, nullable=False),
        sa.Column("name", TEXT, nullable=False),
        sa.Column("location", TEXT, nullable=False),
        sa.Column("url", TEXT, nullable=False),
        sa.Column("format", TEXT, nullable=False),
        sa.Column("shape", TEXT, nullable=False),
        sa.Column("paging", TEXT, nullable=False),
        sa.Column("concurrency", WHOLE, nullable=False),
        sa.Column("rate_per_s", WHOLE, nullable=False),
        sa.Column("secret_header", TEXT, nullable=True),
        sa.Column("secret_env", TEXT, nullable=True),
        sa.Column("schedule_s", WHOLE, nullable=True),
        sa.Column("missing", TEXT, nullable=False),
        sa.Column("partial_allowed", WHOLE, nullable=False),
        sa.Column("bad_rows_percent_max", WHOLE, nullable=False),
        sa.Column("unmapped", TEXT, nullable=False),
        sa.Column("etag", TEXT, nullable=True),
        sa.Column("last_modified", TEXT, nullable=True),
        sa.Column("last_rows", WHOLE, nullable=True),
        sa.Column("due_at", WHOLE, nullable=True),
        sa.Column("failures", WHOLE, nullable=False),
        sa.Column("run_id", TEXT, nullable=True),
        sa.Column("status", TEXT, nullable=False),
        sa.Column("version", WHOLE, nullable=False),
        sa.Column("created_at", WHOLE, nullable=False),
        sa.Column("updated_at", WHOLE, nullable=False),
        sa.CheckConstraint("format IN ('json', 'ndjson', 'csv')", name=op.f("ck_supplier_format")),
        sa.CheckConstraint("missing IN ('keep', 'zero')", name=op.f("ck_supplier_missing")),
        sa.CheckConstraint("unmapped IN ('sku', 'unknown')", name=op.f("ck_supplier_unmapped")),
        sa.CheckConstraint("partial_allowed IN (0, 1)", name=op.f("ck_supplier_partial_allowed")),
        sa.CheckConstraint("concurrency >= 1 AND rate_per_s >= 1", name=op.f("ck_supplier_limits")),
        sa.CheckConstraint(
            "(secret_header IS NULL) = (secret_env IS NULL)", name=op.f("ck_supplier_secret")
        ),
        sa.CheckConstraint("status IN ('active', 'archived')", name=op.f("ck_supplier_status")),
        sa.ForeignKeyConstraint(
            ["location"], ["location.code"], name=op.f("fk_supplier_location_location")
        ),
        sa.PrimaryKeyConstraint("code", name=op.f("pk_supplier")),
        sqlite_strict=True,
    )
    op.create_index(op.f("ix_supplier_location"), "supplier", ["location"], unique=True)
    is_due = sa.text("due_at IS NOT NULL")
    op.create_index(
        "ix_supplier_due_at",
        "supplier",
        ["due_at"],
        unique=False,
        sqlite_where=is_due,
        postgresql_where=is_due,
    )


def _runs() -> None:
    op.create_table(
        "supplier_run",
        sa.Column("id", TEXT, nullable=False),
        sa.Column("supplier", TEXT, nullable=False),
        sa.Column("status", TEXT, nullable=False),
        sa.Column("actor", TEXT, nullable=False),
        sa.Column("started_at", WHOLE, nullable=False),
        sa.Column("ended_at", WHOLE, nullable=True),
        sa.Column("applied", WHOLE, nullable=False),
        sa.Column("pages", WHOLE, nullable=False),
        sa.Column("rows", WHOLE, nullable=False),
        sa.Column("named", WHOLE, nullable=False),
        sa.Column("changed", WHOLE, nullable=False),
        sa.Column("unchanged", WHOLE, nullable=False),
        sa.Column("zeroed", WHOLE, nullable=False),
        sa.Column("refused", WHOLE, nullable=False),
        sa.Column("unknown", WHOLE, nullable=False),
        sa.Column("bad", WHOLE, nullable=False),
        sa.Column("error", TEXT, nullable=True),
        sa.Column("report", TEXT, nullable=False),
        sa.CheckConstraint(
            "status IN ('running', 'complete', 'not_modified', 'partial', 'failed')",
            name=op.f("ck_supplier_run_status"),
        ),
        sa.CheckConstraint("applied IN (0, 1)", name=op.f("ck_supplier_run_applied")),
        sa.CheckConstraint(
            "(status = 'running') = (ended_at IS NULL)", name=op.f("ck_supplier_run_ended_at")
        ),
        sa.ForeignKeyConstraint(
            ["supplier"], ["supplier.code"], name=op.f("fk_supplier_run_supplier_supplier")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_supplier_run")),
        sqlite_strict=True,
    )
    op.create_index(
        op.f("ix_supplier_run_supplier_id"), "supplier_run", ["supplier", "id"], unique=False
    )
    is_running = sa.text("status = 'running'")
    op.create_index(
        "ix_supplier_run_running",
        "supplier_run",
        ["supplier"],
        unique=True,
        sqlite_where=is_running,
        postgresql_where=is_running,
    )


def downgrade() -> None:
    raise NotImplementedError("Migrations go forward; restore a backup to go back.")
