"""What a batch has to know before it decides: one query for each table."""

from collections.abc import Collection, Iterable, Sequence, Set as AbstractSet
from typing import Any

from sqlalchemy import bindparam, literal_column, select
from sqlalchemy.ext.asyncio import AsyncSession

from inventory_api.domain.commands import Command, TransferLine
from inventory_api.domain.decide import Snapshot
from inventory_api.domain.judge import Asked
from inventory_api.domain.rejections import Code
from inventory_api.domain.reservation import Expire, Hold, Reserve, Settle
from inventory_api.domain.shipment import Announce, Shipping
from inventory_api.domain.sourcing import Place
from inventory_api.domain.types import SKU, Instant, Key, Level, LocationCode
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
from inventory_api.store.counts import counts_named
from inventory_api.store.holds import due_ids, holds_of, next_expiries, open_ids
from inventory_api.store.kits import known_items
from inventory_api.store.shipments import consignments_of, transits_among
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
_LEVELS_OF_ITEMS = prepare(
    select(*LEVEL_COLUMNS).where(LEVEL.c.sku.in_(VALUES)).order_by(LEVEL.c.sku, LEVEL.c.location)
)
_PLACES = prepare(
    select(LOCATION.c.code, LOCATION.c.sellable, LOCATION.c.priority).where(
        LOCATION.c.status == literal_column("'active'")
    )
)
_LOCATIONS = prepare(select(LOCATION.c.code, LOCATION.c.status).where(LOCATION.c.code.in_(VALUES)))
_LINE_IDS = prepare(
    select(MOVEMENT.c.line_id).where(
        MOVEMENT.c.line_id.in_(VALUES), MOVEMENT.c.line_id.is_not(None)
    )
)


async def take_snapshot(
    session: AsyncSession, commands: Collection[Asked], now: Instant, *, due_max: int
) -> Snapshot:
    """Everything that the commands name, as committed, with what is due on it.

    `now` is that of the clock that holds live by. At most `due_max` reservations are for expiring;
    levels that have more are undecidable.
    """
    lines = [line for command in commands if isinstance(command, Command) for line in command.lines]
    keys = {line[:2] for line in lines}
    keys |= {(line.sku, line.target) for line in lines if type(line) is TransferLine}
    line_ids = {line_id for line in lines if (line_id := line.line_id) is not None}
    promises = [command for command in commands if not isinstance(command, Command)]
    counts = await counts_named(session, promises)
    shipping = [command for command in promises if isinstance(command, Shipping)]
    named = [one.id for one in shipping if not isinstance(one, Announce)]
    shipments = await consignments_of(session, named)
    keys |= {key for consignment in shipments.values() for key in consignment.level_keys()}
    snapshot = await snapshot_of(
        session, keys | _named_keys(promises) | counts.named, locations=counts.skus_at
    )
    snapshot.counts = counts
    if shipping:
        snapshot.shipments.update(shipments)
        through = {one.transit for one in shipping if isinstance(one, Announce) and one.transit}
        snapshot.transits.update(await transits_among(session, through))
    if line_ids:
        snapshot.line_ids.update(await _firsts(session, _LINE_IDS, line_ids))
    if promises:
        await _add_holds(session, snapshot, promises)
    due = [
        key
        for key, level in snapshot.levels.items()
        if (at := level.next_expiry_at) is not None and at <= now
    ]
    if due or any(hold.is_due(now) for hold in snapshot.holds.values()):
        await _add_due(session, snapshot, due, now, due_max)
    return snapshot


async def snapshot_of(
    session: AsyncSession, keys: AbstractSet[Key], *, locations: Iterable[LocationCode] = ()
) -> Snapshot:
    """Levels, and what bars a change of them, or of `locations` without any, as committed."""
    levels = await levels_of(session, keys)
    unseen = keys - levels.keys() if len(levels) < len(keys) else set()
    # Where stock is, neither the item nor the location is archived (`ITEM_IN_USE`).
    doubtful = {key for key, level in levels.items() if not level.on_hand} | unseen
    snapshot = Snapshot(
        levels=levels,
        barred_locations=await _barred_locations(
            session, {place for _, place in doubtful}.union(locations)
        ),
    )
    skus = {sku for sku, _ in doubtful}
    await _add_items(session, snapshot, skus, {sku for sku, _ in unseen})
    return snapshot


def _named_keys(promises: Iterable[Asked]) -> set[Key]:
    """Levels that commands about reservations and shipments name themselves."""
    keys: set[Key] = set()
    for command in promises:
        if isinstance(command, Reserve):
            keys |= {(line.sku, line.location) for line in command.lines if line.location}
        elif isinstance(command, Expire):
            keys.update(command.keys)
        elif isinstance(command, Announce):
            keys |= command.level_keys()
    return keys


async def _add_holds(session: AsyncSession, snapshot: Snapshot, promises: Sequence[Asked]) -> None:
    """The holds that commands name, their levels, and all levels of what is to be sourced."""
    wanted = [command for command in promises if isinstance(command, Reserve)]
    ids = {command.id for command in promises if isinstance(command, Settle)}
    ids |= await open_ids(session, {one.reference for one in wanted if one.reference})
    await _know(session, snapshot, ids)
    # Whoever pays late may find that his cart has a new hold.
    late = {
        hold.reservation.reference
        for hold in snapshot.holds.values()
        if hold.reservation.reference and hold.reservation.status in ("active", "expired")
    }
    await _know(session, snapshot, await open_ids(session, late) - ids)
    await _add_levels_of(session, snapshot, snapshot.holds.values())
    if not wanted:
        return
    snapshot.places.update(
        (row[0], Place(bool(row[1]), row[2])) for row in await fetch(session, _PLACES, {})
    )
    sourced = {line.sku for one in wanted for line in one.lines if line.location is None}
    if sourced:
        await _add_all_levels_of(session, snapshot, sourced)
        unseen = sourced - {sku for sku, _ in snapshot.levels}
        stocked = {key[0] for key, level in snapshot.levels.items() if level.on_hand}
        await _add_items(session, snapshot, sourced - stocked, unseen)
    if snapshot.kits:
        await _add_components(session, snapshot)


async def _add_all_levels_of(
    session: AsyncSession, snapshot: Snapshot, skus: Collection[SKU]
) -> None:
    for row in await fetch(session, _LEVELS_OF_ITEMS, listed(skus)):
        snapshot.levels.setdefault(row[:2], _new(Level, row))


async def _add_components(session: AsyncSession, snapshot: Snapshot) -> None:
    """What kits are made of now, and what they were made of when holds took them."""
    components = {sku for recipe in snapshot.kits.values() for sku, _ in recipe}
    for hold in snapshot.holds.values():
        components |= {one.sku for one in hold.allocations if one.kit}
    await _add_all_levels_of(session, snapshot, components)
    await _add_items(session, snapshot, components, ())


async def _know(session: AsyncSession, snapshot: Snapshot, ids: Collection[str]) -> list[Hold]:
    found = list((await holds_of(session, ids)).values())
    for hold in found:
        snapshot.know(hold)
    return found


async def _add_levels_of(session: AsyncSession, snapshot: Snapshot, holds: Iterable[Hold]) -> None:
    keys = {(one.sku, one.location) for hold in holds for one in hold.allocations}
    for key, level in (await levels_of(session, keys - snapshot.levels.keys())).items():
        snapshot.levels[key] = level


async def _add_due(
    session: AsyncSession, snapshot: Snapshot, due: Collection[Key], now: Instant, due_max: int
) -> None:
    """The holds that are due, with all their levels, and when the next ones are."""
    ids = await due_ids(session, due, now, limit=due_max) if due else set()
    found = await _know(session, snapshot, ids - snapshot.holds.keys())
    await _add_levels_of(session, snapshot, found)
    if len(ids) == due_max:
        # Which of the levels have more is not known: who names one of them comes again.
        snapshot.undecidable.update(due)
        return
    times = await next_expiries(session, due, now)
    for key in due:
        snapshot.levels[key] = snapshot.levels[key]._replace(next_expiry_at=times.get(key))
        snapshot.retimed.add(key)


async def levels_of(session: AsyncSession, keys: Collection[Key]) -> dict[Key, Level]:
    """The levels that exist among the keys, in sorted order, so that pages are near."""
    if not keys:
        return {}
    locations = {location for _, location in keys}
    if len(locations) == 1:
        at = {"location": locations.pop(), **listed([sku for sku, _ in keys])}
        rows = await fetch(session, _LEVELS_AT, at)
    else:
        rows = await fetch(session, _LEVELS, listed(keys))
    return {row[:2]: _new(Level, row) for row in rows if row[0] is not None}


async def _add_items(
    session: AsyncSession, snapshot: Snapshot, skus: Collection[SKU], unseen: Collection[SKU]
) -> None:
    """Those of which no level was seen may be unknown, or kits; any without stock may be archived."""
    if unseen:
        known, kits = await known_items(session, unseen)
        snapshot.barred_items.update(dict.fromkeys(set(unseen) - known, Code.UNKNOWN_SKU))
        snapshot.kits.update(kits)
    archived = await _firsts(session, _ARCHIVED, skus) if skus else []
    snapshot.barred_items.update(dict.fromkeys(archived, Code.ITEM_ARCHIVED))


async def _barred_locations(
    session: AsyncSession, codes: set[LocationCode]
) -> dict[LocationCode, Code]:
    if not codes:
        return {}
    statuses = dict(await fetch(session, _LOCATIONS, listed(codes)))
    barred = {code: Code.UNKNOWN_LOCATION for code in codes if code not in statuses}
    for code, status in statuses.items():
        if status != "active":
            barred[LocationCode(code)] = Code.LOCATION_ARCHIVED
    return barred


async def _firsts(session: AsyncSession, statement: Prepared, names: Collection[str]) -> list[Any]:
    """The first column of a statement about a list of names."""
    return [row[0] for row in await fetch(session, statement, listed(names))]
