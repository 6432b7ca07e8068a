"""Lines, commands and goods, with all that a test does not care about filled in."""

from collections.abc import Sequence

from inventory_api.clock import new_id
from inventory_api.domain.catalog import Item, Location
from inventory_api.domain.commands import (
    AdjustLine,
    Command,
    Line,
    Mode,
    SetLine,
    TransferLine,
)
from inventory_api.domain.decide import Snapshot
from inventory_api.domain.outcome import Outcome
from inventory_api.domain.types import SKU, Instant, Key, Level, LocationCode
from inventory_api.service import Service
from inventory_api.store.catalog import change_item, change_location, create_item, create_location
from inventory_api.store.database import Session
from inventory_api.store.levels import Author, Policy, change_policy

MAIN = LocationCode("main")
STORE = LocationCode("store-1")
P001 = SKU("P001")
SKUS = ("P001", "P002", "P003", "P004", "P005")
_KINDS: dict[type[Line], str] = {AdjustLine: "adjust", SetLine: "set", TransferLine: "transfer"}


def key(sku: str = "P001", location: str = "main") -> Key:
    return (SKU(sku), LocationCode(location))


def adjust(
    delta: int,
    sku: str = "P001",
    location: str = "main",
    *,
    reason: str = "sale",
    line_id: str | None = None,
    group: str | None = None,
) -> AdjustLine:
    return AdjustLine(*key(sku, location), delta, reason, line_id, group)


def count(
    on_hand: int,
    sku: str = "P001",
    location: str = "main",
    *,
    expected: int | None = None,
    line_id: str | None = None,
    group: str | None = None,
) -> SetLine:
    return SetLine(*key(sku, location), on_hand, expected, "cycle_count", line_id, group)


def transfer(
    quantity: int,
    sku: str = "P001",
    source: str = "main",
    target: str = "store-1",
    *,
    group: str | None = None,
) -> TransferLine:
    return TransferLine(
        SKU(sku), LocationCode(source), LocationCode(target), quantity, "transfer", group
    )


def command(
    *lines: Line,
    mode: Mode = Mode.ATOMIC,
    reference: str | None = None,
    occurred_at: Instant | None = None,
    dry_run: bool = False,
) -> Command:
    """A command of the kind that its first line has."""
    return Command(
        _KINDS[type(lines[0])],
        lines,
        mode,
        reference=reference,
        occurred_at=occurred_at,
        dry_run=dry_run,
    )


def level(
    on_hand: int,
    sku: str = "P001",
    location: str = "main",
    *,
    reserved: int = 0,
    committed: int = 0,
    safety_stock: int = 0,
    backorder_limit: int | None = 0,
    version: int = 1,
) -> Level:
    return Level(
        *key(sku, location),
        on_hand,
        reserved,
        committed,
        version=version,
        seq=version,
        safety_stock=safety_stock,
        backorder_limit=backorder_limit,
    )


def snapshot(*levels: Level, line_ids: Sequence[str] = ()) -> Snapshot:
    return Snapshot(levels={(one.sku, one.location): one for one in levels}, line_ids=set(line_ids))


def item(sku: str, name: str = "a thing") -> Item:
    return Item(sku, name, None, "9.99", "CNY", "{}", "active", 1, Instant(1), Instant(1))


def location(code: str, *, sellable: bool = True, priority: int = 0) -> Location:
    return Location(
        code, code, "warehouse", int(sellable), priority, "active", 1, Instant(1), Instant(1)
    )


async def open_shop(service: Service, *, items: Sequence[str] = SKUS) -> None:
    """A second location, store-1, and the items, without any stock."""

    async def work(session: Session, now: Instant) -> Outcome:
        return await create_location(session, location(STORE, priority=1))

    await service.transact(work, actor="test")
    await open_items(service, items)


async def open_items(service: Service, skus: Sequence[str]) -> None:
    async def work(session: Session, now: Instant) -> Outcome:
        for sku in skus:
            await create_item(session, item(sku, name=f"item {sku}"))
        return Outcome(b"{}")

    await service.transact(work, actor="test")


async def set_policy(
    service: Service, policy: Policy, at: Key = (P001, MAIN), tags: frozenset[str] | None = None
) -> Outcome:
    by = Author("test", new_id(), None)

    async def work(session: Session, now: Instant) -> Outcome:
        return await change_policy(
            session, at, policy, if_match=tags, by=by, now=now, margin_percent=10
        )

    return await service.transact(work, actor="test")


async def set_item_status(service: Service, sku: str, status: str) -> Outcome:
    async def work(session: Session, now: Instant) -> Outcome:
        return await change_item(
            session, sku, {"status": status}, if_match=None, now=now, steady=now
        )

    return await service.transact(work, actor="test")


async def set_location_status(service: Service, code: str, status: str) -> Outcome:
    async def work(session: Session, now: Instant) -> Outcome:
        return await change_location(
            session, code, {"status": status}, if_match=None, now=now, steady=now
        )

    return await service.transact(work, actor="test")
