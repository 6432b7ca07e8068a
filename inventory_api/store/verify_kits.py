"""Kits recomputed: the components of a kit's line at a location are all in the same states."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager

from sqlalchemy import ColumnElement, bindparam, func, literal_column, or_, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession

from inventory_api.store.tables import ALLOCATION

Place = tuple[str, None, str, str, None, str]
"""A finding's code, and where: no movement, the kit, the location, no operation, the reservation."""

_STATES = ("held", "committed", "fulfilled", "released", "expired")
_OF = ALLOCATION.c
_BUNDLE = (_OF.reservation_id, _OF.line, _OF.location, _OF.kit)
# With the condition of the index that has these and no others.
_IS_OF_KIT: ColumnElement[bool] = literal_column("kit <> ''")


def _differ(state: str) -> ColumnElement[bool]:
    """Whether components stand for different numbers of kits, or for a part of one."""
    units = _OF[state]
    kits = units // _OF.per_kit
    return or_(func.min(kits) != func.max(kits), func.sum(units % _OF.per_kit) > 0)


_PAGE = (
    select(*_BUNDLE, or_(*map(_differ, _STATES)))
    .where(
        _IS_OF_KIT,
        tuple_(*_BUNDLE)
        > tuple_(*(bindparam(name) for name in ("reservation_id", "line", "location", "kit"))),
    )
    .group_by(*_BUNDLE)
    .order_by(*_BUNDLE)
    .limit(bindparam("limit"))
)


async def kits_out_of_step(
    reading: Callable[[], AbstractAsyncContextManager[AsyncSession]], page_rows: int
) -> AsyncIterator[Sequence[Place]]:
    """The kits of reservations whose components differ, page by page of all kits' lines."""
    after: tuple[str, int, str, str] = ("", -1, "", "")
    while True:
        names = ("reservation_id", "line", "location", "kit")
        page = {**dict(zip(names, after, strict=True)), "limit": page_rows}
        async with reading() as session:
            rows = (await session.execute(_PAGE, page)).all()
        if not rows:
            return
        after = rows[-1][:4]
        yield [
            ("kit_out_of_step", None, kit, location, None, reservation_id)
            for reservation_id, _, location, kit, differs in rows
            if differs
        ]
