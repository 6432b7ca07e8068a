"""What a batch hands to PostgreSQL: rows as one array of a type for each table.

A type is never changed, since processes of the version before still use it: who needs another
column makes another type, and drops this one when nothing uses it any more.
"""

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

TYPES = {
    "movement_row": """
        seq bigint, recorded_at bigint, operation_id text, actor text, reference text,
        occurred_at bigint, type text, sku text, location text, level_version bigint,
        d_on_hand bigint, d_reserved bigint, d_committed bigint, d_incoming bigint,
        on_hand bigint, reserved bigint, committed bigint, incoming bigint, available bigint,
        reason text, oversold_by bigint, line_id text, reservation_id text
    """,
    "operation_row": """
        id text, recorded_at bigint, actor text, key text, type text, mode text, reason text,
        reference text, note text, occurred_at bigint, first_seq bigint, last_seq bigint,
        applied bigint, rejected bigint
    """,
    "level_row": """
        sku text, location text, on_hand bigint, reserved bigint, committed bigint,
        incoming bigint, version bigint, seq bigint, safety_stock bigint, backorder_limit bigint,
        reorder_point bigint, reorder_to bigint, next_expiry_at bigint
    """,
    "balance_row": """
        on_hand bigint, reserved bigint, committed bigint, incoming bigint, version bigint,
        seq bigint, next_expiry_at bigint, sku text, location text
    """,
}


def upgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        for name, columns in TYPES.items():
            op.execute(f"CREATE TYPE {name} AS ({columns})")


def downgrade() -> None:
    raise NotImplementedError("Migrations go forward; restore a backup to go back.")
