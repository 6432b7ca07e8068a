"""No query walks a table that grows: PostgreSQL's plans of what the service really sends."""

import asyncio
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import orjson
import pytest
from sqlalchemy import event, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from inventory_api.app import open_service
from inventory_api.domain.reservation import Reserve, ReserveLine
from inventory_api.domain.types import LocationCode
from inventory_api.service import RefusedError
from inventory_api.settings import Settings
from inventory_api.store.database import Database
from inventory_api.store.ledger import Filter, list_movements
from inventory_api.store.options import DatabaseOptions
from tests.databases import Template, run_aside
from tests.stock_factory import P001, open_shop
from tests.store.test_query_plans import READS

pytestmark = pytest.mark.postgres
GROWING = {
    *("movement", "operation", "level", "item", "idempotency", "reservation", "allocation"),
}
# What is archived is little; for a long list, walking it is cheaper than looking each name up.
SMALL = {"ix_item_archived"}
LATER = 4_102_444_800_000_000
# A shop of some size, so that a walk is never the cheaper plan: 20,000 items with a level in each
# of two places, and a history. Written past the service, which would take a minute.
FILLING = (
    "INSERT INTO item SELECT 'I' || to_char(n, 'FM00000'), 'x', NULL, NULL, NULL, '{}', 'active',"
    " 1, 1, 1 FROM generate_series(1, 20000) AS n",
    "INSERT INTO level SELECT sku, place, 9, 0, 0, 0, 1, 1 + row_number() OVER (ORDER BY place, sku),"
    " 0, 0, NULL, NULL, NULL FROM item, (VALUES ('main'), ('store-1')) AS places(place)"
    " WHERE sku LIKE 'I%'",
    "INSERT INTO movement SELECT seq, seq, 'o' || seq / 5, 'a', NULL, seq, 'adjust', sku, location,"
    " 1, 9, 0, 0, 0, 9, 0, 0, 0, 9, 'received', 0, 'line-' || seq, NULL FROM level WHERE sku LIKE 'I%'",
    "INSERT INTO operation SELECT operation_id, min(seq), 'a', NULL, 'adjust', 'atomic', 'received',"
    " CASE WHEN min(seq) % 2 = 0 THEN 'order:' || min(seq) END, NULL, min(seq), min(seq), max(seq),"
    " count(*), 0 FROM movement WHERE seq > 1 GROUP BY operation_id",
    "INSERT INTO idempotency SELECT 'a', 'k' || n, n, '', NULL, NULL, ''"
    " FROM generate_series(1, 20000) AS n",
    "INSERT INTO reservation SELECT 'r' || n, 'cart:' || n, 'a',"
    " CASE WHEN n % 2 = 0 THEN 'active' ELSE 'expired' END, 1, 1, 1"
    " FROM generate_series(1, 20000) AS n",
    "UPDATE item SET status = 'archived' WHERE sku > 'I19000' AND sku LIKE 'I%'",
    "INSERT INTO allocation SELECT sku, 'main', 'r' || row_number() OVER (), 0, 1, 1, 0, 0, 0, 0, 1,"
    " '', 1 FROM item WHERE sku LIKE 'I%'",
    f"UPDATE allocation SET held = 1, expired = 0, expires_at = {LATER} WHERE sku LIKE 'I%0'",
    f"UPDATE level SET next_expiry_at = {LATER}, reserved = 1 WHERE sku LIKE 'I%0' AND location = 'main'",
    "UPDATE ledger_head SET seq = 40001",
    "ANALYZE",
)


@pytest.fixture(scope="module")
def filled(migrated_postgres: Template) -> Iterator[str]:
    """A shop of some size, used by all tests of this module: what they change does not matter."""
    with migrated_postgres.copied() as url:

        async def open_it() -> None:
            async with open_service(Settings(database_url=url)) as service:
                await open_shop(service)
                await service.adjust([{"sku": "P001", "delta": 9}])

        asyncio.run(open_it())
        run_aside(url, *FILLING)
        yield url


class Sent(NamedTuple):
    """A statement as it reached the driver."""

    statement: str
    parameters: Sequence[Any]


@contextmanager
def traced(engine: AsyncEngine | None) -> Iterator[list[Sent]]:
    """What is sent on an engine's connections while inside."""
    assert engine is not None
    sent: list[Sent] = []

    def note(_connection: object, _cursor: object, statement: str, given: Any, *_: object) -> None:
        sent.append(Sent(statement, given))

    event.listen(engine.sync_engine, "before_cursor_execute", note)
    try:
        yield sent
    finally:
        event.remove(engine.sync_engine, "before_cursor_execute", note)


async def walks(connection: AsyncConnection, sent: Sequence[Sent]) -> list[tuple[str, str]]:
    """The steps of the statements' plans that read a growing table from end to end."""
    found = []
    for one in sent:
        if one.statement.startswith(("SELECT", "INSERT", "UPDATE", "DELETE", "WITH")):
            for plan in (await custom_plan(connection, one), await generic_plan(connection, one)):
                found += [(step, one.statement) for step in _walks(plan)]
    return found


async def custom_plan(connection: AsyncConnection, sent: Sent) -> Any:  # Any: a plan in JSON
    """How a statement is run with these parameters."""
    explained = f"EXPLAIN (FORMAT JSON) {sent.statement}"
    result = await connection.exec_driver_sql(explained, tuple(sent.parameters))
    return _plan(result.scalar_one())


async def generic_plan(connection: AsyncConnection, sent: Sent) -> Any:  # Any: as above
    """How it is run when it has been run often, whatever the parameters are."""
    count = len(set(re.findall(r"\$\d+", sent.statement)))
    given = f"({', '.join(['NULL'] * count)})" if count else ""
    await connection.execute(text("SET LOCAL plan_cache_mode = force_generic_plan"))
    await connection.exec_driver_sql(f"PREPARE explained AS {sent.statement}")
    result = await connection.exec_driver_sql(f"EXPLAIN (FORMAT JSON) EXECUTE explained{given}")
    plan = _plan(result.scalar_one())
    await connection.execute(text("DEALLOCATE explained"))
    return plan


def _plan(told: Any) -> Any:  # Any: JSON, which the driver may have taken apart
    return (orjson.loads(told) if isinstance(told, str) else told)[0]["Plan"]


def _walks(plan: Any, *, is_cut: bool = False) -> Iterator[str]:  # Any: a node of a plan
    """Scans of a whole table, and of a whole index unless a limit ends it early."""
    kind, table = plan["Node Type"], plan.get("Relation Name")
    is_whole = kind == "Seq Scan" or ("Index" in kind and not is_cut and "Index Cond" not in plan)
    if table in GROWING and is_whole and plan.get("Index Name") not in SMALL:
        yield f"{kind} on {table} {plan.get('Index Name', '')}"
    for child in plan.get("Plans", []):
        yield from _walks(child, is_cut=is_cut or kind == "Limit")


@pytest.mark.parametrize("name", READS)
async def test_no_documented_read_walks_a_table(filled: str, name: str) -> None:
    async with Database(DatabaseOptions(url=filled)) as database, database.writer() as session:
        with traced(database._writer) as sent:
            await READS[name](session)
        found = await walks(await session.connection(), sent)

    assert any(one.statement.startswith(("SELECT", "DELETE")) for one in sent)
    assert found == []


async def test_no_change_of_stock_walks_a_table(filled: str) -> None:
    async with open_service(Settings(database_url=filled)) as service:
        with traced(service.database._writer) as sent:
            await service.adjust([{"sku": "P001", "delta": 9, "line_id": "a"}], key="k1")
            await service.set([{"sku": "P001", "on_hand": 5, "expected_on_hand": 18}], key="k2")
            await service.transfer([{"sku": "P001", "to": "store-1", "quantity": 2}], reference="r")
            with pytest.raises(RefusedError):
                await service.adjust([{"sku": "P001", "delta": -9}], reason="sale", key="k3")
            line = ReserveLine(P001, LocationCode("main"), 1)
            held = Reserve(lines=(line,), ttl_us=60_000_000, reference="cart:x", declared=True)
            anywhere = Reserve(lines=(line._replace(location=None),), ttl_us=60_000_000)
            for one in (held, anywhere):
                assert (await service.submit(one, actor="test")).refused is None
        async with service.database.writer() as session:
            found = await walks(await session.connection(), sent)

    assert {one.statement.split()[0] for one in sent} >= {"SELECT", "INSERT", "WITH"}
    assert found == []


async def test_a_change_of_a_hundred_lines_walks_no_table_either(filled: str) -> None:
    lines = [{"sku": f"I{number:05}", "delta": 1} for number in range(1, 10_000, 100)]
    async with open_service(Settings(database_url=filled)) as service:
        with traced(service.database._writer) as sent:
            await service.adjust(lines, key="large")
        async with service.database.writer() as session:
            found = await walks(await session.connection(), sent)

    assert found == []


async def test_movements_of_a_reference_are_reached_through_its_operations(filled: str) -> None:
    async with Database(DatabaseOptions(url=filled)) as database, database.writer() as session:
        with traced(database._writer) as sent:
            await list_movements(session, Filter(reference="order:1"), after=5, limit=9)
        plan = await custom_plan(await session.connection(), sent[-1])

    assert {"ix_operation_reference", "pk_movement"} <= set(_indexes(plan))


def _indexes(plan: Any) -> Iterator[str]:  # Any: a node of a plan
    if name := plan.get("Index Name"):
        yield name
    for child in plan.get("Plans", []):
        yield from _indexes(child)


@pytest.mark.parametrize(
    "wanted",
    [Filter(sku="P002"), Filter(reference="order:x"), Filter(reference="order:x", sku="P002")],
    ids=["item", "reference", "item_and_reference"],
)
async def test_a_rare_movement_in_a_long_ledger_costs_a_few_pages(
    filled: str, wanted: Filter
) -> None:
    async with open_service(Settings(database_url=filled)) as service:
        await service.adjust([{"sku": "P002", "delta": 1}], reference="order:x")
    async with Database(DatabaseOptions(url=filled)) as database, database.writer() as session:
        with traced(database._writer) as sent:
            found = await list_movements(session, wanted, after=0, limit=10)
        connection = await session.connection()
        pages = [await pages_of(connection, one) for one in sent]

    assert found
    assert sum(pages) < 100


async def pages_of(connection: AsyncConnection, sent: Sent) -> int:
    """How many pages a statement looks at."""
    explained = f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {sent.statement}"
    plan = _plan((await connection.exec_driver_sql(explained, tuple(sent.parameters))).scalar_one())
    pages: int = plan["Shared Hit Blocks"] + plan["Shared Read Blocks"]
    return pages
