"""No query walks a table that grows: SQLite's plans of what the service really sends."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import orjson
import pytest
from sqlalchemy import text

from inventory_api.domain.types import Instant
from inventory_api.service import RefusedError, Service
from inventory_api.store.availability import check, stock_of
from inventory_api.store.catalog import find_item, find_items, find_location, list_items
from inventory_api.store.counts import counts_named, find_counts, lines_of, sheets_of
from inventory_api.store.database import Session
from inventory_api.store.demand import Window, demand_of, stocked_levels
from inventory_api.store.holds import (
    due_ids,
    due_levels,
    due_units,
    hold_page,
    holds_of,
    last_ids,
    newest_id,
    next_expiries,
    open_ids,
    promises_at,
)
from inventory_api.store.idempotency import forget_before
from inventory_api.store.keys import find_key, list_keys
from inventory_api.store.ledger import (
    Filter,
    find_operation,
    list_movements,
    movements_of,
    seq_at,
    steps_at,
)
from inventory_api.store.levels import head_seq, list_levels
from inventory_api.store.shipments import (
    consignments_of,
    expected_at_levels,
    find_shipments,
    is_under_way,
)
from inventory_api.store.snapshot import levels_of
from tests.count_factory import opening, recording, settling, tally
from tests.sqlite_driver import sqlite_of, writer_of
from tests.stock_factory import adjust, command, key, level

pytestmark = pytest.mark.sqlite

Query = Callable[[Session], Awaitable[object]]
GROWING = (
    "movement",
    "operation",
    "level",
    "item",
    "idempotency",
    "reservation",
    "allocation",
    "count_sheet",
    "count_line",
    "shipment",
    "shipment_line",
)


@asynccontextmanager
async def traced(session: Session) -> AsyncIterator[list[str]]:
    """What reaches SQLite on the session's connection, parameters filled in."""
    connection = await sqlite_of(session)
    statements: list[str] = []
    connection.set_trace_callback(statements.append)
    try:
        yield statements
    finally:
        connection.set_trace_callback(None)


async def walks(session: Session, statements: list[str]) -> list[tuple[str, str]]:
    """The steps of the statements' plans that read a growing table from end to end."""
    found = []
    for statement in statements:
        if not statement.startswith(("SELECT", "INSERT", "UPDATE", "DELETE")):
            continue
        plan = await session.execute(text("EXPLAIN QUERY PLAN " + statement.replace(":", r"\:")))
        details = [row[3] for row in plan]
        found += [(one, statement) for one in details if one.startswith(SCANS)]
    return found


SCANS = tuple(f"SCAN {table}" for table in GROWING)


async def test_no_change_of_stock_walks_a_table(service: Service) -> None:
    writer = await writer_of(service.database)
    statements: list[str] = []
    writer.set_trace_callback(statements.append)

    await service.adjust([{"sku": "P001", "delta": 9, "line_id": "a"}], key="k1")
    await service.set([{"sku": "P001", "on_hand": 5, "expected_on_hand": 9}], key="k2")
    await service.transfer([{"sku": "P001", "to": "store-1", "quantity": 2}], reference="r")
    opened = await service.submit(opening("P001"), actor="test")
    name = orjson.loads(opened.answer)["id"]
    await service.submit(recording(name, tally(2, version=1), tally(1, "P002")), actor="test")
    await service.submit(settling("post", name), actor="test")
    with pytest.raises(RefusedError):
        await service.adjust([{"sku": "P001", "delta": -9}], reason="sale", key="k3")
    writer.set_trace_callback(None)

    verbs = {statement.split()[0] for statement in statements}
    assert verbs >= {"BEGIN", "SELECT", "INSERT", "UPDATE", "COMMIT"}
    async with service.database.reader() as session:
        assert await walks(session, statements) == []


ONE = level(9, version=1)
READS: dict[str, Query] = {
    "level": lambda session: levels_of(session, [key(), key("P002")]),
    "stock_of_items": lambda session: stock_of(session, ["P001", "P002"], Instant(0)),
    "check": lambda session: check(
        session, [{"sku": "P1", "location": "a"}, {"sku": "P2"}], None, Instant(0)
    ),
    "head": head_seq,
    "holds": lambda session: holds_of(session, ["r1", "r2"]),
    "newest_hold": newest_id,
    "hold_page": lambda session: hold_page(session, after="r1", until="r2", limit=9),
    "open_holds": lambda session: open_ids(session, ["cart:1", "cart:2"]),
    "last_holds": lambda session: last_ids(session, ["cart:1", "cart:2"]),
    "due_holds": lambda session: due_ids(session, [key()], Instant(0), limit=9),
    "due_units": lambda session: due_units(session, [key()], Instant(0)),
    "next_expiries": lambda session: next_expiries(session, [key()], Instant(0)),
    "due_levels": lambda session: due_levels(session, Instant(0), limit=9),
    "promises": lambda session: promises_at(session, [key()], Instant(0), limit=9),
    "counts": lambda session: sheets_of(session, ["c1", "c2"]),
    "lines_of_a_count": lambda session: lines_of(session, "c1"),
    "list_counts": lambda session: find_counts(session, after="c1", limit=9),
    "list_counts_by_status": lambda session: find_counts(
        session, after="c1", limit=9, status="open"
    ),
    "list_counts_of_some_locations": lambda session: find_counts(
        session, after="c1", limit=9, reference="r", locations=["main", "store-1"]
    ),
    "count_a_location": lambda session: counts_named(session, [opening()]),
    "shipments": lambda session: consignments_of(session, ["s1", "s2"]),
    "expected": lambda session: expected_at_levels(session, [key()], limit=9),
    "under_way": lambda session: is_under_way(session, "transit"),
    "list_transfers": lambda session: find_shipments(
        session, kind="transfer", after="s", limit=9, status=None, reference=None
    ),
    "list_open_inbounds": lambda session: find_shipments(
        session, kind="inbound", after="s", limit=9, status="open", reference=None
    ),
    "list_inbounds_of_a_reference": lambda session: find_shipments(
        session, kind="inbound", after="s", limit=9, status=None, reference="po:77"
    ),
    "item": lambda session: find_item(session, "P001"),
    "items": lambda session: find_items(session, ["P001", "P002"]),
    "location": lambda session: find_location(session, "main"),
    "operation": lambda session: find_operation(session, "op"),
    "api_key": lambda session: find_key(session, "k"),
    "list_api_keys": lambda session: list_keys(session, after="k", limit=9),
    "list_items": lambda session: list_items(session, q=None, status=None, after="P1", limit=9),
    "list_archived_items": lambda session: list_items(
        session, q=None, status="archived", after="P1", limit=9
    ),
    "list_levels": lambda session: list_levels(session, after=key("P1", "a"), limit=9),
    "list_levels_of_a_location": lambda session: list_levels(
        session, after=key("P1", "a"), limit=9, locations=["main"]
    ),
    "movements": lambda session: list_movements(session, Filter(), after=5, limit=9),
    "movements_of_an_operation": lambda session: list_movements(
        session, Filter(operation_id="op"), after=5, limit=9
    ),
    "movements_of_a_reference": lambda session: list_movements(
        session, Filter(reference="order:1"), after=5, limit=9
    ),
    "demand_of_levels": lambda session: demand_of(session, [level(9)], Window(Instant(9), 1, 0, 9)),
    "levels_that_sell": lambda session: stocked_levels(
        session, after=key(), limit=9, locations=None
    ),
    "named_movements": lambda session: movements_of(session, [(1, *key()), (2, *key())]),
    "steps_at_a_number": lambda session: steps_at(session, [ONE], 9),
    "number_at_a_time": lambda session: seq_at(session, Instant(1)),
    "outdated_outcomes": lambda session: forget_before(session, Instant(1), rows_max=9),
}


@pytest.mark.parametrize("name", READS)
async def test_no_documented_read_walks_a_table(service: Service, name: str) -> None:
    await service.adjust([{"sku": "P001", "delta": 9}])
    async with service.database.reader() as session:
        async with traced(session) as statements:
            await READS[name](session)

        assert any(statement.startswith("SELECT") for statement in statements)
        assert await walks(session, statements) == []


async def index_of(service: Service, wanted: Filter) -> str:
    """How the movements of a filter are reached."""
    async with service.database.reader() as session:
        async with traced(session) as statements:
            await list_movements(session, wanted, after=5, limit=9)
        (statement,) = [one for one in statements if one.startswith("SELECT")]
        plan = await session.execute(text("EXPLAIN QUERY PLAN " + statement.replace(":", r"\:")))
        return " / ".join(row[3] for row in plan)


async def test_movements_of_a_reference_are_reached_through_its_operations(
    service: Service,
) -> None:
    plan = await index_of(service, Filter(reference="order:1"))

    assert "ix_operation_reference (reference=?)" in plan
    assert "SEARCH movement USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)" in plan


async def steps_of(service: Service, query: Query) -> int:
    """Hundreds of instructions that SQLite's machine runs for a query."""
    hundreds = 0

    def count() -> int:
        nonlocal hundreds
        hundreds += 1
        return 0

    async with service.database.reader() as session:
        connection = await sqlite_of(session)
        connection.set_progress_handler(count, 100)
        await query(session)
        connection.set_progress_handler(None, 0)
    return hundreds


@pytest.mark.parametrize(
    "wanted",
    [Filter(sku="P002"), Filter(reference="order:1"), Filter(reference="order:1", sku="P002")],
    ids=["item", "reference", "item_and_reference"],
)
async def test_a_rare_movement_in_a_long_ledger_costs_no_more_than_in_a_short_one(
    service: Service, wanted: Filter
) -> None:
    async def find(session: Session) -> object:
        return await list_movements(session, wanted, after=0, limit=10)

    await service.adjust([{"sku": "P002", "delta": 1}], reference="order:1")
    short = await steps_of(service, find)
    await service.submit(command(*[adjust(1) for _ in range(5_000)]), actor="test")

    assert await steps_of(service, find) <= 2 * short + 5
