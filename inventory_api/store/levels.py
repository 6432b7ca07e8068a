"""Levels: read singly, in lists, and as they were."""

from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

import orjson
from sqlalchemy import (
    ColumnElement,
    and_,
    literal_column,
    select,
    tuple_,
    update,
)
from sqlalchemy.ext.asyncio import AsyncSession

from inventory_api.domain.alerts import rearm_point, state_after
from inventory_api.domain.catalog import show_level
from inventory_api.domain.outcome import Outcome
from inventory_api.domain.rejections import Code
from inventory_api.domain.stock import change_terms
from inventory_api.domain.types import Instant, Key, Level, Movement, Operation
from inventory_api.store.bulk import VALUES, listed
from inventory_api.store.catalog import Tags
from inventory_api.store.changes import (
    advance_head,
    insert_levels,
    insert_movements,
    insert_operations,
)
from inventory_api.store.elsewhere import AVAILABLE
from inventory_api.store.holds import due_units
from inventory_api.store.ledger import movements_of, steps_at
from inventory_api.store.snapshot import LEVEL_COLUMNS, snapshot_of
from inventory_api.store.tables import ITEM, LEDGER_HEAD, LEVEL, LOCATION

_OF_ITEMS = (
    select(*LEVEL_COLUMNS).where(LEVEL.c.sku.in_(VALUES)).order_by(LEVEL.c.sku, LEVEL.c.location)
)
_NAMES = select(ITEM.c.sku, ITEM.c.name).where(ITEM.c.sku.in_(VALUES))
_SELLABLE = select(LOCATION.c.code).where(
    LOCATION.c.sellable == 1, LOCATION.c.status == literal_column("'active'")
)
_STATUSES: dict[str, ColumnElement[bool]] = {
    "low": AVAILABLE <= LEVEL.c.reorder_point,
    "out": AVAILABLE <= 0,
    "oversold": AVAILABLE < -LEVEL.c.backorder_limit,
}


async def head_seq(session: AsyncSession) -> int:
    """The number of the ledger's last movement."""
    seq: int = (await session.execute(select(LEDGER_HEAD.c.seq))).scalar_one()
    return seq


async def names_of(session: AsyncSession, skus: Collection[str]) -> dict[str, str]:
    """Names of the items that exist among the SKUs."""
    rows = await session.execute(_NAMES, listed(skus))
    return {row[0]: row[1] for row in rows}


async def sellable_locations(session: AsyncSession) -> set[str]:
    """Codes of the locations that may be sold from."""
    return set((await session.execute(_SELLABLE)).scalars())


async def levels_of_items(session: AsyncSession, skus: Collection[str]) -> dict[str, list[Level]]:
    """All levels of the items, by location."""
    found: dict[str, list[Level]] = {sku: [] for sku in skus}
    for row in await session.execute(_OF_ITEMS, listed(skus)):
        found[row[0]].append(Level._make(row))
    return found


async def list_levels(
    session: AsyncSession,
    *,
    after: Key,
    limit: int,
    locations: Collection[str] | None = None,
    status: str | None = None,
) -> list[Level]:
    """Levels by SKU and location, from the one behind `after`."""
    statement = (
        select(*LEVEL_COLUMNS)
        .where(tuple_(LEVEL.c.sku, LEVEL.c.location) > after)
        .order_by(LEVEL.c.sku, LEVEL.c.location)
        .limit(limit)
    )
    if locations is not None:
        # Equality lets the index by location give the order too; a list of one would not.
        one = len(locations) == 1
        statement = statement.where(
            LEVEL.c.location == next(iter(locations))
            if one
            else LEVEL.c.location.in_(sorted(locations))
        )
    if status is not None:
        statement = statement.where(_STATUSES[status])
    return [Level._make(row) for row in await session.execute(statement)]


async def as_of(session: AsyncSession, levels: Sequence[Level], seq: int) -> list[Level]:
    """Levels as they were when the ledger ended at `seq`, without those that did not exist yet.

    The policy is today's, except for `safety_stock`, which the movement's available tells.
    """
    moved = [level for level in levels if level.seq > seq]
    steps = await steps_at(session, moved, seq)
    past = {(one.sku, one.location): one for one in await movements_of(session, steps)}
    found = []
    for level in levels:
        if level.seq <= seq:
            found.append(level)
        elif (movement := past.get((level.sku, level.location))) is not None:
            found.append(_rewound(level, movement))
    return found


async def without_due(
    session: AsyncSession, levels: dict[Key, Level], now: Instant
) -> dict[Key, Level]:
    """The levels as they are now: a hold whose time is over counts no more, tidied up or not."""
    due = [
        key
        for key, level in levels.items()
        if level.next_expiry_at is not None and level.next_expiry_at <= now
    ]
    if due:
        for key, units in (await due_units(session, due, now)).items():
            levels[key] = levels[key]._replace(reserved=levels[key].reserved - units)
    return levels


async def without_due_list(
    session: AsyncSession, levels: Sequence[Level], now: Instant
) -> list[Level]:
    """The same for a list."""
    return list((await without_due(session, {one[:2]: one for one in levels}, now)).values())


def matches(level: Level, status: str) -> bool:
    """Whether a level is low, out or oversold; says the same as `_STATUSES` in SQL."""
    if status == "low":
        return level.reorder_point is not None and level.available <= level.reorder_point
    if status == "out":
        return level.available <= 0
    return level.backorder_limit is not None and level.available < -level.backorder_limit


def _rewound(level: Level, movement: Movement) -> Level:
    promised = movement.reserved + movement.committed
    return level._replace(
        on_hand=movement.on_hand,
        reserved=movement.reserved,
        committed=movement.committed,
        incoming=movement.incoming,
        version=movement.level_version,
        seq=movement.seq,
        safety_stock=movement.on_hand - promised - movement.available,
        alert=state_after(movement.alerts, movement.available, level.reorder_point),
    )


Policy = dict[str, Any]  # Any: whole numbers or None, by column


class Author(NamedTuple):
    """Who changes something in which operation, under which idempotency key, if any."""

    actor: str
    operation_id: str
    key: str | None


async def change_policy(
    session: AsyncSession,
    key: Key,
    policy: Policy,
    *,
    if_match: Tags,
    by: Author,
    now: Instant,
    margin_percent: int,
) -> Outcome:
    """Change safety stock, backorder limit and reorder numbers of a level, which need not exist.

    The ledger gets a movement of no units, since the safety stock changes what is available; a
    change to what is already so leaves no trace. `margin_percent` of the reorder point is how far
    above it the level has to be before it can be told as low again.

    Rejects: as an adjustment would, what is unknown, archived or a kit; `VERSION_MISMATCH` unless the
    level's ETag is among the wanted ones.
    """
    snapshot = await snapshot_of(session, {key})
    if barred := snapshot.barred_items.get(key[0]) or snapshot.barred_locations.get(key[1]):
        return Outcome(b"{}", barred)
    if key[0] in snapshot.kits:
        return Outcome(b"{}", Code.IS_KIT)
    before = snapshot.levels.get(key) or Level(*key)
    if if_match is not None and etag_of(before) not in if_match:
        return Outcome(orjson.dumps({"current_etag": etag_of(before)}), Code.VERSION_MISMATCH)
    wanted = before._replace(**policy)
    if wanted == before and before.version:
        return Outcome(orjson.dumps(show_level(before)), etag=etag_of(before))
    wanted = wanted._replace(rearm_at=rearm_point(wanted.reorder_point, margin_percent))
    after, change = change_terms(before, wanted)
    head = await advance_head(session, 1, now)
    after = after._replace(seq=head.seq)
    stamp = (head.recorded_at, by.operation_id, by.actor, None, head.recorded_at)
    await insert_movements(session, [(head.seq, *stamp, *change)])
    operation = Operation(
        by.operation_id, head.recorded_at, by.actor, by.key, "policy", "atomic", "policy",
        None, None, head.recorded_at, head.seq, head.seq, 1, 0,
    )  # fmt: skip
    await insert_operations(session, [operation])
    if key in snapshot.levels:
        at = and_(LEVEL.c.sku == key[0], LEVEL.c.location == key[1])
        told = {name: getattr(after, name) for name in ("version", "seq", "alert", "rearm_at")}
        values = policy | told
        await session.execute(update(LEVEL).where(at).values(values))
    else:
        await insert_levels(session, [after])
    return Outcome(orjson.dumps(show_level(after)), etag=etag_of(after))


def etag_of(level: Level) -> str:
    """A level's ETag without quotes."""
    return str(level.version)
