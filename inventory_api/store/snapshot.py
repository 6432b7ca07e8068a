"""What a batch has to know before it decides: one query for each table.

Where other processes write too, what it knows is locked, by everybody in the same order: counts,
shipments and reservations by id, then levels by key. Who has levels waits for nothing more.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence, Set as AbstractSet
from types import MappingProxyType
from typing import Any

from sqlalchemy import bindparam, literal_column, select, union
from sqlalchemy.ext.asyncio import AsyncSession

from inventory_api.domain.commands import Command, TransferLine
from inventory_api.domain.decide import Snapshot
from inventory_api.domain.judge import Asked
from inventory_api.domain.rejections import Code
from inventory_api.domain.reservation import Allocation, Expire, Hold, Reserve, Settle, hold_at
from inventory_api.domain.shipment import Announce, Consignment, Shipping
from inventory_api.domain.sourcing import Place
from inventory_api.domain.types import SKU, Instant, Key, Level, LocationCode, Recipe
from inventory_api.store.bulk import (
    FIRST,
    LISTED,
    PAIRS,
    SECOND,
    VALUES,
    Lock,
    Prepared,
    Row,
    fetch,
    is_shared,
    listed,
    prepare,
)
from inventory_api.store.counts import counts_named, measure
from inventory_api.store.holds import (
    due_ids,
    holds_of,
    last_ids,
    next_expiries,
    open_ids,
    reservations_of,
)
from inventory_api.store.kits import kits_of, known_items
from inventory_api.store.shipments import consignments_of, transits_among
from inventory_api.store.tables import ITEM, LEVEL, LOCATION, MOVEMENT

# Past the named constructor, which costs three times as much.
_new = tuple.__new__

LEVEL_COLUMNS = tuple(LEVEL.c[name] for name in Level._fields)

# An outer join keeps the list outside: a planner that reads an inner one otherwise round walks a
# whole location for two levels.
_LEVELS = prepare(
    select(*LEVEL_COLUMNS).join_from(
        PAIRS, LEVEL, (LEVEL.c.sku == FIRST) & (LEVEL.c.location == SECOND), isouter=True
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
# Where other processes write too: all levels of a batch in one statement, in sorted order, so that
# two batches never wait for each other.
_SORTED = select(*LEVEL_COLUMNS).order_by(LEVEL.c.sku, LEVEL.c.location)
_AT_PAIRS = _SORTED.join_from(LEVEL, PAIRS, (LEVEL.c.sku == FIRST) & (LEVEL.c.location == SECOND))
_NAMED = union(
    select(FIRST.label("sku"), SECOND.label("location")),
    select(LEVEL.c.sku, LEVEL.c.location).where(LEVEL.c.sku.in_(VALUES)),
).subquery("named")
_LOCKED = {
    Lock.WAIT: prepare(_AT_PAIRS.with_for_update(of=LEVEL)),
    Lock.SKIP: prepare(_AT_PAIRS.with_for_update(of=LEVEL, skip_locked=True)),
}
_LOCKED_WITH_ITEMS = prepare(
    _SORTED.join_from(
        LEVEL, _NAMED, (LEVEL.c.sku == _NAMED.c.sku) & (LEVEL.c.location == _NAMED.c.location)
    ).with_for_update(of=LEVEL)
)
_ARCHIVED = prepare(
    select(ITEM.c.sku).where(ITEM.c.status == literal_column("'archived'"), ITEM.c.sku.in_(VALUES))
)
_LEVELS_OF_ITEMS = prepare(
    select(*LEVEL_COLUMNS).where(LEVEL.c.sku.in_(VALUES)).order_by(LEVEL.c.sku, LEVEL.c.location)
)
_PLACES = prepare(
    select(LOCATION.c.code, LOCATION.c.sellable, LOCATION.c.priority, LOCATION.c.kind).where(
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
    session: AsyncSession,
    commands: Collection[Asked],
    now: Instant,
    *,
    due_max: int,
    recent: Mapping[Key, Level],
) -> Snapshot:
    """Everything that the commands name, as committed, with what is due on it.

    `now` is that of the clock that holds live by. At most `due_max` reservations are for expiring;
    levels that have more are undecidable. The `recent` levels are known as they are committed.
    """
    lines = [line for command in commands if isinstance(command, Command) for line in command.lines]
    keys = {line[:2] for line in lines}
    keys |= {(line.sku, line.target) for line in lines if type(line) is TransferLine}
    line_ids = {line_id for line in lines if (line_id := line.line_id) is not None}
    promises = [command for command in commands if not isinstance(command, Command)]
    if promises:
        snapshot = await _about_promises(session, keys, promises, now, recent)
    else:
        snapshot = await snapshot_of(session, keys, recent=recent)
    if line_ids:
        snapshot.line_ids.update(await _firsts(session, _LINE_IDS, line_ids))
    due = [
        key
        for key, level in snapshot.levels.items()
        if (at := level.next_expiry_at) is not None and at <= now
    ]
    if due or any(hold.is_due(now) for hold in snapshot.holds.values()):
        await _add_due(session, snapshot, due, now, due_max)
    return snapshot


async def _about_promises(
    session: AsyncSession,
    keys: AbstractSet[Key],
    promises: Sequence[Asked],
    now: Instant,
    recent: Mapping[Key, Level],
) -> Snapshot:
    """What commands about counts, shipments and reservations name, besides the keys of others."""
    counts = await counts_named(session, promises)
    shipping = [command for command in promises if isinstance(command, Shipping)]
    named = [one.id for one in shipping if not isinstance(one, Announce)]
    shipments = await consignments_of(session, named, Lock.WAIT)
    holds = await _named_holds(session, promises)
    again = _taken_again(promises, holds, now)
    wanted = [command for command in promises if isinstance(command, Reserve)]
    kits = await kits_of(session, {line.sku for one in wanted for line in one.lines})
    snapshot = await snapshot_of(
        session,
        keys | _named_keys(promises) | _keys_of(holds, shipments.values()) | counts.named,
        _sourced(wanted, kits, holds) | {one.name for one in again if one.kit},
        locations=counts.skus_at,
        recent=recent,
    )
    snapshot.kits.update(kits)
    for hold in holds:
        snapshot.know(hold)
    await measure(session, counts, promises)
    snapshot.counts = counts
    snapshot.shipments.update(shipments)
    through = {one.transit for one in shipping if isinstance(one, Announce) and one.transit}
    through |= {one.location for one in again}
    snapshot.transits.update(await transits_among(session, through))
    if wanted:
        for code, sellable, priority, kind in await fetch(session, _PLACES, {}):
            snapshot.places[code] = Place(bool(sellable), priority)
            if kind == "transit" and not sellable:
                snapshot.transits.add(code)
    return snapshot


async def snapshot_of(
    session: AsyncSession,
    keys: AbstractSet[Key],
    sourced: AbstractSet[SKU] = frozenset(),
    *,
    locations: Iterable[LocationCode] = (),
    recent: Mapping[Key, Level] = MappingProxyType({}),
) -> Snapshot:
    """Levels, also all of the items that are sourced, and what bars a change of them.

    `locations` are looked at too, though none of their levels is named; `recent` levels are known.
    """
    found = zip(keys, map(recent.get, keys), strict=True) if recent else ()
    levels = {key: level for key, level in found if level is not None}
    if sourced or len(levels) < len(keys):
        levels |= await _lock_levels(session, keys - levels.keys(), sourced)
    unseen = keys - levels.keys() if len(levels) < len(keys) or sourced else set()
    # Where stock is, neither the item nor the location is archived (`ITEM_IN_USE`).
    doubtful = {key for key, level in levels.items() if not level.on_hand} | unseen
    snapshot = Snapshot(
        levels=levels,
        barred_locations=await _barred_locations(
            session, {place for _, place in doubtful}.union(locations)
        ),
    )
    unknown = {sku for sku, _ in unseen}
    skus = {sku for sku, _ in doubtful}
    if sourced:
        unknown |= sourced - {sku for sku, _ in levels}
        skus |= sourced - {sku for (sku, _), level in levels.items() if level.on_hand}
    await _add_items(session, snapshot, skus, unknown)
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


def _keys_of(holds: Iterable[Hold], shipments: Iterable[Consignment] = ()) -> set[Key]:
    keys = {(one.sku, one.location) for hold in holds for one in hold.allocations}
    return keys | {key for consignment in shipments for key in consignment.level_keys()}


def _sourced(
    wanted: Sequence[Reserve], kits: Mapping[SKU, Recipe], holds: Iterable[Hold]
) -> set[SKU]:
    """The items of which all levels count: those without a location, and components of kits.

    To a hold that has had a kit it is always made of what it was made of then.
    """
    sourced = {line.sku for one in wanted for line in one.lines if line.location is None}
    sourced |= {sku for recipe in kits.values() for sku, _ in recipe}
    if wanted:
        sourced |= {one.sku for hold in holds for one in hold.allocations if one.kit}
    return sourced


def _taken_again(
    promises: Iterable[Asked], holds: Iterable[Hold], now: Instant
) -> list[Allocation]:
    """What is paid late: whether it may be had is asked again, of the kits and locations too."""
    paid = {one.id for one in promises if isinstance(one, Settle) and one.kind == "confirm"}
    return [
        one
        for hold in holds
        if hold.reservation.id in paid
        for one in hold_at(hold, now).allocations
        if one.expired
    ]


async def _named_holds(session: AsyncSession, promises: Sequence[Asked]) -> list[Hold]:
    """The holds that commands name, by id or by reference, and those that may take their place."""
    ids = {command.id for command in promises if isinstance(command, Settle)}
    references = {one.reference for one in promises if isinstance(one, Reserve) and one.reference}
    # Whoever pays late may find that his cart has a new hold.
    references |= {
        row.reference
        for row in await reservations_of(session, ids)
        if row.reference and row.status in ("active", "expired")
    }
    ids |= await open_ids(session, references)
    emptied = {one.reference for one in promises if isinstance(one, Reserve) and not one.lines}
    ids |= await last_ids(session, {reference for reference in emptied if reference})
    return list((await holds_of(session, ids, Lock.WAIT)).values())


async def _add_due(
    session: AsyncSession, snapshot: Snapshot, due: Collection[Key], now: Instant, due_max: int
) -> None:
    """The holds that are due, with all their levels, and when the next ones are.

    What another process works on is left to it: then it is not known whether all is expired, and
    who names one of the levels comes again.
    """
    ids = await due_ids(session, due, now, limit=due_max) if due else set()
    unknown = ids - snapshot.holds.keys()
    found = (await holds_of(session, unknown, Lock.SKIP)).values()
    keys = _keys_of(found) - snapshot.levels.keys()
    levels = await levels_of(session, keys, Lock.SKIP)
    whole = [hold for hold in found if not (_keys_of([hold]) & keys) - levels.keys()]
    for hold in whole:
        snapshot.know(hold)
    snapshot.levels.update(levels)
    if len(ids) == due_max or len(whole) < len(unknown):
        # Which of the levels have more is not known: who names one of them comes again.
        snapshot.undecidable.update(due)
        return
    times = await next_expiries(session, due, now)
    for key in due:
        snapshot.levels[key] = snapshot.levels[key]._replace(next_expiry_at=times.get(key))
        snapshot.retimed.add(key)


async def _lock_levels(
    session: AsyncSession, keys: Collection[Key], sourced: Collection[SKU]
) -> dict[Key, Level]:
    """The levels that exist among the keys, and all of the items; locked in one statement."""
    if sourced and is_shared(session):
        at = {**listed(keys), "listed": sorted(sourced)}
        return _by_key(await fetch(session, _LOCKED_WITH_ITEMS, at))
    levels = await levels_of(session, keys, Lock.WAIT)
    if sourced:
        levels |= _by_key(await fetch(session, _LEVELS_OF_ITEMS, listed(sourced)))
    return levels


async def levels_of(
    session: AsyncSession, keys: Collection[Key], lock: Lock = Lock.NONE
) -> dict[Key, Level]:
    """The levels that exist among the keys, in sorted order, so that pages are near."""
    if not keys:
        return {}
    if lock is not Lock.NONE and is_shared(session):
        return _by_key(await fetch(session, _LOCKED[lock], listed(keys)))
    locations = {location for _, location in keys}
    if len(locations) == 1:
        at = {"location": locations.pop(), **listed([sku for sku, _ in keys])}
        return _by_key(await fetch(session, _LEVELS_AT, at))
    return _by_key(await fetch(session, _LEVELS, listed(keys)))


def _by_key(rows: Iterable[Row]) -> dict[Key, Level]:
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
    statuses: dict[str, str] = dict(await fetch(session, _LOCATIONS, listed(codes)))
    barred = {code: Code.UNKNOWN_LOCATION for code in codes if code not in statuses}
    for code, status in statuses.items():
        if status != "active":
            barred[LocationCode(code)] = Code.LOCATION_ARCHIVED
    return barred


async def _firsts(session: AsyncSession, statement: Prepared, names: Collection[str]) -> list[Any]:
    """The first column of a statement about a list of names."""
    return [row[0] for row in await fetch(session, statement, listed(names))]
