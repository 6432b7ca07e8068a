"""Everything recomputed from the ledger, while it grows: what does not add up is found here.

Each statement returns only what is wrong, for one page of rows, in a read of its own. Nothing is
kept between pages: a movement is judged by the one before it, which is found by its key.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

from sqlalchemy import (
    Case,
    ColumnElement,
    Select,
    and_,
    bindparam,
    case,
    func,
    literal_column,
    or_,
    select,
    text,
    tuple_,
)
from sqlalchemy.ext.asyncio import AsyncSession

from inventory_api.domain.types import UNITS_MAX
from inventory_api.store.changes import Head
from inventory_api.store.elsewhere import AVAILABLE
from inventory_api.store.findings import GUARDS, Finding, Reading
from inventory_api.store.ledger import read_head
from inventory_api.store.tables import LEVEL, MOVEMENT, OPERATION
from inventory_api.store.verify_alerts import alert_differs, alerts_differ
from inventory_api.store.verify_counts import line_pages, sheet_pages
from inventory_api.store.verify_kits import kits_out_of_step
from inventory_api.store.verify_promises import PROMISES


class Verification:
    """One pass over the database; `pages` is iterated once.

    Args:
        reading: gives a session for one short read, such as `database.reader`.

    Attributes:
        as_of_seq: the ledger's head when the pass began: what came later is not looked at.
        movements, levels, operations, findings: how many there were so far.
    """

    def __init__(self, reading: Reading, *, page_rows: int) -> None:
        self._reading = reading
        self._page_rows = page_rows
        self.as_of_seq = self.movements = self.levels = self.operations = self.findings = 0

    async def pages(self) -> AsyncIterator[Sequence[Finding]]:
        """What is wrong, page by page; empty pages too, so that the caller sees the progress."""
        async with self._reading() as session:
            head = await read_head(session)
            found = await _about_head(session, head)
        self.as_of_seq = head.seq
        yield self._counted(found)
        for pages in (self._movement_pages, self._level_pages, self._operation_pages):
            async for page in pages():
                yield self._counted(page)
        for more in (sheet_pages, line_pages):
            async for page in more(self._reading, self._page_rows):
                yield self._counted(page)
        async for places in kits_out_of_step(self._reading, self._page_rows):
            yield self._counted([Finding(*place) for place in places])

    def summary(self) -> dict[str, Any]:
        """The last record."""
        return {
            "end": True,
            "ok": not self.findings,
            "movements": self.movements,
            "levels": self.levels,
            "operations": self.operations,
            "findings": self.findings,
            "as_of_seq": self.as_of_seq,
        }

    def _counted(self, page: Sequence[Finding]) -> Sequence[Finding]:
        self.findings += len(page)
        return page

    async def _movement_pages(self) -> AsyncIterator[Sequence[Finding]]:
        after = FIRST_SEQ
        while True:
            page = {"after": after, "until": self.as_of_seq, "limit": self._page_rows}
            async with self._reading() as session:
                count, last = (await session.execute(_MOVEMENT_PAGE, page)).one()
                window = {"after": after, "until": last}
                found = await _about_movements(session, window) if count else []
            if not count:
                return
            self.movements += count
            after = last
            yield found

    async def _level_pages(self) -> AsyncIterator[Sequence[Finding]]:
        """Levels change meanwhile: each page is judged against the ledger of the same moment."""
        sku, location = "", ""
        while True:
            page = {"sku": sku, "location": location, "limit": self._page_rows}
            async with self._reading() as session:
                rows = (await session.execute(_LEVEL_PAGE, page)).all()
            if not rows:
                return
            self.levels += len(rows)
            sku, location = rows[-1][:2]
            yield [Finding(code, None, *key) for *key, code in rows if code is not None]

    async def _operation_pages(self) -> AsyncIterator[Sequence[Finding]]:
        after = ""
        while True:
            page = {"after": after, "until": self.as_of_seq, "limit": self._page_rows}
            async with self._reading() as session:
                rows = (await session.execute(_OPERATION_PAGE, page)).all()
            if not rows:
                return
            self.operations += len(rows)
            after = rows[-1][0]
            yield [
                Finding("operation_unfounded", seq, operation_id=operation_id)
                for operation_id, seq, is_founded in rows
                if not is_founded
            ]


FIRST_SEQ = -(2**63)

_MOVEMENT = MOVEMENT.c
_BEFORE_TABLE, _AFTER_TABLE, _OTHER = MOVEMENT.alias(), MOVEMENT.alias(), MOVEMENT.alias()
_BEFORE, _AFTER = _BEFORE_TABLE.c, _AFTER_TABLE.c
_LEVEL, _OPERATION = LEVEL.c, OPERATION.c
_STEP_BEFORE = and_(
    _BEFORE.level_version == _MOVEMENT.level_version - 1,
    _BEFORE.sku == _MOVEMENT.sku,
    _BEFORE.location == _MOVEMENT.location,
)
_BALANCES = ("on_hand", "reserved", "committed", "incoming")


def _first_wrong(conditions: Mapping[str, ColumnElement[bool]]) -> ColumnElement[Any]:
    """The code of the first condition that holds, or NULL."""
    found: Case[Any] = case(
        *((holds, literal_column(f"'{code}'")) for code, holds in conditions.items()),
        else_=literal_column("NULL"),
    )
    return found


def _wrong(conditions: Mapping[str, ColumnElement[bool]]) -> Select[Any]:
    """The movements of a window for which a condition holds; joins are for the caller to add."""
    columns = (_MOVEMENT.seq, _MOVEMENT.sku, _MOVEMENT.location, _MOVEMENT.operation_id)
    return (
        select(_first_wrong(conditions), *columns)
        .select_from(MOVEMENT)
        .where(
            _MOVEMENT.seq > bindparam("after"),
            _MOVEMENT.seq <= bindparam("until"),
            or_(*conditions.values()),
        )
    )


def _is_out_of_bounds(row: Any) -> ColumnElement[bool]:  # Any: a mapped class with balances
    return or_(
        row.on_hand < 0,
        row.on_hand > UNITS_MAX,
        row.reserved < 0,
        row.committed < 0,
        row.incoming < 0,
    )


_PAGE = (
    select(_MOVEMENT.seq)
    .where(_MOVEMENT.seq > bindparam("after"), _MOVEMENT.seq <= bindparam("until"))
    .order_by(_MOVEMENT.seq)
    .limit(bindparam("limit"))
    .subquery()
)
_MOVEMENT_PAGE = select(func.count(), func.max(_PAGE.c.seq)).select_from(_PAGE)
_WRONG_BOUNDS = _wrong(
    {
        "out_of_bounds": _is_out_of_bounds(_MOVEMENT),
        "available_differs": _MOVEMENT.available
        > _MOVEMENT.on_hand - _MOVEMENT.reserved - _MOVEMENT.committed,
    }
)
_WRONG_STEPS = _wrong(
    {
        "version_gap": (_MOVEMENT.level_version != 1) & _BEFORE.seq.is_(None),
        "version_order": _BEFORE.seq >= _MOVEMENT.seq,
        "balance_differs": or_(
            *(
                _MOVEMENT[name] != func.coalesce(_BEFORE[name], 0) + _MOVEMENT[f"d_{name}"]
                for name in _BALANCES
            )
        ),
        "alerts_differ": alerts_differ(_BEFORE),
    }
).outerjoin(_BEFORE_TABLE, _STEP_BEFORE)
_WRONG_SEQUENCE = _wrong(
    {
        "seq_gap": (_MOVEMENT.seq != 1) & _BEFORE.seq.is_(None),
        "time_backwards": _BEFORE.recorded_at > _MOVEMENT.recorded_at,
    }
).outerjoin(_BEFORE_TABLE, _BEFORE.seq == _MOVEMENT.seq - 1)
_WRONG_OPERATIONS = (
    _wrong(
        {
            "operation_missing": _OPERATION.id.is_(None),
            "operation_differs": or_(
                _MOVEMENT.actor != _OPERATION.actor,
                _MOVEMENT.reference.is_distinct_from(_OPERATION.reference),
                _MOVEMENT.recorded_at != _OPERATION.recorded_at,
                _MOVEMENT.occurred_at != _OPERATION.occurred_at,
            ),
            # Its movements are neighbours, and the range ends where another operation begins.
            "operation_range": or_(
                ~_MOVEMENT.seq.between(_OPERATION.first_seq, _OPERATION.last_seq),
                (_MOVEMENT.seq == _OPERATION.first_seq)
                != _BEFORE.operation_id.is_distinct_from(_MOVEMENT.operation_id),
                (_MOVEMENT.seq == _OPERATION.last_seq)
                != _AFTER.operation_id.is_distinct_from(_MOVEMENT.operation_id),
            ),
        }
    )
    .outerjoin(OPERATION, _OPERATION.id == _MOVEMENT.operation_id)
    .outerjoin(_BEFORE_TABLE, _BEFORE.seq == _MOVEMENT.seq - 1)
    .outerjoin(_AFTER_TABLE, _AFTER.seq == _MOVEMENT.seq + 1)
)
_REPEATED_LINE_IDS = _wrong(
    {
        "line_id_repeated": _MOVEMENT.line_id.is_not(None)
        & select(_OTHER.c.seq)
        .where(_OTHER.c.line_id == _MOVEMENT.line_id, _OTHER.c.seq < _MOVEMENT.seq)
        .exists()
    }
)
# A bare comparison of the version would be looked up in its index: all levels, for each window.
_WITHOUT_LEVEL = _wrong(
    {
        "level_missing": (_MOVEMENT.level_version - 1 == 0)
        & ~select(_LEVEL.sku)
        .where(_LEVEL.sku == _MOVEMENT.sku, _LEVEL.location == _MOVEMENT.location)
        .exists()
    }
)
_WRONG_MOVEMENTS = (
    _WRONG_BOUNDS,
    _WRONG_STEPS,
    _WRONG_SEQUENCE,
    _WRONG_OPERATIONS,
    _REPEATED_LINE_IDS,
    _WITHOUT_LEVEL,
)


def _of_level(movement: Any, version: Any) -> ColumnElement[bool]:  # Any: mapped columns
    is_there = and_(movement.sku == _LEVEL.sku, movement.location == _LEVEL.location)
    return and_(movement.level_version == version, is_there)


_LEVEL_PAGE = (
    select(
        _LEVEL.sku,
        _LEVEL.location,
        _first_wrong(
            {
                "out_of_bounds": _is_out_of_bounds(_LEVEL) | (_LEVEL.safety_stock < 0),
                "level_behind": _AFTER.seq.is_not(None),
                "alert_differs": alert_differs(),
                **PROMISES,
                "level_unfounded": _LEVEL.version == 0,
                "level_differs": or_(
                    _MOVEMENT.seq.is_distinct_from(_LEVEL.seq),
                    *(_MOVEMENT[name] != _LEVEL[name] for name in _BALANCES),
                    _MOVEMENT.available != AVAILABLE,
                ),
            }
        ),
    )
    .outerjoin(MOVEMENT, _of_level(_MOVEMENT, _LEVEL.version))
    .outerjoin(_AFTER_TABLE, _of_level(_AFTER, _LEVEL.version + 1))
    .where(tuple_(_LEVEL.sku, _LEVEL.location) > tuple_(bindparam("sku"), bindparam("location")))
    .order_by(_LEVEL.sku, _LEVEL.location)
    .limit(bindparam("limit"))
)
_OPERATION_PAGE = (
    select(_OPERATION.id, _OPERATION.first_seq, _MOVEMENT.seq.is_not(None))
    .outerjoin(
        MOVEMENT,
        and_(_MOVEMENT.seq == _OPERATION.first_seq, _MOVEMENT.operation_id == _OPERATION.id),
    )
    .where(_OPERATION.id > bindparam("after"), _OPERATION.first_seq <= bindparam("until"))
    .order_by(_OPERATION.id)
    .limit(bindparam("limit"))
)


_GUARD_NAMES = {
    "sqlite": text("SELECT name FROM sqlite_master"),
    "postgresql": text(
        "SELECT indexname FROM pg_indexes WHERE schemaname = current_schema()"
        " UNION ALL SELECT tgname FROM pg_trigger"
        " JOIN pg_class ON pg_class.oid = tgrelid"
        " WHERE relnamespace = current_schema()::regnamespace AND tgenabled = 'O'"
    ),
}


async def _about_head(session: AsyncSession, head: Head) -> list[Finding]:
    """What is wrong with the ledger's end, and with what guards the ledger."""
    kind = (await session.connection()).dialect.name
    names = set((await session.execute(_GUARD_NAMES[kind])).scalars())
    guards = GUARDS[kind] | {"ix_movement_line_id"}
    found = [Finding("guard_missing", name=name) for name in sorted(guards - names)]
    last = (
        await session.execute(
            select(_MOVEMENT.seq, _MOVEMENT.recorded_at).order_by(_MOVEMENT.seq.desc()).limit(1)
        )
    ).first()
    seq, recorded_at = (0, 0) if last is None else last
    if seq > head.seq:
        found.append(Finding("head_behind", seq))
    if seq < head.seq:
        found.append(Finding("head_ahead", head.seq))
    if recorded_at > head.recorded_at:
        found.append(Finding("head_time", seq))
    return found


async def _about_movements(session: AsyncSession, window: Mapping[str, int]) -> list[Finding]:
    found: list[Finding] = []
    for statement in _WRONG_MOVEMENTS:
        found += [Finding(*row) for row in await session.execute(statement, window)]
    return sorted(found, key=lambda finding: (finding.seq, finding.code))
