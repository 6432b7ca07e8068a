"""What several processes agree on: who does a background job, and whether a key has changed."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

# STRICT tables of SQLite know INTEGER, TEXT and BLOB only.
WHOLE = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
# By its bytes, whatever the database's language is.
TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "lease",
        sa.Column("name", TEXT, nullable=False),
        sa.Column("holder", TEXT, nullable=False),
        sa.Column("token", WHOLE, nullable=False),
        sa.Column("expires_at", WHOLE, nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_lease")),
        sqlite_strict=True,
    )
    op.create_table(
        "keyring",
        sa.Column("id", WHOLE, autoincrement=False, nullable=False),
        sa.Column("version", WHOLE, nullable=False),
        sa.CheckConstraint("id = 1", name=op.f("ck_keyring_one_row")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_keyring")),
        sqlite_strict=True,
    )
    op.execute("INSERT INTO keyring (id, version) VALUES (1, 0)")


def downgrade() -> None:
    raise NotImplementedError("Migrations go forward; restore a backup to go back.")
