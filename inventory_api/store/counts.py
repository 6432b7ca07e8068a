"""Counts: found with their lines and what the ledger says, written as they have become."""

from collections.abc import Collection, Iterable, Mapping, Sequence

from sqlalchemy import bindparam, func, literal_column, select
from sqlalchemy.ext.asyncio import AsyncSession

from inventory_api.domain.count_sheet import (
    CountLine,
    Counts,
    CountSheet,
    OpenCount,
    RecordCount,
    SettleCount,
    Step,
    Tally,
)
from inventory_api.domain.types import Key, LocationCode
from inventory_api.store.bulk import (
    FIRST,
    PAIRS,
    SECOND,
    STEPS,
    VALUES,
    Lock,
    Prepared,
    Work,
    fetch,
    listed,
    many_upserts,
    prepare,
)
from inventory_api.store.tables import COUNT_LINE, COUNT_SHEET, LEVEL, MOVEMENT

SHEET_COLUMNS = tuple(COUNT_SHEET.c[name] for name in CountSheet._fields)
LINE_COLUMNS = tuple(COUNT_LINE.c[name] for name in CountLine._fields)

_SHEETS = select(*SHEET_COLUMNS).where(COUNT_SHEET.c.id.in_(VALUES)).order_by(COUNT_SHEET.c.id)
_BY_ID: dict[Lock, Prepared] = {
    Lock.NONE: prepare(_SHEETS),
    Lock.WAIT: prepare(_SHEETS.with_for_update()),
}
_LINES = prepare(
    select(*LINE_COLUMNS)
    .where(COUNT_LINE.c.count_id.in_(VALUES))
    .order_by(COUNT_LINE.c.count_id, COUNT_LINE.c.sku)
)
# An outer join keeps the list outside, as for levels.
_LINES_OF_ITEMS = prepare(
    select(*LINE_COLUMNS).join_from(
        PAIRS,
        COUNT_LINE,
        (COUNT_LINE.c.count_id == FIRST) & (COUNT_LINE.c.sku == SECOND),
        isouter=True,
    )
)
_SKUS_AT = prepare(
    select(LEVEL.c.sku)
    .where(LEVEL.c.location == bindparam("location"))
    .order_by(LEVEL.c.sku)
    .limit(bindparam("limit"))
)
_ON_HAND_AT = prepare(
    select(
        MOVEMENT.c.level_version, MOVEMENT.c.sku, MOVEMENT.c.location, MOVEMENT.c.on_hand
    ).join_from(
        STEPS,
        MOVEMENT,
        (MOVEMENT.c.level_version == STEPS.c.first)
        & (MOVEMENT.c.sku == STEPS.c.second)
        & (MOVEMENT.c.location == STEPS.c.third),
        isouter=True,
    )
)
# One seek for each level, from the end of an index that has nothing but counts.
_LAST_SETS = prepare(
    select(
        FIRST,
        SECOND,
        select(func.max(MOVEMENT.c.level_version))
        .where(
            MOVEMENT.c.sku == FIRST,
            MOVEMENT.c.location == SECOND,
            MOVEMENT.c.type == literal_column("'set'"),
        )
        .correlate(PAIRS)
        .scalar_subquery(),
    ).select_from(PAIRS)
)
_KEEP_SHEETS = many_upserts(
    COUNT_SHEET,
    keys=["id"],
    changing=["status", "version", "line_count", "counted_count", "approved_by", "operation_id"],
)
_KEEP_LINES = many_upserts(
    COUNT_LINE,
    keys=["count_id", "sku"],
    changing=["level_version", "expected", "counted", "posted_version"],
)


async def sheets_of(
    session: AsyncSession, ids: Collection[str], lock: Lock = Lock.NONE
) -> dict[str, CountSheet]:
    """The counts that exist among the ids, without their lines, which a lock covers too."""
    rows = await fetch(session, _BY_ID[lock], listed(ids))
    return {row[0]: CountSheet._make(row) for row in rows}


async def lines_of(session: AsyncSession, count_id: str) -> list[CountLine]:
    """The lines of a count, in their order."""
    rows = map(CountLine._make, await fetch(session, _LINES, listed([count_id])))
    return sorted(rows, key=lambda line: line.line)


async def find_counts(
    session: AsyncSession,
    *,
    after: str,
    limit: int,
    status: str | None = None,
    location: str | None = None,
    reference: str | None = None,
    locations: Collection[str] | None = None,
) -> list[CountSheet]:
    """Counts in the order in which they were opened, from the one behind `after`.

    `locations` are those that the reader may hear of; None: all.
    """
    statement = select(*SHEET_COLUMNS).where(COUNT_SHEET.c.id > after)
    for column, wanted in (
        (COUNT_SHEET.c.status, status),
        (COUNT_SHEET.c.location, location),
        (COUNT_SHEET.c.reference, reference),
    ):
        if wanted is not None:
            statement = statement.where(column == wanted)
    if locations is not None:
        statement = statement.where(COUNT_SHEET.c.location.in_(sorted(locations)))
    rows = await session.execute(statement.order_by(COUNT_SHEET.c.id).limit(limit))
    return [CountSheet._make(row) for row in rows]


async def counts_named(session: AsyncSession, commands: Iterable[object]) -> Counts:
    """The counts that commands are about, with what they name; no commands read nothing."""
    counts = Counts()
    opened = [command for command in commands if isinstance(command, OpenCount)]
    changed = [command for command in commands if isinstance(command, RecordCount | SettleCount)]
    for code, limit in _whole_locations(opened).items():
        rows = await fetch(session, _SKUS_AT, {"location": code, "limit": limit + 1})
        counts.skus_at[code] = [row[0] for row in rows]
        counts.named.update((sku, code) for sku in counts.skus_at[code])
    counts.named.update((sku, command.location) for command in opened for sku in command.skus)
    if changed:
        await _add_changed(session, counts, changed)
    return counts


def kept_counts(counts: Counts) -> list[Work]:
    """What writes counts and their lines, new ones and changed ones."""
    sheets = [tuple(counts.sheets[name]) for name in sorted(counts.changed_sheets)]
    lines = [tuple(counts.lines[name][sku]) for name, sku in sorted(counts.changed_lines)]
    return [(_KEEP_SHEETS, sheets), (_KEEP_LINES, lines)]


def _whole_locations(opened: Iterable[OpenCount]) -> Mapping[LocationCode, int]:
    """Those that are to be counted whole, and how many levels one of them may have at most."""
    return {command.location: command.lines_max for command in opened if not command.skus}


async def _add_changed(
    session: AsyncSession, counts: Counts, changed: Sequence[RecordCount | SettleCount]
) -> None:
    """The counts and the lines that are wanted of them."""
    counts.sheets.update(await sheets_of(session, {command.id for command in changed}, Lock.WAIT))
    counts.lines.update((name, {}) for name in counts.sheets)
    settled = {command.id for command in changed if isinstance(command, SettleCount)}
    items = {(name, tally.sku) for name, tally in _tallies(counts, changed)}
    for line in await _lines_named(session, settled, items):
        counts.lines[line.count_id][line.sku] = line
    counts.named.update(key for name in counts.sheets for key in counts.keys_of(name))
    counts.named.update((sku, counts.sheets[name].location) for name, sku in items)


async def measure(session: AsyncSession, counts: Counts, commands: Iterable[object]) -> None:
    """Add what the ledger says about the levels of counts: when they are locked, it stays so."""
    tallies = list(_tallies(counts, commands))
    steps = {
        (tally.level_version, tally.sku, counts.sheets[name].location)
        for name, tally in tallies
        if tally.level_version
    }
    counts.on_hand_at.update(await _on_hand_at(session, steps))
    posted = {one.id for one in commands if isinstance(one, SettleCount) and one.verb == "post"}
    named = posted & counts.sheets.keys()
    keys = {key for name in named for key in counts.keys_of(name)}
    keys |= {(tally.sku, counts.sheets[name].location) for name, tally in tallies if name in named}
    counts.last_sets.update(await _last_sets(session, keys))


def _tallies(counts: Counts, commands: Iterable[object]) -> Iterable[tuple[str, Tally]]:
    """What was counted, by the counts that there are."""
    return (
        (command.id, tally)
        for command in commands
        if isinstance(command, RecordCount) and command.id in counts.sheets
        for tally in command.lines
    )


async def _lines_named(
    session: AsyncSession, whole: Collection[str], items: Collection[tuple[str, str]]
) -> list[CountLine]:
    """All lines of some counts, and those of some items of others."""
    rows = await fetch(session, _LINES, listed(whole)) if whole else []
    some = [(name, sku) for name, sku in items if name not in whole]
    rows += await fetch(session, _LINES_OF_ITEMS, listed(some)) if some else []
    return [CountLine._make(row) for row in rows if row[0] is not None]


async def _on_hand_at(session: AsyncSession, steps: Collection[Step]) -> dict[Step, int]:
    """What levels had at some of their versions; those that do not exist are left out."""
    if not steps:
        return {}
    rows = await fetch(session, _ON_HAND_AT, listed(steps))
    return {row[:3]: row[3] for row in rows if row[0] is not None}


async def _last_sets(session: AsyncSession, keys: Collection[Key]) -> dict[Key, int]:
    """The version that the last `set` gave each level, 0 if there was none."""
    if not keys:
        return {}
    return {(row[0], row[1]): row[2] or 0 for row in await fetch(session, _LAST_SETS, listed(keys))}
