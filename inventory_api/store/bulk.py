"""Many values in one statement: lists as a table, rows as the driver's tuples.

A statement of the write path is compiled once for each kind of database and handed to the driver,
and the driver's tuples are handed back: what SQLAlchemy builds for each row that goes in or comes
out, a dict, a list, a `Row`, measured more than the statement itself (docs/decisions.md). Session,
transaction and statement stay SQLAlchemy's.

A list of any length is a parameter of the same statement, so its text, and with it its plan, stays
the same, and no limit on the number of parameters is met: one JSON text for SQLite's `json_each`,
one array for each column for PostgreSQL's `unnest`.
"""

import sqlite3
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from enum import Enum
from typing import Any, NamedTuple

import orjson
from sqlalchemy import (
    ARRAY,
    BigInteger,
    ColumnElement,
    Executable,
    Insert,
    Select,
    Table,
    Text,
    Update,
    and_,
    bindparam,
    func,
    insert,
    select,
    text,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.dialects.postgresql import asyncpg
from sqlalchemy.engine import Dialect
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql import ClauseElement
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.expression import ColumnClause, FunctionElement, TableClause
from sqlalchemy.types import TypeDecorator, TypeEngine

from inventory_api.store.connection import OneHopConnection, Step

# Any: values of rows and parameters have no narrower type in a driver.
Row = tuple[Any, ...]


class _JSONList(TypeDecorator[Any]):
    """A list as SQLite gets it."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> str:  # noqa: ARG002 - SQLAlchemy's
        return orjson.dumps(value).decode()


class _ColumnOfList(TypeDecorator[Any]):
    """One column of a list of tuples, as PostgreSQL gets it."""

    impl = ARRAY
    cache_ok = True

    def __init__(self, kind: TypeEngine[Any], place: int) -> None:
        super().__init__(kind)
        self.kind = kind
        self.place = place

    def process_bind_param(self, value: Any, dialect: Dialect) -> list[Any]:  # noqa: ARG002 - as above
        return [one[self.place] for one in value]


class _ListColumn(ColumnClause[Any]):
    """A column of a list of tuples; `place` is where it stands in them."""

    inherit_cache = True
    # What a subquery shows of it is a column like any other.
    _constructor = ColumnClause

    def __init__(self, name: str, kind: TypeEngine[Any], place: int) -> None:
        super().__init__(name, kind)
        self.place = place


class _List(TableClause):
    """A list parameter as a table; columns `first`, `second`, … of tuples, or `value`."""

    inherit_cache = True

    def __init__(self, name: str, *kinds: TypeEngine[Any]) -> None:
        names = ("first", "second", "third")
        columns: list[ColumnClause[Any]] = [
            _ListColumn(names[place], kind, place) for place, kind in enumerate(kinds)
        ]
        super().__init__(name, *(columns or [ColumnClause("value", Text())]))

    def parameters(self, dialect: str) -> list[Any]:
        """What the list is bound as; all of them are given the same list."""
        if dialect == "sqlite":
            return [bindparam("listed", type_=_JSONList())]
        columns = [one for one in self.columns if isinstance(one, _ListColumn)]
        if not columns:
            return [bindparam("listed", type_=ARRAY(Text()))]
        return [
            bindparam(f"listed_{one.place}", type_=_ColumnOfList(one.type, one.place))
            for one in columns
        ]


@compiles(_List, "sqlite")
@compiles(_List, "postgresql")
def _compile_list(element: _List, compiler: SQLCompiler, **_: Any) -> str:
    """The table in a FROM clause: a function of the parameters."""
    values = ", ".join(compiler.process(one) for one in element.parameters(compiler.dialect.name))
    if compiler.dialect.name == "sqlite":
        return f"json_each({values}) AS {element.name}"
    names = ", ".join(one.name for one in element.columns)
    return f"unnest({values}) AS {element.name}({names})"


@compiles(_ListColumn, "sqlite")
def _compile_list_column(element: _ListColumn, _: SQLCompiler, **__: Any) -> str:
    assert isinstance(element.table, _List)
    return f"json_extract({element.table.name}.value, '$[{element.place}]')"


LISTED = _List("listed")
VALUES: Select[Any] = select(LISTED.c.value)
"""A list of texts."""
PAIRS = _List("pairs", Text(), Text())
FIRST, SECOND = PAIRS.c.first, PAIRS.c.second
"""A list of pairs of texts."""
STEPS = _List("steps", BigInteger(), Text(), Text())
"""A list of versions of levels."""


def listed(values: Collection[Any]) -> dict[str, Any]:
    """The parameters of a statement that uses a list; sorted, so that pages are visited once."""
    ordered = sorted(values)
    return dict.fromkeys(("listed", "listed_0", "listed_1", "listed_2"), ordered)


class greater(FunctionElement[Any]):  # noqa: N801 - reads like SQLAlchemy's own functions
    """The greater one of two values."""

    inherit_cache = True


@compiles(greater, "sqlite")
@compiles(greater, "postgresql")
def _compile_greater(element: greater, compiler: SQLCompiler, **given: Any) -> str:
    name = "max" if compiler.dialect.name == "sqlite" else "greatest"
    return f"{name}({compiler.process(element.clauses, **given)})"


class Lock(Enum):
    """What becomes of rows that another transaction has locked; on SQLite there are none."""

    NONE = "read them as they were"
    WAIT = "wait for them, then keep them locked"
    SKIP = "leave them out"


class _Compiled(NamedTuple):
    """A statement's text for a driver, and how its parameters are made, in order."""

    sql: str
    names: tuple[str, ...]
    constants: Mapping[str, Any]
    convert: Mapping[str, Callable[[Any], Any]]

    def values(self, given: Mapping[str, Any]) -> Row:
        """The parameters for the driver."""
        found = {**self.constants, **given} if self.constants else given
        return tuple(
            self.convert[name](found[name]) if name in self.convert else found[name]
            for name in self.names
        )


_DIALECTS: dict[str, Dialect] = {
    "sqlite": sqlite.dialect(paramstyle="qmark"),
    "postgresql": asyncpg.dialect(),  # type: ignore[no-untyped-call]  # SQLAlchemy's
}


def _compile(statement: ClauseElement, dialect: str) -> _Compiled:
    # Any: the compiled object of a dialect has no typed interface for its positions.
    compiled: Any = statement.compile(dialect=_DIALECTS[dialect])
    constants = {name: value for name, value in compiled.params.items() if value is not None}
    # What SQLAlchemy itself would convert the values with; it has no public name.
    convert = dict(compiled._bind_processors)  # noqa: SLF001
    return _Compiled(str(compiled), tuple(compiled.positiontup), constants, convert)


class Prepared:
    """A statement for `fetch`, compiled when a database of a kind first asks for it."""

    def __init__(self, statement: Executable) -> None:
        assert isinstance(statement, ClauseElement)
        self._statement = statement
        self._compiled: dict[str, _Compiled] = {}

    def of(self, dialect: str) -> _Compiled:
        """The statement for a kind of database."""
        found = self._compiled.get(dialect)
        if found is None:
            found = self._compiled[dialect] = _compile(self._statement, dialect)
        return found


def prepare(statement: Executable) -> Prepared:
    """A statement for `fetch`."""
    return Prepared(statement)


class Many:
    """A statement that runs once for each of many rows; a row has the values of `columns`.

    SQLite is handed the rows. PostgreSQL is handed one array for each column, so that any number
    of rows is one statement.
    """

    def __init__(
        self,
        columns: Sequence[ColumnElement[Any]],
        one_by_one: Insert | Update,
        at_once: Callable[[TableClause], Insert | Update],
    ) -> None:
        # Named apart from the columns they are written to, which an update names as well.
        names = [f"row_{place}" for place in range(len(columns))]
        rows = (
            func.unnest(
                *(
                    bindparam(name, type_=ARRAY(column.type))
                    for name, column in zip(names, columns, strict=True)
                )
            )
            .table_valued(*names, name="rows")
            .render_derived()
        )
        self._columns = columns
        self._one_by_one = Prepared(one_by_one)
        self._at_once = Prepared(at_once(rows))  # type: ignore[arg-type]  # a table all the same
        self._names = names

    @property
    def one_by_one(self) -> str:
        """The text that a file is handed with the rows."""
        return self._one_by_one.of("sqlite").sql

    async def run(self, connection: AsyncConnection, rows: Sequence[Row]) -> None:
        """All rows at once, by a server."""
        statement = self._at_once.of("postgresql")
        columns = dict(zip(self._names, zip(*rows, strict=True), strict=True))
        values = tuple(list(columns[name]) for name in statement.names)
        await connection.exec_driver_sql(statement.sql, values)


Work = tuple[Many, Sequence[Row]]
"""A statement and the rows for which it runs."""


def many_inserts(
    table: Table, *, constants: Mapping[str, ColumnElement[Any]] | None = None
) -> Many:
    """Rows in the order of the table's columns, without those that are constant."""
    given = constants or {}
    columns = [column for column in table.c if column.name not in given]
    values: dict[str, Any] = {column.name: bindparam(column.name) for column in columns}

    def at_once(rows: TableClause) -> Insert:
        names = [*(column.name for column in columns), *given]
        return insert(table).from_select(names, select(*rows.c, *given.values()))

    one_by_one = insert(table).values({**values, **given}) if given else insert(table)
    return Many(columns, one_by_one, at_once)


def many_upserts(table: Table, *, keys: Sequence[str], changing: Sequence[str]) -> Many:
    """Rows in the order of the table's columns; those whose keys exist change the named ones."""

    def upserted(statement: Any) -> Any:  # Any: the insert of either dialect
        return statement.on_conflict_do_update(
            index_elements=list(keys), set_={name: statement.excluded[name] for name in changing}
        )

    return Many(
        list(table.c),
        upserted(sqlite.insert(table)),
        lambda rows: upserted(postgresql.insert(table).from_select(list(table.c), select(*rows.c))),
    )


def many_updates(table: Table, *, set_: Sequence[str], keys: Sequence[str]) -> Many:
    """Rows of the new values, then of the keys at which they belong."""
    columns = [table.c[name] for name in (*set_, *keys)]
    one = (
        update(table)
        .values({name: bindparam(f"new_{name}") for name in set_})
        .where(and_(*(table.c[name] == bindparam(f"at_{name}") for name in keys)))
    )

    def at_once(rows: TableClause) -> Update:
        values = list(rows.c)
        new, at = values[: len(set_)], values[len(set_) :]
        return (
            update(table)
            .values(dict(zip(set_, new, strict=True)))
            .where(and_(*(table.c[name] == value for name, value in zip(keys, at, strict=True))))
        )

    return Many(columns, one, at_once)


async def lock_all_levels(session: AsyncSession) -> None:
    """Until the transaction ends no other process changes a level, and none is in the middle of it.

    For what a batch relies on without locking it: that an item is not archived, and is no kit. It
    looks after it has locked its levels, so it has either looked after us or is done before us.
    """
    if is_shared(session):
        await session.execute(text("LOCK TABLE level IN EXCLUSIVE MODE"))


def is_shared(session: AsyncSession) -> bool:
    """Whether other processes write too, so that rows have to be locked."""
    return session.get_bind().dialect.name != "sqlite"


async def execute_many(session: AsyncSession, statement: Many, rows: Sequence[Row]) -> None:
    """Run a statement for each row; nothing for no rows."""
    await execute_all(session, [(statement, rows)])


async def execute_all(session: AsyncSession, works: Iterable[Work]) -> None:
    """Run statements in order, each for each of its rows; in a file by one crossing for all."""
    todo = [(statement, rows) for statement, rows in works if rows]
    if not todo:
        return
    connection = await session.connection()
    if (file := _file_of(connection)) is not None:
        run = sqlite3.Cursor.executemany
        await _ask(file, [(run, statement.one_by_one, rows) for statement, rows in todo])
        return
    for statement, rows in todo:
        await statement.run(connection, rows)


async def fetch(
    session: AsyncSession, statement: Prepared, parameters: Mapping[str, Any]
) -> list[Row]:
    """The rows of a prepared statement, as tuples."""
    connection = await session.connection()
    compiled = statement.of(connection.dialect.name)
    values = compiled.values(parameters)
    if (file := _file_of(connection)) is not None:
        return await _ask(file, [(sqlite3.Cursor.execute, compiled.sql, values)])
    result = await connection.exec_driver_sql(compiled.sql, values)
    cursor = result.cursor
    assert cursor is not None, "the statement gives rows"
    rows = cursor.fetchall()
    result.close()
    return [tuple(row) for row in rows]


def _file_of(connection: AsyncConnection) -> OneHopConnection | None:
    """The driver's own connection to a file; SQLAlchemy's cursor costs 60 µs for each statement."""
    if connection.dialect.name != "sqlite" or connection.sync_connection is None:
        return None
    driver = connection.sync_connection.connection.driver_connection
    return driver if isinstance(driver, OneHopConnection) else None


async def _ask(file: OneHopConnection, steps: Sequence[Step]) -> list[Row]:
    """One crossing to the driver; the rows of the last step, errors as SQLAlchemy has them."""
    try:
        rows, *_ = await file.hop(*steps)
    except sqlite3.Error as error:
        sql = "; ".join(sql for _, sql, _ in steps)
        raise DBAPIError.instance(sql, None, error, sqlite3.Error) from error
    return rows
