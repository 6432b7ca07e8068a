"""What a batch leaves behind on PostgreSQL: one statement takes the head and writes all rows.

Other processes wait for the head from its update to the end of COMMIT. What has been sent and read
by the server before it takes the head keeps nobody waiting; with one statement for each table each
of them is made, sent and read while the head is held. So the rows are numbered from 1, and the
statement puts them behind the head (docs/decisions.md has the measurement).
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import (
    CTE,
    BigInteger,
    ColumnElement,
    FromClause,
    Table,
    and_,
    bindparam,
    column,
    func,
    insert,
    literal_column,
    select,
    update,
)
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.types import UserDefinedType

from inventory_api.domain.ledger import Balance, MovementRow
from inventory_api.domain.types import Instant, Level, Operation
from inventory_api.store.bulk import fetch, prepare
from inventory_api.store.changes import ADVANCED, BALANCES
from inventory_api.store.tables import LEDGER_HEAD, LEVEL, MOVEMENT, OPERATION

AT_HEAD = Instant(-(1 << 62))
"""Stands in a row for the time that the head has when it is taken."""
_KEYS = ("sku", "location")
_NUMBERS = frozenset({"seq", "first_seq", "last_seq"})
_TIMES = frozenset({"recorded_at", "occurred_at"})
# Types are never altered, since processes of the version before send rows of them: a table that got
# a column has a type with a number.
_TYPES = {
    "movement": "movement_row_2",
    "operation": "operation_row",
    "level": "level_row_2",
    "balance": "balance_row_2",
}


class _RowsType(UserDefinedType[Any]):
    """An array of rows of a named type."""

    cache_ok = True
    # Without the cast the server would not know the parameter's type.
    render_bind_cast = True

    def __init__(self, name: str) -> None:
        self.name = name

    def get_col_spec(self, **_: Any) -> str:
        """The type's name."""
        return f"{self.name}[]"


_HEAD = ADVANCED.returning(
    (LEDGER_HEAD.c.seq - bindparam("count", type_=BigInteger())).label("before"),
    LEDGER_HEAD.c.recorded_at,
).cte("head")


def _behind_head(row: ColumnElement[Any]) -> ColumnElement[Any]:
    """A column of the rows, as it is written."""
    if row.key in _NUMBERS:
        return _HEAD.c.before + row
    if row.key in _TIMES:
        at_head = literal_column(f"({AT_HEAD})", BigInteger)
        return func.coalesce(func.nullif(row, at_head), _HEAD.c.recorded_at)
    return row


def _typed_rows(name: str, kind: str, columns: Sequence[ColumnElement[Any]]) -> FromClause:
    """A list of tuples as a table: the parameter `name`, of PostgreSQL's type `kind`.

    One array of rows, and not one array for each column: the driver looks at each value of an
    array to find arrays in it, and at rows once, which is half of what a batch costs it.
    """
    rows = func.unnest(bindparam(name, type_=_RowsType(kind)))
    given = (column(str(one.key), one.type) for one in columns)
    return rows.table_valued(*given).render_derived(name=f"new_{name}")


def _inserted(name: str, table: Table) -> CTE:
    rows = _typed_rows(name, _TYPES[name], list(table.c))
    # Every statement here reads the head, so nothing is written before it is taken: two batches
    # that open the same level wait for the head and not for each other.
    found = select(*map(_behind_head, rows.c)).select_from(_HEAD.join(rows, literal_column("true")))
    return insert(table).from_select(list(table.c), found).cte(f"written_{name}")


def _updated(name: str, table: Table) -> CTE:
    rows: FromClause = _typed_rows(
        name, _TYPES[name], [table.c[one] for one in (*BALANCES, *_KEYS)]
    )
    values = {one: _behind_head(rows.c[one]) for one in BALANCES}
    is_same = and_(*(table.c[one] == rows.c[one] for one in _KEYS))
    return update(table).values(values).where(is_same).cte(f"written_{name}")


_APPEND = prepare(
    select(_HEAD.c.before + literal_column("1")).add_cte(
        _inserted("movement", MOVEMENT),
        _inserted("operation", OPERATION),
        _inserted("level", LEVEL),
        _updated("balance", LEVEL),
    )
)


async def append(
    session: AsyncSession,
    now: Instant,
    *,
    movements: Sequence[MovementRow],
    operations: Sequence[Operation],
    opened: Sequence[Level],
    balances: Sequence[Balance],
) -> int:
    """Write what a batch did, numbered from 1; the true number of its first movement."""
    rows = {"movement": movements, "operation": operations, "level": opened, "balance": balances}
    ((first_seq,),) = await fetch(session, _APPEND, {"count": len(movements), "now": now, **rows})
    assert isinstance(first_seq, int)
    return first_seq
