"""Reservations: found with what they have, written with what has become of them."""

from collections.abc import Collection, Sequence
from typing import NamedTuple

from sqlalchemy import BigInteger, and_, bindparam, case, cast, func, literal_column, select, true
from sqlalchemy.ext.asyncio import AsyncSession

from inventory_api.domain.catalog import rfc3339
from inventory_api.domain.reservation import Allocation, Hold, Reservation
from inventory_api.domain.types import Instant, Key
from inventory_api.store.bulk import (
    FIRST,
    LISTED,
    PAIRS,
    SECOND,
    VALUES,
    Lock,
    Prepared,
    Work,
    fetch,
    listed,
    many_updates,
    many_upserts,
    prepare,
)
from inventory_api.store.pages import leading
from inventory_api.store.tables import ALLOCATION, LEVEL, RESERVATION

RESERVATION_COLUMNS = tuple(RESERVATION.c[name] for name in Reservation._fields)
ALLOCATION_COLUMNS = tuple(ALLOCATION.c[name] for name in Allocation._fields)
_AT_KEY = (ALLOCATION.c.sku == FIRST) & (ALLOCATION.c.location == SECOND)
# Literal, like the condition of the index that serves it.
_IS_HELD = ALLOCATION.c.held > literal_column("0")
_IS_DUE = _IS_HELD & (ALLOCATION.c.expires_at <= bindparam("now"))
_UNITS = ("held", "committed", "fulfilled", "released", "expired")

_ROWS = select(*RESERVATION_COLUMNS).where(RESERVATION.c.id.in_(VALUES)).order_by(RESERVATION.c.id)
# In the order of the ids, like everybody, so that two batches do not wait for each other. A batch
# that holds levels already waits for nobody.
_BY_ID: dict[Lock, Prepared] = {
    Lock.NONE: prepare(_ROWS),
    Lock.WAIT: prepare(_ROWS.with_for_update()),
    Lock.SKIP: prepare(_ROWS.with_for_update(skip_locked=True)),
}
# With the condition of the index that has these and no others; an outer join, so that the list
# stays outside: a planner that begins with the status walks all that are active.
_OPEN = prepare(
    select(RESERVATION.c.id).join_from(
        LISTED,
        RESERVATION,
        (RESERVATION.c.reference == LISTED.c.value)
        & RESERVATION.c.reference.is_not(None)
        & literal_column("status IN ('active', 'confirmed')"),
        isouter=True,
    )
)
# The last one of each, by one seek.
_LAST = prepare(
    select(
        select(func.max(RESERVATION.c.id))
        .where(RESERVATION.c.reference == LISTED.c.value)
        .correlate(LISTED)
        .scalar_subquery()
    ).select_from(LISTED)
)
_ALLOCATIONS = prepare(
    select(*ALLOCATION_COLUMNS)
    .where(ALLOCATION.c.reservation_id.in_(VALUES))
    .order_by(
        ALLOCATION.c.reservation_id,
        ALLOCATION.c.line,
        ALLOCATION.c.location,
        ALLOCATION.c.kit,
        ALLOCATION.c.sku,
    )
)
_SIZES = prepare(
    select(ALLOCATION.c.reservation_id, func.count())
    .where(ALLOCATION.c.reservation_id.in_(VALUES))
    .group_by(ALLOCATION.c.reservation_id)
)
_DUE = prepare(
    select(ALLOCATION.c.reservation_id)
    .distinct()
    .join_from(PAIRS, ALLOCATION, _AT_KEY)
    .where(_IS_DUE)
    .limit(bindparam("limit"))
)
_DUE_UNITS = prepare(
    # PostgreSQL adds whole numbers up to a decimal.
    select(ALLOCATION.c.sku, ALLOCATION.c.location, cast(func.sum(ALLOCATION.c.held), BigInteger))
    .join_from(PAIRS, ALLOCATION, _AT_KEY)
    .where(_IS_DUE)
    .group_by(ALLOCATION.c.sku, ALLOCATION.c.location)
)
# The first hold that ends, by one seek for each level: grouping walks all holds that a level has,
# which took 50 ms for each batch that met the end of one of 100,000.
_FIRST_END = (
    select(func.min(ALLOCATION.c.expires_at))
    .where(_AT_KEY, _IS_HELD, ALLOCATION.c.expires_at > bindparam("now"))
    .scalar_subquery()
)
_NEXT = prepare(select(FIRST, SECOND, _FIRST_END).select_from(PAIRS))
_LIVE = case((ALLOCATION.c.expires_at > bindparam("now"), ALLOCATION.c.held), else_=0)
_PROMISES = prepare(
    select(
        ALLOCATION.c.location,
        ALLOCATION.c.reservation_id,
        RESERVATION.c.reference,
        ALLOCATION.c.expires_at,
        _LIVE,
        ALLOCATION.c.committed,
    )
    .join(RESERVATION, RESERVATION.c.id == ALLOCATION.c.reservation_id)
    .where(
        ALLOCATION.c.sku == bindparam("sku"),
        ALLOCATION.c.location == bindparam("location"),
        (_LIVE > 0) | (ALLOCATION.c.committed > 0),
    )
    .order_by(ALLOCATION.c.reservation_id)
    .limit(bindparam("limit"))
)
_DUE_LEVELS = prepare(
    select(LEVEL.c.sku, LEVEL.c.location)
    .where(LEVEL.c.next_expiry_at <= bindparam("now"))
    .order_by(LEVEL.c.next_expiry_at)
    .limit(bindparam("limit"))
)
_NEXT_EXPIRY = select(func.min(LEVEL.c.next_expiry_at)).where(LEVEL.c.next_expiry_at.is_not(None))


_KEEP_RESERVATIONS = many_upserts(
    RESERVATION, keys=["id"], changing=["status", "expires_at", "version"]
)
_KEEP_ALLOCATIONS = many_upserts(
    ALLOCATION,
    keys=["sku", "location", "reservation_id", "line", "kit"],
    changing=["requested", "expires_at", *_UNITS],
)
_RETIME = many_updates(LEVEL, set_=["next_expiry_at"], keys=["sku", "location"])


async def reservations_of(
    session: AsyncSession, ids: Collection[str], lock: Lock = Lock.NONE
) -> list[Reservation]:
    """The reservations that exist among the ids, without what they have."""
    if not ids:
        return []
    return list(map(Reservation._make, await fetch(session, _BY_ID[lock], listed(ids))))


async def holds_of(
    session: AsyncSession, ids: Collection[str], lock: Lock = Lock.NONE
) -> dict[str, Hold]:
    """The reservations that exist among the ids, with all their allocations.

    Locking the reservation locks what it has: nobody changes an allocation without it.
    """
    rows = await reservations_of(session, ids, lock)
    if not rows:
        return {}
    allocations: dict[str, list[Allocation]] = {}
    for row in await fetch(session, _ALLOCATIONS, listed([row.id for row in rows])):
        allocations.setdefault(row[2], []).append(Allocation._make(row))
    return {row.id: Hold(row, tuple(allocations.get(row.id, ()))) for row in rows}


async def open_ids(session: AsyncSession, references: Collection[str]) -> set[str]:
    """The reservations that are active or confirmed under the references."""
    if not references:
        return set()
    rows = await fetch(session, _OPEN, listed(references))
    return {row[0] for row in rows if row[0] is not None}


async def last_ids(session: AsyncSession, references: Collection[str]) -> set[str]:
    """The reservations that were made last under the references."""
    if not references:
        return set()
    rows = await fetch(session, _LAST, listed(references))
    return {row[0] for row in rows if row[0] is not None}


async def current_hold(session: AsyncSession, reference: str) -> Hold | None:
    """The open reservation of a reference, else the last one that was made under it.

    An older one may be open: one that was paid late, when the newer one had been released.
    """
    ids = await open_ids(session, {reference}) or await last_ids(session, {reference})
    holds = await holds_of(session, ids)
    return next(iter(holds.values()), None)


async def due_ids(
    session: AsyncSession, keys: Collection[Key], now: Instant, *, limit: int
) -> set[str]:
    """At most so many reservations that still hold something on the levels, and should not."""
    found = await fetch(session, _DUE, {**listed(keys), "now": now, "limit": limit})
    return {row[0] for row in found}


async def due_units(session: AsyncSession, keys: Collection[Key], now: Instant) -> dict[Key, int]:
    """Units that levels seem to hold and do not, since their time is over."""
    rows = await fetch(session, _DUE_UNITS, {**listed(keys), "now": now})
    return {(row[0], row[1]): row[2] for row in rows}


async def held_under(session: AsyncSession, reference: str, now: Instant) -> dict[Key, int]:
    """Units that the open reservation of a reference holds, by level."""
    held: dict[Key, int] = {}
    ids = await open_ids(session, {reference})
    for hold in (await holds_of(session, ids)).values():
        if hold.reservation.expires_at > now:
            for one in hold.allocations:
                key = (one.sku, one.location)
                held[key] = held.get(key, 0) + one.held
    return held


async def next_expiries(
    session: AsyncSession, keys: Collection[Key], now: Instant
) -> dict[Key, Instant]:
    """When the first hold of each level ends that has not ended by now."""
    rows = await fetch(session, _NEXT, {**listed(keys), "now": now})
    return {(row[0], row[1]): row[2] for row in rows if row[2] is not None}


async def due_levels(session: AsyncSession, now: Instant, *, limit: int) -> list[Key]:
    """Levels on which something may be due, the longest overdue first."""
    rows = await fetch(session, _DUE_LEVELS, {"now": now, "limit": limit})
    return [(row[0], row[1]) for row in rows]


async def next_expiry(session: AsyncSession) -> Instant | None:
    """Before then nothing is due anywhere."""
    found: Instant | None = await session.scalar(_NEXT_EXPIRY)
    return found


async def find_holds(
    session: AsyncSession,
    *,
    after: str,
    limit: int,
    status: str | None,
    reference: str | None,
    now: Instant,
) -> list[str]:
    """Reservations in the order in which they were made, from the one behind `after`.

    Those of a status include what is due and not yet tidied up: the caller looks what it is.
    """
    statement = select(RESERVATION.c.id).where(RESERVATION.c.id > after)
    if reference is not None:
        statement = statement.where(RESERVATION.c.reference == reference)
    chosen = [statement]
    if status is not None:
        is_over = RESERVATION.c.expires_at <= now
        live = and_(RESERVATION.c.status == status, ~is_over if status == "active" else true())
        due = and_(RESERVATION.c.status == "active", is_over)
        chosen = [statement.where(live), *([] if status == "active" else [statement.where(due)])]
    found: set[str] = set()
    for one in chosen:
        found.update((await session.execute(one.order_by(RESERVATION.c.id).limit(limit))).scalars())
    return sorted(found)[:limit]


async def leading_holds(
    session: AsyncSession, ids: Sequence[str], *, lines_max: int
) -> dict[str, Hold]:
    """The first of the reservations that have at most so many allocations in all, or one."""
    return await holds_of(session, await leading(session, ids, _SIZES, lines_max=lines_max))


async def newest_id(session: AsyncSession) -> str:
    """The id behind which no reservation is; empty if there is none at all."""
    found: str | None = await session.scalar(select(func.max(RESERVATION.c.id)))
    return found or ""


async def hold_page(
    session: AsyncSession, *, after: str, until: str, limit: int
) -> tuple[list[Hold], str | None]:
    """Reservations behind `after` with their allocations, and behind which one to go on.

    A page has at most `limit` allocations, or one reservation: those can have ten thousand. Each
    reservation has at least one allocation, an empty one if it got nothing.
    """
    found = ALLOCATION.c.reservation_id
    rows = select(found).where(found > after, found <= until).order_by(found).limit(limit)
    names = list((await session.execute(rows)).scalars())
    ids = list(dict.fromkeys(names))
    if is_full := len(names) == limit:
        # The last one may have more than the page shows.
        ids = ids[:-1] or ids
    holds = await holds_of(session, ids)
    return [holds[one] for one in ids], ids[-1] if is_full else None


class Promise(NamedTuple):
    """What one reservation has at one level, and until when it holds it."""

    location: str
    reservation_id: str
    reference: str | None
    expires_at: Instant
    held: int
    committed: int

    def show(self, quantity: int) -> dict[str, object]:
        """As an explanation tells it."""
        return {
            "reservation_id": self.reservation_id,
            "reference": self.reference,
            "quantity": quantity,
            "expires_at": rfc3339(self.expires_at) if self.held else None,
        }


async def promises_at(
    session: AsyncSession, keys: Collection[Key], now: Instant, *, limit: int
) -> list[Promise]:
    """Who has how much of the levels, at most so many for each; what is due holds nothing."""
    found: list[Promise] = []
    for sku, location in keys:
        at = {"sku": sku, "location": location, "now": now, "limit": limit}
        found += map(Promise._make, await fetch(session, _PROMISES, at))
    return found


def kept_holds(holds: Collection[Hold]) -> list[Work]:
    """What writes reservations with their allocations, new ones and changed ones."""
    return [
        (_KEEP_RESERVATIONS, [tuple(one.reservation) for one in holds]),
        (_KEEP_ALLOCATIONS, [tuple(row) for one in holds for row in one.allocations]),
    ]


def retimed(times: dict[Key, Instant | None]) -> Work:
    """What tells levels that did not move when their first hold ends."""
    return (_RETIME, [(at, *key) for key, at in sorted(times.items())])
