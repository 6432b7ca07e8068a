"""Deliveries that are remembered for a time only."""

from inventory_api.domain.types import Instant
from inventory_api.domain.webhook import Delivery
from inventory_api.store.database import Database
from inventory_api.store.webhooks import (
    create_webhook,
    forget_deliveries,
    list_deliveries,
    write_progress,
)
from tests.webhook_receiver import webhook

URL = "https://hooks.example.com/"


def delivery(of: str, number: int, status: str, *, updated_at: int) -> Delivery:
    at = Instant(updated_at)
    event = f"evt_{number}_level.changed"
    return Delivery(
        of, number, event, "level.changed", number, status, 1, 500, None, 3, None, at, at
    )


async def test_old_deliveries_are_forgotten_unless_their_webhook_still_tries_them(
    database: Database,
) -> None:
    trying = webhook("trying", URL, deliveries=4)
    given_up = webhook("given-up", URL, deliveries=4, status="disabled", disabled_at=Instant(1))
    async with database.writer() as session:
        for one in (trying, given_up):
            await create_webhook(session, one, after=0, webhooks_max=10)
            rows = [
                delivery(one.id, 1, "delivered", updated_at=5),
                delivery(one.id, 2, "pending", updated_at=5),
                delivery(one.id, 3, "failed", updated_at=9),
                delivery(one.id, 4, "pending", updated_at=9),
            ]
            await write_progress(session, [one], rows, keep=100)
        await session.commit()

    async with database.writer() as session:
        removed = [await forget_deliveries(session, Instant(9), rows_max=2) for _ in range(3)]
        await session.commit()

    assert removed == [2, 1, 0]
    async with database.reader() as session:
        left = [
            [
                row.number
                for row in await list_deliveries(session, one.id, before=99, status=None, limit=9)
            ]
            for one in (trying, given_up)
        ]
    assert left == [[4, 3, 2], [4, 3]]
