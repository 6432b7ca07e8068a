"""What a batch has to know before it decides: one query for each table."""

from collections.abc import Collection
from typing import Any

from sqlalchemy import Select, bindparam, literal_column, select
from sqlalchemy.ext.asyncio import AsyncSession

from inventory_api.domain.commands import Command, TransferLine
from inventory_api.domain.decide import Snapshot
from inventory_api.domain.rejections import Code
from inventory_api.domain.types import SKU, Key, Level, LocationCode
from inventory_api.store.bulk import FIRST, LISTED, SECOND, VALUES, listed
from inventory_api.store.tables import ITEM, LEVEL, LOCATION, MOVEMENT

LEVEL_COLUMNS = tuple(LEVEL.c[name] for name in Level._fields)

_LEVELS = select(*LEVEL_COLUMNS).join_from(
    LISTED, LEVEL, (LEVEL.c.sku == FIRST) & (LEVEL.c.location == SECOND)
)
# Most batches name one location; taking pairs apart is then half of the query's time.
_LEVELS_AT = select(*LEVEL_COLUMNS).where(
    LEVEL.c.location == bindparam("location"), LEVEL.c.sku.in_(VALUES)
)
_ARCHIVED = select(ITEM.c.sku).where(
    ITEM.c.status == literal_column("'archived'"), ITEM.c.sku.in_(VALUES)
)
_KNOWN = select(ITEM.c.sku).where(ITEM.c.sku.in_(VALUES))
_LOCATIONS = select(LOCATION.c.code, LOCATION.c.status).where(LOCATION.c.code.in_(VALUES))
_LINE_IDS = select(MOVEMENT.c.line_id).where(
    MOVEMENT.c.line_id.in_(VALUES), MOVEMENT.c.line_id.is_not(None)
)


async def take_snapshot(session: AsyncSession, commands: Collection[Command]) -> Snapshot:
    """Everything that the lines of the commands name, as committed."""
    lines = [line for command in commands for line in command.lines]
    keys = {(line.sku, line.location) for line in lines}
    keys |= {(line.sku, line.target) for line in lines if isinstance(line, TransferLine)}
    line_ids = {
        line.line_id for line in lines if not isinstance(line, TransferLine) and line.line_id
    }
    levels = await levels_of(session, keys)
    return Snapshot(
        levels=levels,
        barred_items=await _barred_items(session, keys, levels),
        barred_locations=await _barred_locations(session, {location for _, location in keys}),
        line_ids=set(await _rows(session, _LINE_IDS, line_ids)) if line_ids else set(),
    )


async def levels_of(session: AsyncSession, keys: Collection[Key]) -> dict[Key, Level]:
    """The levels that exist among the keys; asked for in sorted order, so that pages are near."""
    locations = {location for _, location in keys}
    if len(locations) == 1:
        at = {"location": locations.pop(), **listed([sku for sku, _ in keys])}
        result = await session.execute(_LEVELS_AT, at)
    else:
        result = await session.execute(_LEVELS, listed(keys))
    return {(row[0], row[1]): Level._make(row) for row in result}


async def _barred_items(
    session: AsyncSession, keys: Collection[Key], levels: Collection[Key]
) -> dict[SKU, Code]:
    """An item without a level may be unknown; any may be archived."""
    barred: dict[SKU, Code] = {}
    unseen = {sku for sku, _ in keys} - {sku for sku, _ in levels}
    if unseen:
        known = set(await _rows(session, _KNOWN, unseen))
        barred = dict.fromkeys(unseen - known, Code.UNKNOWN_SKU)
    archived = await _rows(session, _ARCHIVED, {sku for sku, _ in keys})
    return barred | dict.fromkeys(archived, Code.ITEM_ARCHIVED)


async def _barred_locations(
    session: AsyncSession, codes: set[LocationCode]
) -> dict[LocationCode, Code]:
    result = await session.execute(_LOCATIONS, listed(codes))
    statuses = {row[0]: row[1] for row in result}
    barred = {code: Code.UNKNOWN_LOCATION for code in codes if code not in statuses}
    for code, status in statuses.items():
        if status != "active":
            barred[LocationCode(code)] = Code.LOCATION_ARCHIVED
    return barred


async def _rows(session: AsyncSession, statement: Select[Any], names: Collection[str]) -> list[Any]:
    """The first column of a statement about a list of names."""
    result = await session.execute(statement, listed(names))
    return list(result.scalars())
