"""No difference between the service and the file escapes the comparison of the replay."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.replay.forecast import Opening, foresee, opening_stock
from benchmarks.replay.run import Outcome
from tests.benchmarks.small_shop import NOTHING, Books, Record, small_shop


@pytest.fixture
def books(tmp_path: Path) -> Books:
    shop = small_shop(tmp_path)
    return Books(shop, foresee(shop, opening_stock(shop, Opening.EXACT)))


async def test_a_true_ledger_shows_no_difference(books: Books) -> None:
    differences = await books.audit()

    assert differences.total == 0
    assert differences.checks["movement is the invoice's line"] == 19


def _change(index: int, **changed: object) -> Callable[[list[Record]], None]:
    return lambda records: records[index].update(changed)


def _remove(index: int) -> Callable[[list[Record]], None]:
    return lambda records: records.__delitem__(index)


@pytest.mark.parametrize(
    ("tamper", "check"),
    [
        pytest.param(_remove(5), "seq without a gap", id="movement lost"),
        pytest.param(_remove(-1), "ledger is whole", id="stream cut off"),
        pytest.param(_change(-1, as_of_seq=99), "ledger is at its head", id="not all exported"),
        pytest.param(_change(20, sku="85048"), "movement is the invoice's line", id="other item"),
        pytest.param(_change(20, reason="lost"), "movement is the invoice's line", id="reason"),
        pytest.param(_change(20, seq=20), "movement is the acknowledged one", id="other number"),
        pytest.param(_change(20, operation_id="x"), "operation is the acknowledged one", id="id"),
        pytest.param(_change(20, level_version=9), "level versions without a gap", id="version"),
        pytest.param(
            _change(20, recorded_at="2025-12-31T00:00:00Z"),
            "recorded_at never runs back",
            id="clock",
        ),
        pytest.param(
            _change(20, occurred_at="2009-12-01T07:45:00Z"), "occurred_at is the invoice's", id="at"
        ),
        pytest.param(_change(20, reference="order:1"), "opening is as computed", id="foreign"),
        pytest.param(
            _change(20, after={"on_hand": 1, "available": 1, **NOTHING}),
            "after = before + delta",
            id="balance",
        ),
        pytest.param(
            _change(20, after={"on_hand": -1, "available": -1, **NOTHING}),
            "on hand is never below zero",
            id="oversold",
        ),
        pytest.param(
            _change(20, after={"on_hand": 0, "available": -1, **NOTHING, "reserved": 1}),
            "nothing but on hand moves",
            id="held",
        ),
        pytest.param(
            _change(0, delta={"on_hand": 13, **NOTHING}), "opening is as computed", id="opening"
        ),
    ],
)
async def test_a_ledger_that_is_not_true_is_found_out(
    books: Books, tamper: Callable[[list[Record]], None], check: str
) -> None:
    tamper(books.movements)

    differences = await books.audit()

    assert differences.failures[check] >= 1


@pytest.mark.parametrize(
    ("tamper", "check"),
    [
        pytest.param(_change(0, on_hand=999), "level is as computed", id="units"),
        pytest.param(_change(0, version=1), "level is as computed", id="version"),
        pytest.param(_change(0, sku="new"), "level is as computed", id="unknown level"),
        pytest.param(_remove(0), "no level is missing", id="missing level"),
        pytest.param(_remove(-1), "levels are whole", id="stream cut off"),
    ],
)
async def test_levels_that_are_not_true_are_found_out(
    books: Books, tamper: Callable[[list[Record]], None], check: str
) -> None:
    tamper(books.levels)

    differences = await books.audit()

    assert differences.failures[check] >= 1


@pytest.mark.parametrize(
    ("tamper", "check"),
    [
        pytest.param(_change(0, name="lost"), "item is as in the file", id="name"),
        pytest.param(_change(0, unit_price=None), "item is as in the file", id="price"),
        pytest.param(_change(0, sku="new"), "item is as in the file", id="unknown item"),
        pytest.param(_remove(0), "no item is missing", id="missing item"),
    ],
)
async def test_items_that_are_not_true_are_found_out(
    books: Books, tamper: Callable[[list[Record]], None], check: str
) -> None:
    tamper(books.items)

    differences = await books.audit()

    assert differences.failures[check] >= 1


async def test_an_acknowledged_invoice_that_is_not_in_the_ledger_is_found_out(
    books: Books,
) -> None:
    books.movements[-2:] = [{"end": True, "rows": books.head - 1, "as_of_seq": books.head - 1}]

    differences = await books.audit()

    assert differences.failures == {
        "invoice is there whole or not": 1,
        "lines of the file": 1,
        "units of the file": 1,
        "movements and units per SKU and reason": 1,
    }


async def test_a_refusal_that_was_not_foreseen_is_found_out(books: Books) -> None:
    books.outcomes["489435"] = Outcome(None, (), ((0, "insufficient_stock"),))

    differences = await books.audit()

    assert differences.failures["refused lines as foreseen"] == 1


async def test_invoices_that_overtook_each_other_are_found_out(books: Books) -> None:
    backwards = replace(books.shop, invoices=books.shop.invoices[::-1])
    overtaken = Books(backwards, books.forecast)
    overtaken.shop = books.shop

    differences = await overtaken.audit()

    assert differences.failures["levels follow the file's order"] >= 1
    assert differences.failures["movement is the invoice's line"] == 0
