"""What a batch is told before it decides."""

import pytest

from inventory_api.domain.commands import Line
from inventory_api.domain.decide import Snapshot
from inventory_api.domain.rejections import Code
from inventory_api.domain.types import Instant
from inventory_api.service import Service
from inventory_api.store.snapshot import take_snapshot
from tests.stock_factory import (
    adjust,
    command,
    count,
    key,
    open_items,
    set_item_status,
    set_location_status,
    transfer,
)


async def snapshot_for(service: Service, *lines: Line) -> Snapshot:
    async with service.database.writer() as session:
        return await take_snapshot(
            session, [command(line) for line in lines], Instant(0), due_max=9, recent={}
        )


async def test_levels_that_exist_are_known_and_others_are_not_made_up(service: Service) -> None:
    await service.adjust([{"sku": "P001", "delta": 5}])

    snapshot = await snapshot_for(service, adjust(1), adjust(1, "P002"))

    assert {at: one.on_hand for at, one in snapshot.levels.items()} == {key(): 5}
    assert snapshot.barred_items == {}
    assert snapshot.barred_locations == {}


async def test_both_ends_of_a_transfer_are_read(service: Service) -> None:
    await service.adjust([{"sku": "P001", "delta": 5}])
    await service.transfer([{"sku": "P001", "to": "store-1", "quantity": 2}])

    snapshot = await snapshot_for(service, transfer(1))

    assert {at: one.on_hand for at, one in snapshot.levels.items()} == {
        key("P001", "main"): 3,
        key("P001", "store-1"): 2,
    }


@pytest.mark.parametrize("has_stock", [False, True], ids=["without_level", "with_level"])
async def test_unknown_and_archived_items_are_barred(service: Service, has_stock: bool) -> None:
    if has_stock:
        await service.adjust([{"sku": "P002", "delta": 0}])
    await set_item_status(service, "P002", "archived")

    snapshot = await snapshot_for(
        service, adjust(1, "P001"), adjust(1, "P002"), adjust(1, "nope"), count(1, "nope")
    )

    assert snapshot.barred_items == {"P002": Code.ITEM_ARCHIVED, "nope": Code.UNKNOWN_SKU}


async def test_an_item_known_at_one_location_is_known_at_another(service: Service) -> None:
    await service.adjust([{"sku": "P001", "delta": 5}])

    snapshot = await snapshot_for(service, adjust(1), adjust(1, location="store-1"))

    assert snapshot.barred_items == {}


async def test_unknown_and_archived_locations_are_barred_at_either_end(service: Service) -> None:
    await set_location_status(service, "store-1", "archived")

    snapshot = await snapshot_for(
        service, transfer(1, target="store-1"), transfer(1, source="moon", target="main")
    )

    assert snapshot.barred_locations == {
        "store-1": Code.LOCATION_ARCHIVED,
        "moon": Code.UNKNOWN_LOCATION,
    }


async def test_line_ids_of_the_ledger_are_known(service: Service) -> None:
    await service.adjust([{"sku": "P001", "delta": 5, "line_id": "a"}])

    snapshot = await snapshot_for(
        service, adjust(1, line_id="a"), count(1, line_id="b"), adjust(1), transfer(1)
    )

    assert snapshot.line_ids == {"a"}


@pytest.mark.parametrize(
    "sku",
    ['"', "\\", "\\u0041", "'", "%", "_", "😀", "笔记本", "[0]", "$", "null", "1", "1.0", "é"],
    ids=str,
)
async def test_every_allowed_name_finds_its_level_and_no_other_one(
    service: Service, sku: str
) -> None:
    await open_items(service, [sku])
    await service.adjust([{"sku": sku, "delta": 5}, {"sku": "P001", "delta": 1}])

    snapshot = await snapshot_for(service, adjust(1, sku))

    assert {at: one.on_hand for at, one in snapshot.levels.items()} == {key(sku): 5}
    assert snapshot.barred_items == {}
