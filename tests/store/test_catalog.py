"""Items and locations."""

from collections.abc import Awaitable, Callable

import orjson
import pytest

from inventory_api.domain.outcome import Outcome
from inventory_api.domain.rejections import Code
from inventory_api.domain.types import Instant
from inventory_api.service import Service
from inventory_api.settings import Settings
from inventory_api.store.catalog import (
    Changes,
    change_item,
    change_location,
    create_item,
    create_location,
    find_item,
    find_items,
    find_location,
    list_items,
    list_locations,
)
from inventory_api.store.database import Session
from tests.settable_clock import SettableClock
from tests.stock_factory import item, location

Writing = Callable[[Session, Instant], Awaitable[Outcome]]


async def write(service: Service, work: Writing) -> Outcome:
    return await service.transact(work, actor="test")


async def change(service: Service, sku: str, changes: Changes, *tags: str) -> Outcome:
    return await write(
        service,
        lambda session, now: change_item(
            session, sku, changes, if_match=frozenset(tags) or None, now=now, steady=now
        ),
    )


async def move(service: Service, code: str, changes: Changes, *tags: str) -> Outcome:
    return await write(
        service,
        lambda session, now: change_location(
            session, code, changes, if_match=frozenset(tags) or None, now=now, steady=now
        ),
    )


async def skus(
    service: Service, *, q: str | None = None, status: str | None = None, after: str = ""
) -> list[str]:
    async with service.database.reader() as session:
        found = await list_items(session, q=q, status=status, after=after, limit=3)
    return [one.sku for one in found]


async def test_an_item_is_stored_as_given(service: Service) -> None:
    wanted = item("键盘")._replace(
        barcode="4006381333931", attributes='{"colour":"grey"}', amount="0.10"
    )

    outcome = await write(service, lambda session, now: create_item(session, wanted))

    async with service.database.reader() as session:
        assert await find_item(session, "键盘") == wanted
    assert outcome.etag == "1"
    assert orjson.loads(outcome.answer)["unit_price"] == {"amount": "0.10", "currency": "CNY"}


async def test_an_item_that_exists_is_not_created_again(service: Service) -> None:
    outcome = await write(service, lambda session, now: create_item(session, item("P001")))

    assert outcome.refused is Code.ALREADY_EXISTS


async def test_a_change_replaces_what_it_names_and_counts(
    service: Service, clock: SettableClock
) -> None:
    clock.move(seconds=5)

    outcome = await change(service, "P001", {"name": "new", "amount": None})

    async with service.database.reader() as session:
        found = await find_item(session, "P001")
    assert found is not None
    assert (found.name, found.amount, found.currency) == ("new", None, "CNY")
    assert (found.version, found.created_at, found.updated_at) == (2, 1, clock.now)
    assert outcome.etag == "2"


async def test_a_change_needs_the_version_that_the_caller_saw(service: Service) -> None:
    await change(service, "P001", {"name": "first"}, "1")

    stale = await change(service, "P001", {"name": "second"}, "1")
    accepted = await change(service, "P001", {"name": "third"}, "1", "2")

    assert stale.refused is Code.VERSION_MISMATCH
    assert orjson.loads(stale.answer) == {"current_version": 2}
    assert orjson.loads(accepted.answer)["name"] == "third"


async def test_an_unknown_item_cannot_be_changed(service: Service) -> None:
    assert (await change(service, "nope", {"name": "x"})).refused is Code.UNKNOWN_SKU


async def test_an_item_with_stock_cannot_be_archived(service: Service) -> None:
    await service.adjust([{"sku": "P001", "location": "store-1", "delta": 1}])

    refused = await change(service, "P001", {"status": "archived"})
    await service.adjust([{"sku": "P001", "location": "store-1", "delta": -1}], reason="sale")
    accepted = await change(service, "P001", {"status": "archived"})

    assert (refused.refused, accepted.refused) == (Code.ITEM_IN_USE, None)


async def test_items_are_listed_by_sku_page_by_page(service: Service) -> None:
    assert await skus(service) == ["P001", "P002", "P003"]
    assert await skus(service, after="P003") == ["P004", "P005"]


async def test_items_are_found_by_a_part_of_sku_or_name_or_by_their_whole_barcode(
    service: Service,
) -> None:
    await change(service, "P001", {"name": "Wireless MOUSE", "barcode": "12345"})
    await change(service, "P002", {"name": "100% wool_sock"})

    assert await skus(service, q="mouse") == ["P001"]
    assert await skus(service, q="p00") == ["P001", "P002", "P003"]
    assert await skus(service, q="12345") == ["P001"]
    assert await skus(service, q="1234") == []
    assert await skus(service, q="0%") == ["P002"]
    assert await skus(service, q="l_s") == ["P002"]


async def test_items_are_filtered_by_status(service: Service) -> None:
    await change(service, "P002", {"status": "archived"})

    assert await skus(service, status="archived") == ["P002"]
    assert await skus(service, status="active") == ["P001", "P003", "P004"]


async def test_items_are_found_by_their_skus(service: Service) -> None:
    async with service.database.reader() as session:
        found = await find_items(session, ["P001", "nope", "P003"])

    assert set(found) == {"P001", "P003"}


async def test_the_default_and_the_transit_location_exist_from_the_first_start(
    service: Service, settings: Settings
) -> None:
    async with service.database.reader() as session:
        found = await list_locations(session, after="", limit=9)
        rest = await list_locations(session, after="main", limit=9)

    transit = settings.transit_location
    assert [one.code for one in found] == [settings.default_location, "store-1", transit]
    assert [one.code for one in rest] == ["store-1", transit]


async def test_a_location_that_exists_is_not_created_again(service: Service) -> None:
    outcome = await write(service, lambda session, now: create_location(session, location("main")))

    assert outcome.refused is Code.ALREADY_EXISTS


async def test_a_location_changes_like_an_item(service: Service) -> None:
    accepted = await move(service, "main", {"name": "Depot", "sellable": 0}, "1")
    stale = await move(service, "main", {"name": "Shed"}, "1")
    unknown = await move(service, "moon", {"name": "Moon"})

    async with service.database.reader() as session:
        found = await find_location(session, "main")
    assert found is not None
    assert (found.name, found.sellable, found.version) == ("Depot", 0, 2)
    assert (accepted.etag, accepted.refused) == ("2", None)
    assert (stale.refused, unknown.refused) == (Code.VERSION_MISMATCH, Code.UNKNOWN_LOCATION)


async def test_a_location_with_stock_cannot_be_archived(service: Service) -> None:
    await service.adjust([{"sku": "P001", "location": "store-1", "delta": 1}])

    refused = await move(service, "store-1", {"status": "archived"})
    accepted = await move(service, "main", {"status": "archived"})

    assert (refused.refused, accepted.refused) == (Code.LOCATION_IN_USE, None)


@pytest.mark.parametrize("sku", ["'; DROP TABLE item; --", '"', "😀", "=1+1", "%"])
async def test_any_name_is_stored_and_found_byte_for_byte(service: Service, sku: str) -> None:
    await write(service, lambda session, now: create_item(session, item(sku)))

    async with service.database.reader() as session:
        found = await find_item(session, sku)
        among = await find_items(session, [sku])
    assert found is not None
    assert found.sku == sku
    assert list(among) == [sku]
