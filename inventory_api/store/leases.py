"""Who of several processes does a background job: a lease in the database, with a token.

Time is the database server's, so that the clocks of the processes do not matter. The token rises
each time another process takes over, and what still carries an old one is refused in the
transaction that would do the work: a process that slept while its lease ran out does nothing twice.
"""

from collections.abc import Collection

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from inventory_api.domain.types import Fence

# On PostgreSQL only: a file is served by one process, which has nobody to share jobs with.
_NOW = "(extract(epoch FROM clock_timestamp()) * 1000000)::bigint"
_TAKE = text(
    f"""
    INSERT INTO lease (name, holder, token, expires_at)
    VALUES (:name, :holder, 1, {_NOW} + :lease_us)
    ON CONFLICT (name) DO UPDATE
    SET holder = excluded.holder,
        token = lease.token + CASE lease.holder WHEN excluded.holder THEN 0 ELSE 1 END,
        expires_at = excluded.expires_at
    WHERE lease.holder = excluded.holder OR lease.expires_at <= {_NOW}
    RETURNING token
    """  # noqa: S608 - two constants
)
# Shared with other work under the same lease, and not with whoever would take it over.
_HOLD = text(
    f"SELECT 1 FROM lease WHERE name = :name AND token = :token AND expires_at > {_NOW} FOR SHARE"  # noqa: S608 - a constant
)
_IS_HELD = text(f"SELECT 1 FROM lease WHERE name = :name AND expires_at > {_NOW}")  # noqa: S608 - a constant
_GIVE_BACK = text("UPDATE lease SET expires_at = 0 WHERE name = :name AND holder = :holder")


async def take_lease(
    session: AsyncSession, name: str, holder: str, *, lease_us: int
) -> Fence | None:
    """Take a lease that is free or over, or prolong one's own; None while another has it."""
    parameters = {"name": name, "holder": holder, "lease_us": lease_us}
    token = (await session.execute(_TAKE, parameters)).scalar()
    return None if token is None else Fence(name, token)


async def give_back(session: AsyncSession, name: str, holder: str) -> None:
    """End a lease of one's own, so that another process need not wait for its end."""
    await session.execute(_GIVE_BACK, {"name": name, "holder": holder})


async def lost_fences(session: AsyncSession, fences: Collection[Fence]) -> set[Fence]:
    """Those under which nothing may be done any more; the others hold until the transaction ends."""
    return {one for one in fences if (await session.execute(_HOLD, one._asdict())).first() is None}


async def held_leases(session: AsyncSession, names: Collection[str]) -> set[str]:
    """Those of the leases that somebody has now."""
    return {
        name
        for name in names
        if (await session.execute(_IS_HELD, {"name": name})).first() is not None
    }
