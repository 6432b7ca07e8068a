"""What a batch has to know before it decides: one query for each table."""

from collections.abc import Collection
from typing import Any

from sqlalchemy import bindparam, literal_column, select
from sqlalchemy.ext.asyncio import AsyncSession

from inventory_api.domain.commands import Command, TransferLine
from inventory_api.domain.decide import Snapshot
from inventory_api.domain.rejections import Code
from inventory_api.domain.types import SKU, Key, Level, LocationCode
from inventory_api.store.bulk import (
    FIRST,
    LISTED,
    SECOND,
    VALUES,
    Prepared,
    fetch,
    listed,
    prepare,
)
from inventory_api.store.tables import ITEM, LEVEL, LOCATION, MOVEMENT

# Past the named constructor, which costs three times as much.
_new = tuple.__new__

LEVEL_COLUMNS = tuple(LEVEL.c[name] for name in Level._fields)

# An outer join keeps the list outside: a planner that reads an inner one otherwise round walks a
# whole location for two levels.
_LEVELS = prepare(
    select(*LEVEL_COLUMNS).join_from(
        LISTED, LEVEL, (LEVEL.c.sku == FIRST) & (LEVEL.c.location == SECOND), isouter=True
    )
)
# Most batches name one location; taking pairs apart is then half of the query's time.
_LEVELS_AT = prepare(
    select(*LEVEL_COLUMNS).join_from(
        LISTED,
        LEVEL,
        (LEVEL.c.sku == LISTED.c.value) & (LEVEL.c.location == bindparam("location")),
        isouter=True,
    )
)
_ARCHIVED = prepare(
    select(ITEM.c.sku).where(ITEM.c.status == literal_column("'archived'"), ITEM.c.sku.in_(VALUES))
)
_KNOWN = prepare(select(ITEM.c.sku).where(ITEM.c.sku.in_(VALUES)))
_LOCATIONS = prepare(select(LOCATION.c.code, LOCATION.c.status).where(LOCATION.c.code.in_(VALUES)))
_LINE_IDS = prepare(
    select(MOVEMENT.c.line_id).where(
        MOVEMENT.c.line_id.in_(VALUES), MOVEMENT.c.line_id.is_not(None)
    )
)


async def take_snapshot(session: AsyncSession, commands: Collection[Command]) -> Snapshot:
    """Everything that the lines of the commands name, as committed."""
    lines = [line for command in commands for line in command.lines]
    keys = {line[:2] for line in lines}
    keys |= {(line.sku, line.target) for line in lines if type(line) is TransferLine}
    line_ids = {line_id for line in lines if (line_id := line.line_id) is not None}
    snapshot = await snapshot_of(session, keys)
    if line_ids:
        snapshot.line_ids.update(await _firsts(session, _LINE_IDS, line_ids))
    return snapshot


async def snapshot_of(session: AsyncSession, keys: Collection[Key]) -> Snapshot:
    """Levels, and what bars a change of them, as committed."""
    levels = await levels_of(session, keys)
    return Snapshot(
        levels=levels,
        barred_items=await _barred_items(session, keys, levels),
        barred_locations=await _barred_locations(session, {location for _, location in keys}),
    )


async def levels_of(session: AsyncSession, keys: Collection[Key]) -> dict[Key, Level]:
    """The levels that exist among the keys, in sorted order, so that pages are near."""
    locations = {location for _, location in keys}
    if len(locations) == 1:
        at = {"location": locations.pop(), **listed([sku for sku, _ in keys])}
        rows = await fetch(session, _LEVELS_AT, at)
    else:
        rows = await fetch(session, _LEVELS, listed(keys))
    return {row[:2]: _new(Level, row) for row in rows if row[0] is not None}


async def _barred_items(
    session: AsyncSession, keys: Collection[Key], levels: Collection[Key]
) -> dict[SKU, Code]:
    """An item without a level may be unknown; any may be archived."""
    barred: dict[SKU, Code] = {}
    if len(levels) < len(keys):
        unseen = {key[0] for key in keys if key not in levels}
        known = set(await _firsts(session, _KNOWN, unseen))
        barred = dict.fromkeys(unseen - known, Code.UNKNOWN_SKU)
    archived = await _firsts(session, _ARCHIVED, {sku for sku, _ in keys})
    return barred | dict.fromkeys(archived, Code.ITEM_ARCHIVED)


async def _barred_locations(
    session: AsyncSession, codes: set[LocationCode]
) -> dict[LocationCode, Code]:
    statuses = dict(await fetch(session, _LOCATIONS, listed(codes)))
    barred = {code: Code.UNKNOWN_LOCATION for code in codes if code not in statuses}
    for code, status in statuses.items():
        if status != "active":
            barred[LocationCode(code)] = Code.LOCATION_ARCHIVED
    return barred


async def _firsts(session: AsyncSession, statement: Prepared, names: Collection[str]) -> list[Any]:
    """The first column of a statement about a list of names."""
    return [row[0] for row in await fetch(session, statement, listed(names))]
