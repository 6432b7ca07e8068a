"""Webhooks, how far each has got in the ledger, and what was delivered last."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

# STRICT tables of SQLite know INTEGER, TEXT and BLOB only.
WHOLE = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
# By its bytes, whatever the database's language is.
TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "webhook",
        sa.Column("id", TEXT, nullable=False),
        sa.Column("url", TEXT, nullable=False),
        sa.Column("description", TEXT, nullable=True),
        sa.Column("events", TEXT, nullable=True),
        sa.Column("skus", TEXT, nullable=True),
        sa.Column("locations", TEXT, nullable=True),
        sa.Column("status", TEXT, nullable=False),
        sa.Column("disabled_reason", TEXT, nullable=True),
        sa.Column("disabled_at", WHOLE, nullable=True),
        sa.Column("secret", TEXT, nullable=False),
        sa.Column("secret_before", TEXT, nullable=True),
        sa.Column("secret_before_ends_at", WHOLE, nullable=True),
        sa.Column("cursor_seq", WHOLE, nullable=False),
        sa.Column("cursor_rank", WHOLE, nullable=False),
        sa.Column("attempts", WHOLE, nullable=False),
        sa.Column("next_attempt_at", WHOLE, nullable=True),
        sa.Column("failing_since", WHOLE, nullable=True),
        sa.Column("deliveries", WHOLE, nullable=False),
        sa.Column("epoch", WHOLE, nullable=False),
        sa.Column("version", WHOLE, nullable=False),
        sa.Column("created_at", WHOLE, nullable=False),
        sa.Column("updated_at", WHOLE, nullable=False),
        sa.CheckConstraint("status IN ('active', 'disabled')", name=op.f("ck_webhook_status")),
        sa.CheckConstraint(
            "(status = 'disabled') = (disabled_at IS NOT NULL)", name=op.f("ck_webhook_disabled_at")
        ),
        sa.CheckConstraint("cursor_seq >= 0 AND cursor_rank >= 0", name=op.f("ck_webhook_cursor")),
        sa.CheckConstraint("attempts >= 0 AND deliveries >= 0", name=op.f("ck_webhook_counts")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_webhook")),
        sqlite_strict=True,
    )
    op.create_table(
        "webhook_delivery",
        sa.Column("webhook_id", TEXT, nullable=False),
        sa.Column("number", WHOLE, nullable=False, autoincrement=False),
        sa.Column("event_id", TEXT, nullable=False),
        sa.Column("type", TEXT, nullable=False),
        sa.Column("seq", WHOLE, nullable=False),
        sa.Column("status", TEXT, nullable=False),
        sa.Column("attempts", WHOLE, nullable=False),
        sa.Column("code", WHOLE, nullable=True),
        sa.Column("error", TEXT, nullable=True),
        sa.Column("duration_ms", WHOLE, nullable=False),
        sa.Column("next_attempt_at", WHOLE, nullable=True),
        sa.Column("created_at", WHOLE, nullable=False),
        sa.Column("updated_at", WHOLE, nullable=False),
        sa.CheckConstraint(
            "status IN ('pending', 'delivered', 'failed')", name=op.f("ck_webhook_delivery_status")
        ),
        sa.ForeignKeyConstraint(
            ["webhook_id"],
            ["webhook.id"],
            name=op.f("fk_webhook_delivery_webhook_id_webhook"),
        ),
        sa.PrimaryKeyConstraint("webhook_id", "number", name=op.f("pk_webhook_delivery")),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )
