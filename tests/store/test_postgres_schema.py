"""What PostgreSQL's catalogue says of the schema that the migrations build."""

from collections.abc import Iterator

import pytest
from sqlalchemy import CheckConstraint, text
from sqlalchemy.exc import DBAPIError

from inventory_api.store.database import Database
from inventory_api.store.tables import Table
from tests.databases import Template
from tests.ledger_oracle import one_value, rows_of

pytestmark = pytest.mark.postgres
TABLES = sorted(Table.metadata.tables)
MOVEMENT = (
    "INSERT INTO movement VALUES (1, 1, 'op', 'a', NULL, 1, 'adjust', 'P001', 'main',"
    " 1, 5, 0, 0, 0, 5, 0, 0, 0, 5, 'received', 0, 'till-1', NULL)"
)
OPERATION = (
    "INSERT INTO operation VALUES"
    " ('op', 1, 'a', NULL, 'adjust', 'atomic', 'sale', NULL, NULL, 1, 1, 1, 1, 0)"
)


@pytest.fixture
def database_url(migrated_postgres: Template) -> Iterator[str]:
    with migrated_postgres.copied() as url:
        yield url


@pytest.mark.parametrize("table", TABLES)
async def test_every_check_of_a_table_is_in_the_database_and_no_other(
    database: Database, table: str
) -> None:
    rows = await rows_of(
        database,
        "SELECT conname FROM pg_constraint WHERE contype = 'c' AND convalidated"
        " AND conrelid = CAST(:name AS regclass)",
        name=table,
    )

    assert {row["conname"] for row in rows} == {
        constraint.name
        for constraint in Table.metadata.tables[table].constraints
        if isinstance(constraint, CheckConstraint)
    }


async def test_every_index_has_the_condition_that_the_table_gives_it(database: Database) -> None:
    rows = await rows_of(
        database,
        "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'"
        " AND indexname LIKE 'ix%'",
    )
    conditions = {row["indexname"]: " WHERE " in row["indexdef"] for row in rows}

    assert conditions == {
        index.name: index.dialect_options["postgresql"]["where"] is not None
        for table in Table.metadata.tables.values()
        for index in table.indexes
    }


async def test_every_text_is_compared_by_its_bytes(database: Database) -> None:
    rows = await rows_of(
        database,
        "SELECT table_name, column_name, collation_name FROM information_schema.columns"
        " WHERE table_schema = 'public' AND data_type = 'text'",
    )

    assert [row for row in rows if row["collation_name"] != "C"] == []
    assert len(rows) > 40


async def test_no_name_has_a_limit_of_its_own(database: Database) -> None:
    rows = await rows_of(
        database,
        "SELECT DISTINCT data_type FROM information_schema.columns"
        " WHERE table_schema = 'public' AND table_name <> 'alembic_version'",
    )

    assert {row["data_type"] for row in rows} == {"bigint", "text", "bytea"}


async def write(database: Database, *statements: str) -> None:
    async with database.writer() as session:
        for statement in statements:
            await session.execute(text(statement))
        await session.commit()


@pytest.mark.parametrize("table", ["movement", "operation"])
@pytest.mark.parametrize(
    "verb", ["TRUNCATE {}", "TRUNCATE {} CASCADE", "TRUNCATE item, {} CASCADE"]
)
async def test_what_is_recorded_is_not_thrown_away_at_once_either(
    database: Database, table: str, verb: str
) -> None:
    await write(database, MOVEMENT, OPERATION)

    with pytest.raises(DBAPIError, match=f"{table} rows never change"):
        await write(database, verb.format(table))

    assert await one_value(database, f"SELECT count(*) FROM {table}") == 1


@pytest.mark.parametrize("table", ["movement", "operation"])
async def test_what_is_recorded_is_not_replaced_either(database: Database, table: str) -> None:
    await write(database, MOVEMENT, OPERATION)
    insert, key = {"movement": (MOVEMENT, "seq"), "operation": (OPERATION, "id")}[table]

    with pytest.raises(DBAPIError, match=f"{table} rows never change"):
        await write(database, f"{insert} ON CONFLICT ({key}) DO UPDATE SET actor = 'b'")

    assert await one_value(database, f"SELECT actor FROM {table}") == "a"


@pytest.mark.parametrize("table", ["movement", "operation"])
async def test_what_is_recorded_is_not_merged_away_either(database: Database, table: str) -> None:
    await write(database, MOVEMENT, OPERATION)

    with pytest.raises(DBAPIError, match=f"{table} rows never change"):
        await write(
            database,
            f"MERGE INTO {table} USING (SELECT 1) AS one ON true WHEN MATCHED THEN DELETE",
        )

    assert await one_value(database, f"SELECT count(*) FROM {table}") == 1
