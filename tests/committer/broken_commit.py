"""A transaction whose COMMIT fails, for real."""

from sqlalchemy import text

from inventory_api.domain.outcome import Outcome
from inventory_api.domain.types import Instant
from inventory_api.store.database import Session


async def fail_at_commit(session: Session, now: Instant) -> Outcome:
    """Leaves a broken reference that SQLite finds only when it commits."""
    await session.execute(text("PRAGMA defer_foreign_keys = ON"))
    await session.execute(
        text(
            "INSERT INTO level VALUES ('nobody', 'main', 1, 0, 0, 0, 1, 1, 0, 0, NULL, NULL, NULL)"
        )
    )
    return Outcome(b"{}")
