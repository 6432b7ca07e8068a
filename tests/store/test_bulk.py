"""Lists as one parameter, rows as tuples."""

import orjson
import pytest
from sqlalchemy import insert, select

from inventory_api.store.bulk import FIRST, LISTED, SECOND, VALUES, execute_many, listed, prepare
from inventory_api.store.database import Database
from inventory_api.store.tables import Table
from tests.ledger_oracle import rows_of

ITEMS = Table.metadata.tables["item"]


def test_a_list_is_one_parameter_in_sorted_order() -> None:
    assert orjson.loads(listed({"b", "a", "ä", '"'})["listed"]) == ['"', "a", "b", "ä"]
    assert orjson.loads(listed({("b", 1), ("a", 2)})["listed"]) == [["a", 2], ["b", 1]]


async def test_a_list_of_ten_thousand_names_is_one_statement(database: Database) -> None:
    names = [f"P{number:05}" for number in range(10_000)]

    async with database.reader() as session:
        result = await session.execute(VALUES, listed(names))

    assert list(result.scalars()) == names


@pytest.mark.parametrize("number", [0, -1, 2**53 + 1, 2**63 - 1])
async def test_numbers_in_a_list_are_exact(database: Database, number: int) -> None:
    async with database.reader() as session:
        row = (
            await session.execute(
                select(FIRST, SECOND).select_from(LISTED), listed([(number, "a")])
            )
        ).one()

    assert tuple(row) == (number, "a")


async def test_rows_are_written_in_the_order_of_the_columns(database: Database) -> None:
    row = ("P001", "笔", None, "1.10", "CNY", "{}", "active", 1, 2, 3)
    async with database.writer() as session:
        await execute_many(session, prepare(insert(ITEMS)), [row, ("P002", *row[1:])])
        await session.commit()

    found = await rows_of(database, "SELECT * FROM item ORDER BY sku")
    assert [tuple(one.values()) for one in found] == [row, ("P002", *row[1:])]


def test_a_prepared_statement_knows_the_names_of_its_parameters() -> None:
    sql, names, _ = prepare(insert(ITEMS))

    assert names == tuple(ITEMS.c.keys())
    assert sql.count("?") == len(names)
