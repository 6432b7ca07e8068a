"""Kits in the database: found without a walk, and verified."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from sqlalchemy import text

from inventory_api.domain.outcome import Outcome
from inventory_api.domain.reservation import Reserve, ReserveLine
from inventory_api.domain.types import SKU, Instant, Recipe
from inventory_api.service import Service
from inventory_api.store.catalog import create_item
from inventory_api.store.database import Session
from inventory_api.store.kits import is_held, kits_of, kits_with, known_items
from inventory_api.store.snapshot import take_snapshot
from inventory_api.store.verify import Verification
from inventory_api.store.verify_kits import kits_out_of_step
from tests.sqlite_driver import writer_of
from tests.stock_factory import adjust, command, item
from tests.store.test_query_plans import Query, traced

DESK: Recipe = ((SKU("P001"), 1), (SKU("P002"), 2))


async def open_kit(service: Service, sku: str = "DESK", recipe: Recipe = DESK) -> None:
    async def work(session: Session, now: Instant) -> Outcome:
        return await create_item(session, item(sku), recipe)

    outcome = await service.transact(work, actor="test")
    assert outcome.refused is None


async def reserve(service: Service, *skus: str) -> Outcome:
    lines = tuple(ReserveLine(SKU(sku), None, 1) for sku in skus)
    return await service.submit(Reserve(lines=lines, ttl_us=60_000_000), actor="test")


async def test_items_without_a_level_are_known_with_what_they_are_made_of(
    service: Service,
) -> None:
    await open_kit(service)

    async with service.database.reader() as session:
        known, kits = await known_items(session, ["DESK", "P003", "nope"])
        assert (known, kits) == ({"DESK", "P003"}, {"DESK": DESK})
        assert await kits_of(session, ["DESK", "P001"]) == {"DESK": DESK}
        assert await kits_with(session, "P002") == ["DESK"]


async def test_a_reservation_of_a_kit_is_told_the_levels_of_its_components(
    service: Service,
) -> None:
    await service.adjust([{"sku": "P001", "delta": 5}, {"sku": "P002", "delta": 5}])
    await open_kit(service)
    asked = Reserve(lines=(ReserveLine(SKU("DESK"), None, 1),), ttl_us=1)

    async with service.database.writer() as session:
        snapshot = await take_snapshot(session, [asked], Instant(0), due_max=9, recent={})

    assert {sku for sku, _ in snapshot.levels} == {"P001", "P002"}
    assert (snapshot.kits, snapshot.barred_items) == ({"DESK": DESK}, {})


async def test_a_kit_is_held_as_long_as_a_cart_has_some_of_it(service: Service) -> None:
    await service.adjust([{"sku": "P001", "delta": 5}, {"sku": "P002", "delta": 5}])
    await open_kit(service)
    async with service.database.reader() as session:
        assert not await is_held(session, "DESK")

    await reserve(service, "DESK")

    async with service.database.reader() as session:
        assert await is_held(session, "DESK")
        assert not await is_held(session, "P001")


@pytest.mark.parametrize("page_rows", [1, 1000], ids=["page-1", "page-1000"])
async def test_sound_kits_are_no_findings(service: Service, page_rows: int) -> None:
    await service.adjust([{"sku": "P001", "delta": 9}, {"sku": "P002", "delta": 9}])
    await open_kit(service)
    for _ in range(3):
        assert (await reserve(service, "DESK")).refused is None

    pages = Verification(service.database.reader, page_rows=page_rows).pages()
    assert [finding async for page in pages for finding in page] == []


@pytest.mark.sqlite
async def test_an_adjust_asks_nothing_about_kits_and_a_reserve_once(service: Service) -> None:
    """What has a level is no kit; a cart's kits have to be known before levels are locked."""
    await service.adjust([{"sku": "P001", "delta": 9}])
    await open_kit(service)
    writer = await writer_of(service.database)
    statements: list[str] = []
    writer.set_trace_callback(statements.append)

    await service.submit(command(adjust(1)), actor="test")
    assert [one for one in statements if "kit_component" in one] == []

    await reserve(service, "P001")
    writer.set_trace_callback(None)
    assert len([one for one in statements if "kit_component" in one]) == 1


@asynccontextmanager
async def given(session: Session) -> AsyncIterator[Session]:
    yield session


async def steps(session: Session, statements: list[str]) -> list[str]:
    """The plans of what was asked."""
    found: list[str] = []
    for statement in statements:
        if statement.startswith("SELECT"):
            plan = await session.execute(
                text("EXPLAIN QUERY PLAN " + statement.replace(":", r"\:"))
            )
            found += [row[3] for row in plan]
    return found


READS: dict[str, Query] = {
    "kits": lambda session: kits_of(session, ["DESK", "P001"]),
    "known": lambda session: known_items(session, ["DESK", "P001"]),
    "kits_with": lambda session: kits_with(session, "P001"),
    "kits_with_active": lambda session: kits_with(session, "P001", only_active=True),
    "held": lambda session: is_held(session, "DESK"),
}
GROWING = ("SCAN kit_component", "SCAN allocation")


@pytest.mark.sqlite
@pytest.mark.parametrize("name", READS)
async def test_no_read_of_kits_walks_a_table(service: Service, name: str) -> None:
    await open_kit(service)
    async with service.database.reader() as session:
        async with traced(session) as statements:
            await READS[name](session)

        assert [one for one in await steps(session, statements) if one.startswith(GROWING)] == []


@pytest.mark.sqlite
async def test_verifying_kits_reads_their_index_and_no_plain_allocation(service: Service) -> None:
    await service.adjust([{"sku": "P001", "delta": 9}, {"sku": "P002", "delta": 9}])
    await open_kit(service)
    await reserve(service, "DESK")
    async with service.database.reader() as session:
        async with traced(session) as statements:
            pages = kits_out_of_step(lambda: given(session), 10)
            assert [place async for page in pages for place in page] == []

        (statement, *_) = [one for one in statements if one.startswith("SELECT")]
        plan = " / ".join(await steps(session, [statement]))
    assert "ix_allocation_kit" in plan
    assert "TEMP B-TREE" not in plan
