"""What was sold of each level in a window of time, summed by the database.

A level's movements are known by their versions, which have no gap: those since the window began are
walked from one to the next by the key that guards the ledger, so that a page of levels reads its own
movements and no others, and the ledger needs no index for it. Only what weighs the levels against
each other reads the whole stretch of the ledger, once.
"""

import math
from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

from sqlalchemy import (
    CTE,
    BigInteger,
    Case,
    ColumnElement,
    Double,
    Select,
    bindparam,
    case,
    cast,
    func,
    literal_column,
    select,
    tuple_,
)
from sqlalchemy.ext.asyncio import AsyncSession

from inventory_api.domain.replenishment import UNITS, Classes, Demand
from inventory_api.domain.types import Instant, Key, Level
from inventory_api.store.bulk import STEPS, listed
from inventory_api.store.ledger import Step, movements_of, read_head, seq_at, steps_at
from inventory_api.store.snapshot import LEVEL_COLUMNS
from inventory_api.store.tables import ITEM, LEVEL, LOCATION, MOVEMENT

DAY = 86_400_000_000
"""Microseconds."""
# Movements walked in one short read: a third of a second on a file, measured at 3 µs each.
WALK_MAX = 100_000

_M = MOVEMENT.c
IS_DEMAND = (_M.d_on_hand < 0) & (
    (_M.type == literal_column("'fulfill'"))
    | ((_M.type == literal_column("'adjust'")) & (_M.reason == literal_column("'sale'")))
)
"""Whether a movement is a sale: what reservations gave out, and what was adjusted as sold."""


class Window(NamedTuple):
    """Days that end at `until`, and what of the ledger can tell of them.

    What happened in them was recorded since they began: behind `after`, up to `seq`.
    """

    until: Instant
    days: int
    after: int
    seq: int

    @property
    def start(self) -> int:
        """When the first day begins."""
        return self.until - self.days * DAY


class Stocked(NamedTuple):
    """A level of which something can be sold, with the item's price."""

    level: Level
    amount: str | None
    currency: str | None


async def window_of(session: AsyncSession, until: Instant, days: int) -> Window:
    """The days before a moment."""
    head = await read_head(session)
    after = await seq_at(session, Instant(until - days * DAY - 1))
    return Window(until, days, after, head.seq)


_STOCKED: Select[Any] = (
    select(*LEVEL_COLUMNS, ITEM.c.amount, ITEM.c.currency)
    .join_from(LEVEL, ITEM, ITEM.c.sku == LEVEL.c.sku)
    .join(LOCATION, LOCATION.c.code == LEVEL.c.location)
    .where(
        ITEM.c.status == literal_column("'active'"),
        LOCATION.c.status == literal_column("'active'"),
        LOCATION.c.sellable == 1,
    )
    .order_by(LEVEL.c.sku, LEVEL.c.location)
)


async def stocked_levels(
    session: AsyncSession, *, after: Key, limit: int, locations: Collection[str] | None
) -> list[Stocked]:
    """Levels of active items where something is sold, by SKU and location, from the one behind `after`."""
    statement = _STOCKED.where(tuple_(LEVEL.c.sku, LEVEL.c.location) > after).limit(limit)
    if locations is not None:
        statement = statement.where(LEVEL.c.location.in_(sorted(locations)))
    size = len(LEVEL_COLUMNS)
    return [
        Stocked(Level._make(row[:size]), *row[size:]) for row in await session.execute(statement)
    ]


async def demand_of(
    session: AsyncSession, levels: Sequence[Level], window: Window, *, walk_max: int = WALK_MAX
) -> dict[Key, Demand]:
    """What was sold of the first of the levels: of as many as a short read allows, of one at least.

    A level that is younger than the window counts from its first movement, or from its first sale
    if that happened before it.
    """
    begun: dict[Key, int] = {
        step[1:]: step[0] for step in await steps_at(session, levels, window.after)
    }
    starts: list[Step] = []
    walked = 0
    for level in levels:
        version = begun.get(level[:2], 0)
        walked += level.version - version
        if starts and walked > walk_max:
            break
        starts.append((version, *level[:2]))
    given = {"start": window.start, "until": window.until, "seq": window.seq, **listed(starts)}
    rows = await session.execute(_DEMAND, given)
    sold = {(row[0], row[1]): tuple(row[2:]) for row in rows}
    firsts = await movements_of(session, [(1, sku, location) for _, sku, location in starts])
    ages = {(one.sku, one.location): window.until - one.occurred_at for one in firsts}
    found = {}
    for _, sku, location in starts:
        units, squares, days = sold.get((sku, location), (0, 0.0, 1))
        age = -(-ages.get((sku, location), 0) // DAY)
        counted = min(window.days, max(age, int(days)))
        found[sku, location] = Demand(counted, int(units), float(squares))
    return found


def _walk() -> CTE:
    """The movements behind those that are listed, level by level, and what each of them sold."""
    nothing = cast(literal_column("0"), BigInteger)
    walk = (
        select(
            STEPS.c.first.label("version"),
            LEVEL.c.sku,
            LEVEL.c.location,
            nothing.label("occurred_at"),
            nothing.label("units"),
        )
        .join_from(
            STEPS, LEVEL, (LEVEL.c.sku == STEPS.c.second) & (LEVEL.c.location == STEPS.c.third)
        )
        .cte("walk", recursive=True)
    )
    is_next = (
        (_M.level_version == walk.c.version + 1)
        & (_M.sku == walk.c.sku)
        & (_M.location == walk.c.location)
    )
    units: Case[int] = case((IS_DEMAND, -_M.d_on_hand), else_=literal_column("0", BigInteger))
    following = (
        select(_M.level_version, _M.sku, _M.location, _M.occurred_at, units)
        .join_from(walk, MOVEMENT, is_next)
        .where(_M.seq <= bindparam("seq", type_=BigInteger))
    )
    return walk.union_all(following)


def _in_window(occurred_at: ColumnElement[int]) -> ColumnElement[bool]:
    start, until = (bindparam(name, type_=BigInteger) for name in ("start", "until"))
    return (occurred_at >= start) & (occurred_at < until)


def _summed() -> Select[Any]:
    walk = _walk()
    until = bindparam("until", type_=BigInteger)
    ago = (until - 1 - walk.c.occurred_at) // literal_column(str(DAY), BigInteger)
    daily = (
        select(walk.c.sku, walk.c.location, ago.label("ago"), func.sum(walk.c.units).label("units"))
        .where(walk.c.units > 0, _in_window(walk.c.occurred_at))
        # By name: the expression has a parameter, and two of them are not the same to a server.
        .group_by(walk.c.sku, walk.c.location, literal_column("ago"))
        .subquery()
    )
    # Not squared as whole numbers, which would not fit.
    units = cast(daily.c.units, Double)
    return select(
        daily.c.sku,
        daily.c.location,
        func.sum(daily.c.units),
        func.sum(units * units),
        func.max(daily.c.ago) + 1,
    ).group_by(daily.c.sku, daily.c.location)


_DEMAND = _summed()


async def class_borders(
    session: AsyncSession,
    window: Window,
    *,
    by_value: bool,
    shares: tuple[float, float],
    locations: Collection[str] | None,
) -> Classes:
    """The least weights of the levels that make up these shares of all, the heaviest first.

    Levels of the same weight are in the same class; values are compared within their currency.
    """
    given = {
        "start": window.start,
        "until": window.until,
        "after": window.after,
        "seq": window.seq,
        "share_a": shares[0],
        "share_b": shares[1],
    }
    statement = _borders(by_value=by_value, locations=locations)
    rows = (await session.execute(statement, given)).all()
    borders = {row[0]: (row[1], row[2]) for row in rows}
    return borders if by_value else {UNITS: (math.inf, math.inf), **borders}


def _borders(*, by_value: bool, locations: Collection[str] | None) -> Select[Any]:
    chosen = [] if locations is None else [_M.location.in_(sorted(locations))]
    sold = (
        select(_M.sku, _M.location, func.sum(-_M.d_on_hand).label("units"))
        .join(LOCATION, LOCATION.c.code == _M.location)
        .where(
            _M.seq > bindparam("after", type_=BigInteger),
            _M.seq <= bindparam("seq", type_=BigInteger),
            IS_DEMAND,
            _in_window(_M.occurred_at),
            LOCATION.c.sellable == 1,
            LOCATION.c.status == literal_column("'active'"),
            *chosen,
        )
        .group_by(_M.sku, _M.location)
        .subquery()
    )
    units = cast(sold.c.units, Double)
    currency: ColumnElement[str] = ITEM.c.currency if by_value else literal_column("''")
    weight = units * cast(ITEM.c.amount, Double) if by_value else units
    weighed = (
        select(currency.label("currency"), weight.label("weight"))
        .join_from(sold, ITEM, ITEM.c.sku == sold.c.sku)
        .where(ITEM.c.status == literal_column("'active'"))
    )
    if by_value:
        weighed = weighed.where(ITEM.c.amount.is_not(None), ITEM.c.currency.is_not(None))
    each = weighed.subquery()
    alike = (
        select(each.c.currency, each.c.weight, func.sum(each.c.weight).label("together"))
        .group_by(each.c.currency, each.c.weight)
        .subquery()
    )
    together, currencies = func.sum(alike.c.together), alike.c.currency
    ranked = select(
        alike.c.currency,
        alike.c.weight,
        (
            func.coalesce(
                together.over(
                    partition_by=currencies,
                    order_by=alike.c.weight.desc(),
                    rows=(None, -1),
                ),
                literal_column("0"),
            )
        ).label("heavier"),
        together.over(partition_by=currencies).label("whole"),
    ).subquery()

    def least(share: str) -> ColumnElement[float]:
        # Sums of binary floats: what comes this near to the share has reached it.
        end = bindparam(share, type_=Double) * ranked.c.whole * literal_column("0.999999999")
        is_within = ranked.c.heavier < end
        return func.min(case((is_within, ranked.c.weight)))

    return select(ranked.c.currency, least("share_a"), least("share_b")).group_by(ranked.c.currency)
