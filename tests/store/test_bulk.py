"""Lists as one parameter, rows as tuples."""

import pytest
from sqlalchemy import select

from inventory_api.store.bulk import (
    STEPS,
    VALUES,
    execute_many,
    fetch,
    listed,
    many_inserts,
    many_updates,
    many_upserts,
    prepare,
)
from inventory_api.store.database import Database
from inventory_api.store.tables import Table
from tests.ledger_oracle import rows_of

ITEMS = Table.metadata.tables["item"]


ROW = ("P001", "笔", None, "1.10", "CNY", "{}", "active", 1, 2, 3)
ALL = "SELECT * FROM item ORDER BY sku"


def test_a_list_is_sorted() -> None:
    assert listed({"b", "a", "ä", '"'})["listed"] == ['"', "a", "b", "ä"]


async def test_a_list_of_ten_thousand_names_is_one_statement(database: Database) -> None:
    names = [f"P{number:05}" for number in range(10_000)]

    async with database.reader() as session:
        result = await session.execute(VALUES, listed(names))

    assert list(result.scalars()) == names


@pytest.mark.parametrize("number", [0, -1, 2**53 + 1, 2**63 - 1])
async def test_numbers_in_a_list_are_exact(database: Database, number: int) -> None:
    columns = prepare(select(STEPS.c.first, STEPS.c.second, STEPS.c.third).select_from(STEPS))

    async with database.reader() as session:
        rows = await fetch(session, columns, listed([(number, "a", "é")]))

    assert rows == [(number, "a", "é")]


async def test_rows_are_written_in_the_order_of_the_columns(database: Database) -> None:
    other = ("P002", *ROW[1:])

    async with database.writer() as session:
        await execute_many(session, many_inserts(ITEMS), [ROW, other])
        await session.commit()

    assert [tuple(one.values()) for one in await rows_of(database, ALL)] == [ROW, other]


async def test_rows_that_exist_are_changed_where_they_are_named(database: Database) -> None:
    upsert = many_upserts(ITEMS, keys=["sku"], changing=["name", "version"])
    other = ("P002", *ROW[1:])

    async with database.writer() as session:
        await execute_many(session, upsert, [ROW])
        await execute_many(session, upsert, [("P001", "new", *ROW[2:7], 9, 9, 9), other])
        await session.commit()

    changed = ("P001", "new", *ROW[2:7], 9, *ROW[8:])
    assert [tuple(one.values()) for one in await rows_of(database, ALL)] == [changed, other]


async def test_each_row_is_updated_with_its_own_values(database: Database) -> None:
    update = many_updates(ITEMS, set_=["barcode", "version"], keys=["sku"])

    async with database.writer() as session:
        await execute_many(session, many_inserts(ITEMS), [ROW, ("P002", *ROW[1:])])
        await execute_many(session, update, [("42", 7, "P002"), (None, 8, "P001")])
        await session.commit()

    found = {one["sku"]: (one["barcode"], one["version"]) for one in await rows_of(database, ALL)}
    assert found == {"P001": (None, 8), "P002": ("42", 7)}


async def test_no_rows_are_no_statement(database: Database) -> None:
    async with database.reader() as session:
        await execute_many(session, many_inserts(ITEMS), [])
