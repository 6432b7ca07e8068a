"""The migrations build what the tables say, and what the tables cannot say."""

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import CheckConstraint, Connection, text
from sqlalchemy.exc import DBAPIError, IntegrityError

from inventory_api.domain.unavailable import StorageRace
from inventory_api.store.database import Database
from inventory_api.store.faults import fault_of
from inventory_api.store.schema import expected_revision
from inventory_api.store.tables import Table
from tests.ledger_oracle import one_value, rows_of

TABLES = sorted(Table.metadata.tables)


async def test_the_migrations_leave_nothing_to_migrate(database: Database) -> None:
    def differences(connection: Connection) -> list[object]:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        return list(compare_metadata(context, Table.metadata))

    async with database.reader() as session:
        found = await (await session.connection()).run_sync(differences)

    assert found == []


async def test_a_new_database_has_the_expected_revision(database: Database) -> None:
    assert await one_value(database, "SELECT version_num FROM alembic_version") == (
        expected_revision()
    )


@pytest.mark.sqlite
@pytest.mark.parametrize("table", TABLES)
async def test_every_table_is_strict(database: Database, table: str) -> None:
    (row,) = await rows_of(database, "SELECT strict FROM pragma_table_list(:name)", name=table)

    assert row["strict"] == 1


@pytest.mark.sqlite
async def test_what_is_found_by_its_key_is_stored_in_the_tree_of_it(
    database: Database,
) -> None:
    rows = await rows_of(database, "SELECT name FROM pragma_table_list WHERE wr = 1")

    assert sorted(row["name"] for row in rows) == [
        "allocation",
        "count_line",
        "kit_component",
        "level",
        "shipment_line",
        "supplier_code",
        "webhook_delivery",
    ]


@pytest.mark.sqlite
@pytest.mark.parametrize("table", TABLES)
async def test_every_check_of_a_table_is_in_the_database(database: Database, table: str) -> None:
    wanted = {
        f"CONSTRAINT {constraint.name} CHECK"
        for constraint in Table.metadata.tables[table].constraints
        if isinstance(constraint, CheckConstraint)
    }

    (row,) = await rows_of(database, "SELECT sql FROM sqlite_master WHERE name = :name", name=table)

    assert [one for one in sorted(wanted) if one not in row["sql"]] == []


@pytest.mark.sqlite
async def test_the_checks_of_tables_and_migrations_are_the_same(database: Database) -> None:
    rows = await rows_of(database, "SELECT sql FROM sqlite_master WHERE type = 'table'")
    in_database = sum(row["sql"].count(" CHECK ") for row in rows)
    in_tables = sum(
        isinstance(constraint, CheckConstraint)
        for table in Table.metadata.tables.values()
        for constraint in table.constraints
    )

    assert in_database == in_tables


@pytest.mark.sqlite
async def test_every_index_has_the_condition_that_the_table_gives_it(database: Database) -> None:
    rows = await rows_of(
        database, "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL"
    )
    conditions = {row["name"]: row["sql"].partition(" WHERE ")[2] for row in rows}
    wanted = {
        index.name: ""
        if (where := index.dialect_options["sqlite"]["where"]) is None
        else str(where)
        for table in Table.metadata.tables.values()
        for index in table.indexes
    }

    assert conditions == wanted


async def write(database: Database, *statements: str) -> None:
    async with database.writer() as session:
        for statement in statements:
            await session.execute(text(statement))
        await session.commit()


LOCATION = "INSERT INTO location VALUES ('main', 'Main', 'warehouse', 1, 0, 'active', 1, 1, 1)"
ITEM = "INSERT INTO item VALUES ('P001', 'x', NULL, NULL, NULL, '{}', 'active', 1, 1, 1)"
MOVEMENT = (
    "INSERT INTO movement VALUES (1, 1, 'op', 'a', NULL, 1, 'adjust', 'P001', 'main',"
    " 1, 5, 0, 0, 0, 5, 0, 0, 0, 5, 'received', 0, 'till-1', NULL, 0)"
)
OPERATION = (
    "INSERT INTO operation VALUES"
    " ('op', 1, 'a', NULL, 'adjust', 'atomic', 'sale', NULL, NULL, 1, 1, 1, 1, 0)"
)
LEVEL = (
    "INSERT INTO level VALUES ('P001', 'main', 5, 0, 0, 0, 1, 1, 0, 0, NULL, NULL, NULL, 0, NULL)"
)


@pytest.mark.parametrize("table", ["movement", "operation"])
@pytest.mark.parametrize(
    "statement",
    ["UPDATE {} SET reason = 'other'", "DELETE FROM {}", "DELETE FROM {} WHERE actor = 'a'"],
    ids=["update", "delete", "delete_one"],
)
async def test_what_is_recorded_never_changes(
    database: Database, table: str, statement: str
) -> None:
    await write(database, MOVEMENT, OPERATION)

    with pytest.raises(DBAPIError, match=f"{table} rows never change"):
        await write(database, statement.format(table))

    assert await one_value(database, f"SELECT count(*) FROM {table}") == 1


@pytest.mark.sqlite
@pytest.mark.parametrize("table", ["movement", "operation"])
async def test_what_is_recorded_is_not_replaced_either(database: Database, table: str) -> None:
    await write(database, MOVEMENT, OPERATION)
    insert = {"movement": MOVEMENT, "operation": OPERATION}[table]

    with pytest.raises(IntegrityError):
        await write(database, insert.replace("INSERT", "INSERT OR REPLACE").replace("'a'", "'b'"))

    assert await one_value(database, f"SELECT actor FROM {table}") == "a"


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE level SET on_hand = -1",
        "UPDATE level SET on_hand = 1000000000001",
        "UPDATE level SET reserved = -1",
        "UPDATE level SET committed = -1",
        "UPDATE level SET incoming = -1",
        "UPDATE level SET safety_stock = -1",
        "UPDATE level SET backorder_limit = -1",
        "UPDATE level SET alert = 4",
        pytest.param("UPDATE level SET on_hand = 1.5", marks=pytest.mark.sqlite),
        "UPDATE level SET on_hand = 'many'",
        "UPDATE level SET on_hand = NULL",
        "UPDATE item SET status = 'gone'",
        "UPDATE location SET kind = 'moon'",
        "UPDATE location SET status = 'gone'",
        "UPDATE location SET sellable = 2",
        "INSERT INTO ledger_head VALUES (2, 0, 0)",
        LEVEL.replace("'P001'", "'P002'"),
        LEVEL.replace("'main'", "'moon'"),
        MOVEMENT.replace("VALUES (1,", "VALUES (2,").replace("'till-1'", "NULL"),
        MOVEMENT.replace("VALUES (1,", "VALUES (2,").replace("'P001'", "'P002'"),
        MOVEMENT.replace("VALUES (1,", "VALUES (0,").replace("'P001'", "'P003'"),
    ],
    ids=[
        "on_hand_below_zero",
        "on_hand_above_the_maximum",
        "reserved_below_zero",
        "committed_below_zero",
        "incoming_below_zero",
        "safety_stock_below_zero",
        "backorder_limit_below_zero",
        "no_such_alert",
        "half_a_unit",
        "units_in_words",
        "no_units",
        "item_status",
        "location_kind",
        "location_status",
        "location_sellable",
        "a_second_head",
        "level_of_no_item",
        "level_at_no_location",
        "a_level_version_twice",
        "a_line_id_twice",
        "number_zero",
    ],
)
async def test_the_database_itself_refuses_what_breaks_an_invariant(
    database: Database, statement: str
) -> None:
    await write(database, LOCATION, ITEM, MOVEMENT, LEVEL)

    with pytest.raises(DBAPIError) as raised:
        await write(database, statement)

    assert fault_of(raised.value) in {None, StorageRace}


async def test_texts_are_compared_byte_for_byte(database: Database) -> None:
    await write(database, ITEM, ITEM.replace("'P001'", "'p001'"), ITEM.replace("'P001'", "'É'"))
    await write(database, ITEM.replace("'P001'", "'é'"))

    assert await one_value(database, "SELECT count(*) FROM item") == 4
