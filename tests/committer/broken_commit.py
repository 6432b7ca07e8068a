"""A transaction whose COMMIT fails, for real."""

from sqlalchemy import text

from inventory_api.domain.outcome import Outcome
from inventory_api.domain.types import Instant
from inventory_api.store.database import Session

_DEBTS = "CREATE TABLE debt (owner TEXT REFERENCES item (sku) DEFERRABLE INITIALLY DEFERRED)"


async def fail_at_commit(session: Session, now: Instant) -> Outcome:
    """Leaves a broken reference that the database finds only when it commits."""
    await session.execute(text(_DEBTS))
    await session.execute(text("INSERT INTO debt VALUES ('nobody')"))
    return Outcome(b"{}")


async def break_commits_about(session: Session, reference: str) -> None:
    """From now on the COMMIT of an operation with that reference fails."""
    await session.execute(text(_DEBTS))
    if (await session.connection()).dialect.name == "sqlite":
        await session.execute(
            text(
                "CREATE TRIGGER make_debt AFTER INSERT ON operation"
                f" WHEN NEW.reference = '{reference}'"
                " BEGIN INSERT INTO debt VALUES ('nobody'); END"
            )
        )
        return
    await session.execute(
        text(
            "CREATE FUNCTION make_debt() RETURNS trigger LANGUAGE plpgsql AS"
            " $$ BEGIN INSERT INTO debt VALUES ('nobody'); RETURN NULL; END $$"
        )
    )
    await session.execute(
        text(
            "CREATE TRIGGER make_debt AFTER INSERT ON operation FOR EACH ROW"
            f" WHEN (NEW.reference = '{reference}') EXECUTE FUNCTION make_debt()"
        )
    )
