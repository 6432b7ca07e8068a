"""Many values in one statement: lists as one JSON parameter, rows as the driver's tuples.

A statement of the write path is compiled once and handed to the driver, and the driver's tuples
are handed back: what SQLAlchemy builds for each row that goes in or comes out, a dict, a list, a
`Row`, measured more than the statement itself (docs/decisions.md). Session, transaction and
statement stay SQLAlchemy's.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

import orjson
from sqlalchemy import Executable, Select, bindparam, func, literal_column, select
from sqlalchemy.dialects import sqlite
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.sql import ClauseElement

# A list of any length is one JSON parameter: the statement's text, and so its plan, stays the
# same, and no limit on the number of parameters is met.
LISTED = func.json_each(bindparam("listed")).table_valued("value")
VALUES: Select[Any] = select(literal_column("value")).select_from(LISTED)
FIRST = func.json_extract(LISTED.c.value, literal_column("'$[0]'"))
SECOND = func.json_extract(LISTED.c.value, literal_column("'$[1]'"))
THIRD = func.json_extract(LISTED.c.value, literal_column("'$[2]'"))


class Prepared(NamedTuple):
    """A statement's text for the driver, its parameters in order, and those that are constant."""

    sql: str
    names: tuple[str, ...]
    constants: Mapping[str, Any]


def listed(values: Collection[object]) -> dict[str, str]:
    """The parameter of a statement that uses `LISTED`; sorted, so that pages are visited once."""
    return {"listed": orjson.dumps(sorted(values)).decode()}


def prepare(statement: Executable) -> Prepared:
    """Compile a statement for `fetch` and `execute_many`."""
    assert isinstance(statement, ClauseElement)
    # Any: the compiled object of a dialect has no typed interface for its positions.
    compiled: Any = statement.compile(dialect=sqlite.dialect(paramstyle="qmark"))
    constants = {name: value for name, value in compiled.params.items() if value is not None}
    return Prepared(str(compiled), tuple(compiled.positiontup), constants)


def upsert(table: Any, keys: Sequence[str], changing: Sequence[str]) -> Any:  # Any: SQLAlchemy's
    """Insert rows, or change some columns of those whose keys are there."""
    statement = insert(table)
    return statement.on_conflict_do_update(
        index_elements=list(keys), set_={name: statement.excluded[name] for name in changing}
    )


async def execute_many(
    session: AsyncSession, statement: Prepared, rows: Sequence[tuple[Any, ...]]
) -> None:
    """Run a prepared statement once for each row, in one crossing; nothing for no rows."""
    if rows:
        connection = await session.connection()
        await connection.exec_driver_sql(statement.sql, list(rows))


async def fetch(
    session: AsyncSession, statement: Prepared, parameters: Mapping[str, Any]
) -> list[tuple[Any, ...]]:
    """The rows of a prepared statement, as the driver gives them."""
    connection = await session.connection()
    given = {**statement.constants, **parameters}
    values = tuple(given[name] for name in statement.names)
    result = await connection.exec_driver_sql(statement.sql, values)
    cursor = result.cursor
    assert cursor is not None, "the statement gives rows"
    rows = cursor.fetchall()
    result.close()
    return list(rows)
