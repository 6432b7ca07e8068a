"""What holds cost that are not asked about: nothing."""

import sqlite3
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from inventory_api.domain.types import Instant
from inventory_api.service import Service
from inventory_api.store.database import Session
from inventory_api.store.holds import due_ids, due_units, next_expiries
from tests.battery.many_holds import write_holds
from tests.sqlite_driver import sqlite_of
from tests.stock_factory import key

FEW, MANY = 10, 2_000
ENDS_AT_US = 2_000_000_000_000_000
NOW = Instant(1_700_000_000_000_000)
STEP = 10
QUERIES: dict[str, Callable[[Session, str], Awaitable[object]]] = {
    "next end": lambda session, sku: next_expiries(session, [key(sku)], NOW),
    "due holds": lambda session, sku: due_ids(session, [key(sku)], NOW, limit=9),
    "due units": lambda session, sku: due_units(session, [key(sku)], NOW),
}


@pytest.fixture
async def held(service: Service, tmp_path: Path) -> Service:
    """P001 has few holds, P002 many; none is due."""
    await service.adjust([{"sku": "P001", "delta": FEW}, {"sku": "P002", "delta": MANY}])
    for sku, holds in (("P001", FEW), ("P002", MANY)):
        write_holds(service.settings.database_url, [sku], each=holds, ends_at_us=ENDS_AT_US)
    return service


@pytest.mark.sqlite
@pytest.mark.parametrize("query", QUERIES.values(), ids=QUERIES)
async def test_a_question_about_ends_takes_as_many_steps_with_many_holds_as_with_few(
    held: Service, query: Callable[[Session, str], Awaitable[object]]
) -> None:
    async with held.database.reader() as session:
        connection = await sqlite_of(session)
        few = await _steps(connection, lambda: query(session, "P001"))
        many = await _steps(connection, lambda: query(session, "P002"))

    assert many <= few + 5 * STEP


async def test_the_next_end_is_that_of_the_first_hold_that_has_not_ended(held: Service) -> None:
    async with held.database.reader() as session:
        before = await next_expiries(session, [key("P001"), key("P003")], NOW)
        after = await next_expiries(session, [key("P001")], Instant(ENDS_AT_US))

    assert before == {key("P001"): ENDS_AT_US}
    assert after == {}


async def _steps(connection: sqlite3.Connection, ask: Callable[[], Awaitable[object]]) -> int:
    """Steps of SQLite's machine, to the nearest ten."""
    count = 0

    def tick() -> int:
        nonlocal count
        count += STEP
        return 0

    await ask()
    connection.set_progress_handler(tick, STEP)
    await ask()
    connection.set_progress_handler(None, 0)
    return count
