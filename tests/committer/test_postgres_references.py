"""One cart, asked for at two processes at the same moment: the second one knows what the first did."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, contextmanager

import orjson
import pytest

from inventory_api.app import open_service
from inventory_api.domain.outcome import Outcome
from inventory_api.domain.rejections import Code
from inventory_api.domain.reservation import Reserve, ReserveLine
from inventory_api.domain.types import SKU, LocationCode
from inventory_api.service import Service
from inventory_api.settings import Settings
from tests.committer.writer_gate import send
from tests.databases import Template, other_connection
from tests.ledger_oracle import assert_sound
from tests.polling import until_told
from tests.postgres import Run
from tests.stock_factory import open_shop

pytestmark = pytest.mark.postgres
WAITING = (
    "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'inventory-api'"
    " AND datname = current_database() AND wait_event_type = 'Lock'"
)


@pytest.fixture
def database_url(migrated_postgres: Template) -> Iterator[str]:
    with migrated_postgres.copied() as url:
        yield url


@pytest.fixture
async def processes(settings: Settings) -> AsyncIterator[list[Service]]:
    """Two services that wait long for each other."""
    chosen = settings.model_copy(update={"busy_timeout_s": 30})
    async with AsyncExitStack() as exits:
        services = [await exits.enter_async_context(open_service(chosen)) for _ in range(2)]
        await open_shop(services[0])
        yield services


def declared(quantity: int, *, allow_partial: bool = False) -> Reserve:
    line = ReserveLine(SKU("P001"), LocationCode("main"), quantity)
    return Reserve(
        lines=(line,),
        ttl_us=60_000_000,
        reference="cart:1",
        declared=True,
        allow_partial=allow_partial,
    )


@contextmanager
def level_locked(url: str) -> Iterator[Run]:
    """While inside, nobody gets at the level of P001; those who wait get it in their order."""
    with other_connection(url) as run:
        run("BEGIN")
        run("SELECT 1 FROM level WHERE sku = 'P001' FOR UPDATE")
        yield run
        run("ROLLBACK")


async def one_behind_the_other(processes: list[Service], *asked: Reserve) -> list[Outcome]:
    """Have each process look at the cart before any of them has the level."""
    tasks = []
    with level_locked(processes[0].database.options.url) as run:
        for service, one in zip(processes, asked, strict=True):
            tasks.append(send(service, one))

            async def is_waiting(wanted: int = len(tasks)) -> bool:
                return run(WAITING) == [(wanted,)]

            await until_told(is_waiting)
    return await asyncio.gather(*tasks)


@pytest.mark.parametrize("allow_partial", [False, True], ids=["all", "a_part"])
async def test_a_cart_that_another_process_has_just_filled_has_what_is_asked_for_it(
    processes: list[Service], allow_partial: bool
) -> None:
    """The last unit is the cart's own: who looked before it was can't refuse it for want of it."""
    await processes[0].adjust([{"sku": "P001", "delta": 1}])

    told = await one_behind_the_other(
        processes, declared(1), declared(1, allow_partial=allow_partial)
    )

    assert [one.refused for one in told] == [None, None]
    first, second = (orjson.loads(one.answer) for one in told)
    assert (first["created"], second["created"]) == (True, False)
    assert (second["id"], second["lines"][0]["held"]) == (first["id"], 1)
    await assert_sound(processes[0].database)


async def test_a_cart_that_wants_more_than_there_is_with_its_own_is_told_so(
    processes: list[Service],
) -> None:
    await processes[0].adjust([{"sku": "P001", "delta": 2}])

    told = await one_behind_the_other(processes, declared(2), declared(3))

    assert [one.refused for one in told] == [None, Code.INSUFFICIENT_STOCK]
    (line,) = orjson.loads(told[1].answer)["lines"]
    assert line["error"]["available"] == 2
    await assert_sound(processes[0].database)
