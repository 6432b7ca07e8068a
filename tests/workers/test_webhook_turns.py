"""Several processes on one database: one of them delivers, and another takes over."""

from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from inventory_api.app import open_service
from inventory_api.clock import new_id
from inventory_api.domain.outcome import Outcome
from inventory_api.domain.types import Instant
from inventory_api.service import Service
from inventory_api.settings import Settings
from inventory_api.store.database import Session
from inventory_api.store.webhooks import delete_webhook, find_webhook
from inventory_api.workers.turns import Turn
from inventory_api.workers.webhook_journal import Journal
from tests.databases import Template
from tests.outbound.peer import Peer, reply
from tests.polling import until, until_told
from tests.stock_factory import open_shop
from tests.webhook_receiver import ALLOWED, add, received, sell, seqs, webhook

pytestmark = pytest.mark.postgres
GOOD = reply(200)


@pytest.fixture
def calling(tmp_path: Path, migrated_postgres: Template) -> Iterator[Settings]:
    with migrated_postgres.copied(tmp_path) as url:
        yield Settings(
            database_url=url,
            change_deadline_s=60,
            check_deadline_s=60,
            lease_s=2,
            webhook_tick_s=0.05,
            feed_tick_s=0.05,
            **ALLOWED,
        )


@pytest.fixture
async def services(calling: Settings) -> AsyncIterator[list[Service]]:
    async with AsyncExitStack() as exits:
        services = [await exits.enter_async_context(open_service(calling)) for _ in range(3)]
        await open_shop(services[0])
        yield services


async def position(service: Service) -> int:
    async with service.reading() as session:
        found = await find_webhook(session, "a")
    return -1 if found is None else found.cursor_seq


async def test_one_process_delivers_what_all_of_them_change(services: list[Service]) -> None:
    async with Peer(GOOD) as peer:
        await add(services[0], webhook("a", peer.url))
        for service in services:
            await sell(service, 2)
        await until(lambda: len(peer.requests) >= 6)

        assert seqs(received(peer)) == [1, 2, 3, 4, 5, 6]


async def test_another_process_takes_over_from_where_the_first_one_has_got(
    calling: Settings,
) -> None:
    async with Peer(GOOD) as peer, open_service(calling) as second:
        async with open_service(calling) as first:
            await open_shop(first)
            await add(first, webhook("a", peer.url))
            await sell(first, 3)
            await until(lambda: len(peer.requests) >= 3)
        await sell(second, 2)
        await until_told(lambda: _is_at(second, 5))

        assert seqs(received(peer)) == [1, 2, 3, 4, 5]


async def _is_at(service: Service, seq: int) -> bool:
    return await position(service) == seq


async def test_a_webhook_that_another_process_deletes_is_called_no_more(
    services: list[Service],
) -> None:
    async with Peer(GOOD) as peer:
        await add(services[0], webhook("a", peer.url))
        await sell(services[1], 1)
        await until_told(lambda: _is_at(services[0], 1))

        async def remove(session: Session, now: Instant) -> Outcome:
            return await delete_webhook(session, "a", now)

        await services[2].transact(remove, actor="test")
        await until_told(lambda: _is_followed_by_nobody(services))
        await sell(services[1], 1)

    assert seqs(received(peer)) == [1]


async def _is_followed_by_nobody(services: list[Service]) -> bool:
    counts = [one.metrics.registry.get_sample_value("inventory_feed_followers") for one in services]
    return not any(counts)


async def test_progress_of_a_process_whose_turn_is_over_is_not_written(calling: Settings) -> None:
    async with open_service(calling) as service:
        await open_shop(service)
        hook = webhook("a", "https://hooks.example.com/", status="disabled", disabled_at=Instant(1))
        await add(service, hook)
        late, next_one = (Turn(service, "deliveries of a test", new_id()) for _ in range(2))
        journal = Journal(service)
        _, journal.fence = await late.take()
        await late.give_back()
        await next_one.take()

        journal.passed(hook._replace(cursor_seq=7))
        await journal.write()

        assert journal.is_lost
        assert await position(service) == 0
