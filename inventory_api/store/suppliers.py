"""Suppliers: made, changed, listed; each with a location of its own."""

from typing import Any

import orjson
from sqlalchemy import insert, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from inventory_api.domain.catalog import Location, Shown
from inventory_api.domain.outcome import Outcome
from inventory_api.domain.rejections import Code
from inventory_api.domain.supplier import Supplier, show_supplier
from inventory_api.domain.types import Instant
from inventory_api.store.catalog import Changes, Tags, create_location, find_location
from inventory_api.store.tables import SUPPLIER

_COLUMNS = tuple(SUPPLIER.c[name] for name in Supplier._fields)
# They speak of the list as it was read before: whoever reads it otherwise needs all of it again.
_FORGOTTEN: dict[str, Any] = {"etag": None, "last_modified": None}  # Any: values of columns


def shown_supplier(one: Supplier) -> Shown:
    """A supplier as answers show it."""
    return show_supplier(one, orjson.loads(one.shape), orjson.loads(one.paging))


async def find_supplier(session: AsyncSession, code: str, *, lock: bool = False) -> Supplier | None:
    """One supplier, archived or not; locked, it stays as it is until the transaction ends."""
    statement = select(*_COLUMNS).where(SUPPLIER.c.code == code)
    statement = statement.with_for_update(key_share=True) if lock else statement
    row = (await session.execute(statement)).first()
    return None if row is None else Supplier._make(row)


async def list_suppliers(session: AsyncSession, *, after: str, limit: int) -> list[Supplier]:
    """Suppliers by code, from the one behind `after`."""
    statement = (
        select(*_COLUMNS).where(SUPPLIER.c.code > after).order_by(SUPPLIER.c.code).limit(limit)
    )
    return [Supplier._make(row) for row in await session.execute(statement)]


async def create_supplier(session: AsyncSession, supplier: Supplier) -> Outcome:
    """Add a supplier, and its location if there is none of that code.

    Rejects: `ALREADY_EXISTS`, archived or not; `NOT_SUPPLIER_LOCATION` if the location is of
    another kind, archived, or another supplier's.
    """
    if await find_supplier(session, supplier.code) is not None:
        return Outcome(b"{}", Code.ALREADY_EXISTS)
    location = await find_location(session, supplier.location, lock=True)
    if location is None:
        await create_location(session, _location(supplier))
    elif not _is_fit(location) or await _is_taken(session, location.code):
        return Outcome(b"{}", Code.NOT_SUPPLIER_LOCATION)
    await session.execute(insert(SUPPLIER).values(supplier._asdict()))
    return _outcome(supplier)


async def change_supplier(
    session: AsyncSession, code: str, changes: Changes, *, if_match: Tags, now: Instant
) -> Outcome:
    """Change columns of a supplier; the version rises even if the values are the same.

    The next pull is not conditional: what it made of the list before may not hold any more.

    Rejects: `UNKNOWN_ID`; `VERSION_MISMATCH` unless the version is among the wanted ones.
    """
    supplier = await find_supplier(session, code, lock=True)
    if supplier is None:
        return Outcome(b"{}", Code.UNKNOWN_ID)
    if if_match is not None and str(supplier.version) not in if_match:
        facts = orjson.dumps({"current_version": supplier.version})
        return Outcome(facts, Code.VERSION_MISMATCH)
    version = supplier.version + 1
    supplier = supplier._replace(**changes, **_FORGOTTEN, version=version, updated_at=now)
    written = {**changes, **_FORGOTTEN, "version": version, "updated_at": now}
    await session.execute(update(SUPPLIER).where(SUPPLIER.c.code == code).values(written))
    return _outcome(supplier)


async def forget_validators(session: AsyncSession, code: str, now: Instant) -> None:
    """Have the next pull read the whole list; one under way leaves no validators behind."""
    written = {**_FORGOTTEN, "updated_at": now}
    await session.execute(update(SUPPLIER).where(SUPPLIER.c.code == code).values(written))


async def fit_location(session: AsyncSession, supplier: Supplier) -> bool:
    """Whether the supplier's location can still take its stock."""
    location = await find_location(session, supplier.location)
    return location is not None and _is_fit(location)


def _is_fit(location: Location) -> bool:
    return location.kind == "supplier" and location.status == "active"


async def _is_taken(session: AsyncSession, location: str) -> bool:
    statement = select(SUPPLIER.c.code).where(SUPPLIER.c.location == location)
    return (await session.execute(statement)).first() is not None


def _location(supplier: Supplier) -> Location:
    """What is elsewhere does not sell, until somebody says so."""
    return Location(
        code=supplier.location,
        name=supplier.name,
        kind="supplier",
        sellable=0,
        priority=0,
        status="active",
        version=1,
        created_at=supplier.created_at,
        updated_at=supplier.created_at,
    )


def _outcome(supplier: Supplier) -> Outcome:
    return Outcome(orjson.dumps(shown_supplier(supplier)), etag=str(supplier.version))
