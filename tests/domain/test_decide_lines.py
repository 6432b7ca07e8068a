"""What becomes of one line: facts and requests, counts, transfers, and what is barred."""

import pytest

from inventory_api.domain.commands import FACT_REASONS, REASONS, Line, Mode
from inventory_api.domain.decide import Refused, decide
from inventory_api.domain.rejections import Code
from inventory_api.domain.types import SKU, UNITS_MAX, LocationCode
from tests.domain.decisions import kinds, on_hand
from tests.stock_factory import adjust, command, count, level, snapshot, transfer


@pytest.mark.parametrize("reason", sorted(REASONS - FACT_REASONS))
def test_what_is_asked_for_is_guarded(reason: str) -> None:
    stock = snapshot(level(10, reserved=10))

    decision = decide(command(adjust(-1, reason=reason)), stock)

    assert kinds(decision) == ["insufficient_stock"]


@pytest.mark.parametrize("reason", sorted(FACT_REASONS))
def test_what_has_happened_is_booked(reason: str) -> None:
    stock = snapshot(level(10, reserved=10))

    decision = decide(command(adjust(-1, reason=reason)), stock)

    assert kinds(decision) == ["Applied"]
    assert decision.changes[0].oversold_by == 1


def test_a_custom_reason_is_a_request() -> None:
    decision = decide(command(adjust(-1, reason="custom:gift")), snapshot(level(10, reserved=10)))

    assert kinds(decision) == ["insufficient_stock"]


def test_even_a_fact_cannot_take_more_than_is_there() -> None:
    decision = decide(command(adjust(-2, reason="lost")), snapshot(level(1)))

    assert kinds(decision) == ["insufficient_stock"]


def test_the_first_change_at_a_location_starts_its_level() -> None:
    stock = snapshot()

    decision = decide(command(adjust(5)), stock)

    assert decision.changes[0].level_version == 1
    assert on_hand(stock) == 5


def test_nothing_can_be_taken_from_a_level_that_does_not_exist() -> None:
    decision = decide(command(adjust(-1)), snapshot())

    assert kinds(decision) == ["insufficient_stock"]


def test_a_transfer_takes_here_and_brings_there() -> None:
    stock = snapshot(level(5), level(1, location="store-1"))

    decision = decide(command(transfer(3)), stock)

    assert [(one.type, one.location, one.d_on_hand) for one in decision.changes] == [
        ("transfer_out", "main", -3),
        ("transfer_in", "store-1", 3),
    ]
    assert (on_hand(stock), on_hand(stock, location="store-1")) == (2, 4)


def test_a_transfer_is_a_request_at_its_source() -> None:
    decision = decide(command(transfer(3)), snapshot(level(5, reserved=3)))

    assert kinds(decision) == ["insufficient_stock"]


def test_a_transfer_to_a_full_location_leaves_the_source_alone() -> None:
    stock = snapshot(level(5), level(UNITS_MAX, location="store-1"))

    decision = decide(command(transfer(1), mode=Mode.INDEPENDENT), stock)

    assert kinds(decision) == ["quantity_out_of_range"]
    assert on_hand(stock) == 5


def test_a_transfer_needs_two_places() -> None:
    decision = decide(command(transfer(1, target="main")), snapshot(level(5)))

    assert kinds(decision) == ["same_location"]


def test_a_chain_of_transfers_hands_the_units_on_within_one_request() -> None:
    stock = snapshot(level(3, location="a"))

    decision = decide(
        command(transfer(3, source="a", target="b"), transfer(3, source="b", target="c")), stock
    )

    assert kinds(decision) == ["Applied", "Applied"]
    assert [on_hand(stock, location=code) for code in ("a", "b", "c")] == [0, 0, 3]


def test_a_chain_of_transfers_against_the_current_is_refused() -> None:
    decision = decide(
        command(
            transfer(3, source="b", target="c"),
            transfer(3, source="a", target="b"),
            mode=Mode.INDEPENDENT,
        ),
        snapshot(level(3, location="a")),
    )

    assert kinds(decision) == ["insufficient_stock", "Applied"]


def test_a_count_books_the_difference_as_a_fact() -> None:
    stock = snapshot(level(10, reserved=8))

    decision = decide(command(count(3, expected=10)), stock)

    change = decision.changes[0]
    assert (change.type, change.d_on_hand, change.on_hand) == ("set", -7, 3)
    assert change.oversold_by == 5


def test_a_count_that_expects_another_quantity_is_stale_and_told_the_current_one() -> None:
    stock = snapshot(level(10))

    decision = decide(command(count(3, expected=9)), stock)

    assert kinds(decision) == ["stale_quantity"]
    result = decision.results[0]
    assert isinstance(result, Refused)
    assert result.rejection.facts == {"expected_on_hand": 9, "on_hand": 10}


def test_a_count_that_expects_nothing_accepts_any_quantity() -> None:
    stock = snapshot(level(10))

    decide(command(count(3, expected=None)), stock)

    assert on_hand(stock) == 3


def test_a_count_expects_the_quantity_that_earlier_lines_left() -> None:
    stock = snapshot(level(10))

    decision = decide(command(count(4, expected=10), count(5, expected=4)), stock)

    assert [change.d_on_hand for change in decision.changes] == [-6, 1]


def test_a_count_of_a_place_where_nothing_was_expects_zero() -> None:
    decision = decide(command(count(4, expected=0)), snapshot())

    assert kinds(decision) == ["Applied"]


def test_a_count_that_finds_what_was_known_is_a_movement_of_nothing() -> None:
    stock = snapshot(level(4, version=2))

    decision = decide(command(count(4, expected=4)), stock)

    assert (decision.changes[0].d_on_hand, decision.changes[0].level_version) == (0, 3)


@pytest.mark.parametrize(
    "line",
    [adjust(UNITS_MAX), count(UNITS_MAX), transfer(UNITS_MAX, source="store-1", target="main")],
    ids=["adjust", "count", "transfer"],
)
def test_the_largest_quantity_is_bookable(line: Line) -> None:
    stock = snapshot(level(0), level(UNITS_MAX, location="store-1"))

    decide(command(line), stock)

    assert on_hand(stock) == UNITS_MAX


@pytest.mark.parametrize("line", [adjust(UNITS_MAX), count(UNITS_MAX + 1)], ids=["adjust", "count"])
def test_more_than_the_largest_quantity_is_refused(line: Line) -> None:
    decision = decide(command(line), snapshot(level(1)))

    assert kinds(decision) == ["quantity_out_of_range"]


@pytest.mark.parametrize("code", [Code.UNKNOWN_SKU, Code.ITEM_ARCHIVED])
@pytest.mark.parametrize(
    "line", [adjust(1), count(1), transfer(1)], ids=["adjust", "count", "transfer"]
)
def test_a_barred_item_takes_no_change(code: Code, line: Line) -> None:
    stock = snapshot(level(5))
    stock.barred_items[SKU("P001")] = code

    decision = decide(command(line), stock)

    assert kinds(decision) == [code.value]


@pytest.mark.parametrize("code", [Code.UNKNOWN_LOCATION, Code.LOCATION_ARCHIVED])
@pytest.mark.parametrize(
    "line",
    [
        adjust(1, location="closed"),
        count(1, location="closed"),
        transfer(1, source="closed"),
        transfer(1, target="closed"),
    ],
    ids=["adjust", "count", "transfer_from", "transfer_to"],
)
def test_a_barred_location_takes_no_change(code: Code, line: Line) -> None:
    stock = snapshot(level(5), level(5, location="closed"))
    stock.barred_locations[LocationCode("closed")] = code

    decision = decide(command(line), stock)

    assert kinds(decision) == [code.value]


def test_the_item_is_judged_before_the_location() -> None:
    stock = snapshot()
    stock.barred_items[SKU("P001")] = Code.UNKNOWN_SKU
    stock.barred_locations[LocationCode("main")] = Code.UNKNOWN_LOCATION

    decision = decide(command(adjust(1)), stock)

    assert kinds(decision) == ["unknown_sku"]


def test_what_is_barred_elsewhere_does_not_matter() -> None:
    stock = snapshot(level(5))
    stock.barred_items[SKU("P002")] = Code.UNKNOWN_SKU
    stock.barred_locations[LocationCode("closed")] = Code.LOCATION_ARCHIVED

    decision = decide(command(adjust(1)), stock)

    assert kinds(decision) == ["Applied"]
