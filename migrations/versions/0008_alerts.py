"""Alerts: what each movement crosses, and what was last told of each level.

Levels that exist get the state that they are in, so that nothing is told anew. Movements are never
changed: those from before have no `alerts`.
"""

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

# Rows of a batch on PostgreSQL; those of 0007 stay as long as processes of that version may run.
TYPES = {
    "movement_row_2": """
        seq bigint, recorded_at bigint, operation_id text, actor text, reference text,
        occurred_at bigint, type text, sku text, location text, level_version bigint,
        d_on_hand bigint, d_reserved bigint, d_committed bigint, d_incoming bigint,
        on_hand bigint, reserved bigint, committed bigint, incoming bigint, available bigint,
        reason text, oversold_by bigint, line_id text, reservation_id text, alerts bigint
    """,
    "level_row_2": """
        sku text, location text, on_hand bigint, reserved bigint, committed bigint,
        incoming bigint, version bigint, seq bigint, safety_stock bigint, backorder_limit bigint,
        reorder_point bigint, reorder_to bigint, next_expiry_at bigint, alert bigint,
        rearm_at bigint
    """,
    "balance_row_2": """
        on_hand bigint, reserved bigint, committed bigint, incoming bigint, version bigint,
        seq bigint, next_expiry_at bigint, alert bigint, sku text, location text
    """,
}
# As INVENTORY_ALERT_MARGIN_PERCENT is if nobody says otherwise: a tenth, rounded up, one at least.
# 1: low, 2: out. Whether a level that has nothing ever had anything would take the whole ledger to
# tell; taken for out it is told once as back, when it first has something.
STATES = (
    "UPDATE level SET rearm_at = reorder_point"
    " + CASE WHEN reorder_point < 10 THEN 1 ELSE (reorder_point + 9) / 10 END"
    " WHERE reorder_point IS NOT NULL",
    "UPDATE level SET alert = alert + 1"
    " WHERE on_hand - reserved - committed - safety_stock <= reorder_point",
    "UPDATE level SET alert = alert + 2 WHERE on_hand - reserved - committed - safety_stock <= 0",
)


def upgrade() -> None:
    is_shared = op.get_bind().dialect.name == "postgresql"
    # STRICT tables of SQLite know INTEGER, TEXT and BLOB only.
    whole = "BIGINT" if is_shared else "INTEGER"
    op.execute(
        f"ALTER TABLE level ADD COLUMN alert {whole} DEFAULT 0 NOT NULL"
        " CONSTRAINT ck_level_alert CHECK (alert BETWEEN 0 AND 3)"
    )
    op.execute(f"ALTER TABLE level ADD COLUMN rearm_at {whole}")
    op.execute(f"ALTER TABLE movement ADD COLUMN alerts {whole}")
    for statement in STATES:
        op.execute(statement)
    if is_shared:
        for name, columns in TYPES.items():
            op.execute(f"CREATE TYPE {name} AS ({columns})")


def downgrade() -> None:
    raise NotImplementedError("Migrations go forward; restore a backup to go back.")
