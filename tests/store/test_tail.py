"""What a batch writes on a server, in one statement."""

from collections.abc import AsyncIterator

import pytest
from sqlalchemy import BigInteger, Column

from inventory_api.domain.ledger import MovementRow
from inventory_api.domain.types import Instant, Operation
from inventory_api.store.changes import BALANCES, advance_head
from inventory_api.store.database import Database
from inventory_api.store.options import DatabaseOptions
from inventory_api.store.tables import LEVEL, MOVEMENT, OPERATION
from inventory_api.store.tail import AT_HEAD, append
from tests.ledger_oracle import rows_of
from tests.postgres import Databases
from tests.stock_factory import P001

pytestmark = pytest.mark.postgres
NOW = Instant(1_000)


@pytest.fixture
async def server(postgres: Databases) -> AsyncIterator[Database]:
    """An empty database on a server."""
    with postgres.lent() as url:
        async with Database(DatabaseOptions(url=url, migrate_at_start=True)) as database:
            yield database


def movement(seq: int, version: int, occurred_at: Instant = AT_HEAD) -> MovementRow:
    heading = (seq, AT_HEAD, "op", "a", None, occurred_at, "adjust", P001, "main", version)
    return (*heading, 5, 0, 0, 0, 5, 0, 0, 0, 5, "received", 0, None, None, 0)


def operation(first_seq: int, last_seq: int) -> Operation:
    about = ("adjust", "atomic", "received", None, None)
    return Operation("op", AT_HEAD, "a", None, *about, AT_HEAD, first_seq, last_seq, 1, 0)


async def written(database: Database, *movements: MovementRow) -> int:
    """Written behind a head of 40, whose time is later than the batch's."""
    async with database.writer() as session:
        await advance_head(session, 40, Instant(5_000))
        first_seq = await append(
            session,
            NOW,
            movements=movements,
            operations=[operation(1, len(movements))],
            opened=[],
            balances=[],
        )
        await session.commit()
    return first_seq


async def test_rows_numbered_from_one_are_written_behind_the_head(server: Database) -> None:
    first_seq = await written(server, movement(1, 1), movement(2, 2))

    assert first_seq == 41
    assert await rows_of(server, "SELECT seq FROM movement ORDER BY seq") == [
        {"seq": 41},
        {"seq": 42},
    ]
    assert await rows_of(server, "SELECT first_seq, last_seq FROM operation") == [
        {"first_seq": 41, "last_seq": 42}
    ]


async def test_rows_without_a_time_get_that_of_the_head(server: Database) -> None:
    await written(server, movement(1, 1), movement(2, 2, occurred_at=Instant(7)))

    times = "SELECT recorded_at, occurred_at FROM movement ORDER BY seq"
    assert await rows_of(server, times) == [
        {"recorded_at": 5_000, "occurred_at": 5_000},
        {"recorded_at": 5_000, "occurred_at": 7},
    ]
    assert await rows_of(server, "SELECT recorded_at FROM operation") == [{"recorded_at": 5_000}]


@pytest.mark.parametrize(
    ("name", "columns"),
    [
        ("movement_row_2", [*MOVEMENT.c]),
        ("operation_row", [*OPERATION.c]),
        ("level_row_2", [*LEVEL.c]),
        ("balance_row_2", [LEVEL.c[one] for one in (*BALANCES, "sku", "location")]),
    ],
)
async def test_a_row_s_type_has_the_columns_that_are_written(
    server: Database, name: str, columns: list[Column[object]]
) -> None:
    rows = await rows_of(
        server,
        "SELECT attname, format_type(atttypid, atttypmod) AS kind FROM pg_attribute"
        " WHERE attrelid = CAST(CAST(:name AS text) AS regclass) ORDER BY attnum",
        name=name,
    )

    assert [(row["attname"], row["kind"]) for row in rows] == [
        (one.name, "bigint" if isinstance(one.type, BigInteger) else "text") for one in columns
    ]
