"""Items of an import."""

from typing import Any

import orjson
import pytest

from inventory_api.domain.catalog import Item
from inventory_api.domain.outcome import IdempotencyKey, Outcome
from inventory_api.domain.rejections import Code
from inventory_api.domain.types import Instant
from inventory_api.service import Service
from inventory_api.store.catalog import find_item
from inventory_api.store.database import Session
from inventory_api.store.importing import Entry, import_items
from tests.ledger_oracle import rows_of
from tests.settable_clock import SettableClock
from tests.stock_factory import set_item_status

Row = dict[str, Any]  # Any: what a row of an import gives


async def imported(
    service: Service, *rows: Row, keys: str | None = None, actor: str = "test", dry: bool = False
) -> list[str]:
    """What became of each row: its status or the code of its refusal; `keys` name the rows."""
    entries = [
        Entry(row, None if keys is None else IdempotencyKey(f"{keys}:{n}", repr(row).encode()))
        for n, row in enumerate(rows)
    ]
    outcomes: list[Outcome] = []

    async def work(session: Session, now: Instant) -> Outcome:
        outcomes[:] = await import_items(
            session, entries, actor=actor, default_currency="CNY", now=now, dry_run=dry
        )
        return Outcome(b"{}")

    await service.transact(work, actor=actor)
    return [
        orjson.loads(one.answer)["status"] if one.refused is None else one.refused.value
        for one in outcomes
    ]


async def found(service: Service, sku: str) -> Item:
    async with service.database.reader() as session:
        item = await find_item(session, sku)
    assert item is not None
    return item


async def test_new_items_are_created(service: Service, clock: SettableClock) -> None:
    statuses = await imported(
        service,
        {"sku": "new-1", "name": "one"},
        {"sku": "new-2", "name": "two", "barcode": "123", "price": "0.10", "currency": "EUR"},
        {"sku": "new-3", "name": "three", "price": "5"},
    )

    assert statuses == ["created"] * 3
    assert await found(service, "new-1") == Item(
        "new-1", "one", None, None, None, "{}", "active", 1, clock.now, clock.now
    )
    second, third = await found(service, "new-2"), await found(service, "new-3")
    assert (second.barcode, second.amount, second.currency) == ("123", "0.10", "EUR")
    assert (third.amount, third.currency) == ("5", "CNY")


async def test_items_that_differ_are_updated_and_others_left_alone(
    service: Service, clock: SettableClock
) -> None:
    before = await found(service, "P002")
    clock.move(seconds=5)

    statuses = await imported(
        service, {"sku": "P001", "name": "renamed"}, {"sku": "P002", "name": before.name}
    )

    assert statuses == ["updated", "unchanged"]
    renamed = await found(service, "P001")
    assert (renamed.name, renamed.version, renamed.updated_at) == ("renamed", 2, clock.now)
    assert await found(service, "P002") == before


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ({}, (None, "9.99", "CNY")),
        ({"barcode": "1"}, ("1", "9.99", "CNY")),
        ({"price": "8"}, (None, "8", "CNY")),
        ({"price": "8", "currency": "EUR"}, (None, "8", "EUR")),
        ({"price": None}, (None, None, None)),
    ],
    ids=["nothing", "barcode", "price", "price_and_currency", "no_price"],
)
async def test_what_a_row_leaves_out_stays_and_what_it_empties_goes(
    service: Service, given: Row, kept: tuple[str | None, ...]
) -> None:
    await imported(service, {"sku": "P001", "name": "renamed", **given})

    item = await found(service, "P001")

    assert (item.barcode, item.amount, item.currency) == kept


async def test_rows_of_one_item_are_judged_in_order(service: Service) -> None:
    statuses = await imported(
        service,
        {"sku": "new", "name": "one"},
        {"sku": "new", "name": "one"},
        {"sku": "new", "name": "two"},
    )

    assert statuses == ["created", "unchanged", "updated"]
    item = await found(service, "new")
    assert (item.name, item.version) == ("two", 2)


async def test_an_archived_item_is_refused_and_the_others_imported(service: Service) -> None:
    await set_item_status(service, "P001", "archived")

    statuses = await imported(
        service, {"sku": "P001", "name": "renamed"}, {"sku": "new", "name": "one"}
    )

    assert statuses == [Code.ITEM_ARCHIVED.value, "created"]


async def test_rows_that_are_sent_again_are_answered_as_before_and_change_nothing(
    service: Service,
) -> None:
    rows = [{"sku": "new", "name": "one"}, {"sku": "P001", "name": "renamed"}]
    first = await imported(service, *rows, keys="file-1")
    await imported(service, {"sku": "new", "name": "changed since"})

    again = await imported(service, *rows, keys="file-1")

    assert again == first == ["created", "updated"]
    assert (await found(service, "new")).name == "changed since"


async def test_another_row_under_a_known_key_is_refused(service: Service) -> None:
    await imported(service, {"sku": "new", "name": "one"}, keys="file-1")

    statuses = await imported(service, {"sku": "newer", "name": "two"}, keys="file-1")

    assert statuses == [Code.IDEMPOTENCY_MISMATCH.value]
    assert await rows_of(service.database, "SELECT sku FROM item WHERE sku = 'newer'") == []


async def test_keys_of_other_callers_are_not_known(service: Service) -> None:
    row = {"sku": "new", "name": "one"}
    await imported(service, row, keys="file-1", actor="a")

    assert await imported(service, row, keys="file-1", actor="b") == ["unchanged"]


async def test_a_dry_run_says_what_would_be_and_leaves_no_trace(service: Service) -> None:
    rows = [{"sku": "new", "name": "one"}, {"sku": "P001", "name": "renamed"}]

    statuses = await imported(service, *rows, keys="file-1", dry=True)

    assert statuses == ["created", "updated"]
    assert (await found(service, "P001")).name == "item P001"
    assert await rows_of(service.database, "SELECT sku FROM item WHERE sku = 'new'") == []
    assert await rows_of(service.database, "SELECT key FROM idempotency") == []


async def test_a_thousand_rows_are_a_handful_of_statements(service: Service) -> None:
    rows = [{"sku": f"new-{number:04}", "name": "x"} for number in range(1_000)]

    assert await imported(service, *rows, keys="file-1") == ["created"] * 1_000

    (count,) = await rows_of(service.database, "SELECT count(*) AS count FROM item")
    assert count["count"] == 1_005
