"""Pages of documents that have lines: bounded by the lines, however many documents fit."""

from collections.abc import Sequence
from itertools import accumulate

from sqlalchemy.ext.asyncio import AsyncSession

from inventory_api.store.bulk import Prepared, fetch, listed


async def leading(
    session: AsyncSession, ids: Sequence[str], sizes: Prepared, *, lines_max: int
) -> list[str]:
    """The first documents whose lines are together at most so many, but at least one document.

    `sizes` gives the number of lines of each id of a list that has any.
    """
    if len(ids) < 2:
        return list(ids)
    lines = dict(map(tuple, await fetch(session, sizes, listed(ids))))
    sums = accumulate(lines.get(one, 0) for one in ids)
    return [
        one
        for place, (one, so_far) in enumerate(zip(ids, sums, strict=True))
        if not place or so_far <= lines_max
    ]
