"""The variance report: sums that are exact, and nothing that a blind count would tell."""

from decimal import Decimal

from hypothesis import given, strategies as st

from inventory_api.domain.count_report import CELLS, Price, cells, report_lines, show_report
from inventory_api.domain.count_sheet import CountLine, CountSheet
from inventory_api.domain.types import SKU, UNITS_MAX, Instant
from tests.stock_factory import MAIN


def sheet(line_count: int = 0, *, status: str = "open") -> CountSheet:
    return CountSheet(
        "c", None, MAIN, status, 0, None, None, "ann", Instant(1), 1, line_count, line_count
    )


def line(sku: str, expected: int, counted: int | None, *, index: int = 0) -> CountLine:
    return CountLine("c", SKU(sku), index, 1, expected, 1, expected, counted)


def prices(**amounts: str) -> dict[SKU, Price]:
    return {SKU(sku): Price(Decimal(amount), "CNY") for sku, amount in amounts.items()}


def test_the_largest_variance_comes_first_and_what_nobody_counted_last() -> None:
    lines = [line("a", 5, None), line("b", 5, 4), line("c", 5, 5), line("d", 5, 9)]

    ordered = report_lines(lines, {}, hidden=False)

    assert [one.line.sku for one in ordered] == ["d", "b", "c", "a"]


def test_a_hidden_report_keeps_the_order_of_the_sheet() -> None:
    lines = [line("b", 5, 4), line("d", 5, 9)]

    ordered = report_lines(lines, prices(b="1.00"), hidden=True)
    report = show_report(sheet(), ordered, hidden=True)

    assert [one["sku"] for one in report["lines"]] == ["b", "d"]
    assert {one["value"] for one in report["lines"]} == {None}
    assert [report[name] for name in ("accuracy", "units", "values", "unpriced_count")] == [
        None
    ] * 4
    assert cells(sheet(), ordered[0], hidden=True)[3:6] == (None, 4, None)


def test_a_count_of_nothing_has_no_accuracy() -> None:
    report = show_report(
        sheet(), report_lines([line("a", 1, None)], {}, hidden=False), hidden=False
    )

    assert (report["accuracy"], report["uncounted_count"], report["values"]) == (None, 1, [])
    assert report["units"] == {"positive": 0, "negative": 0, "net": 0, "absolute": 0}


def test_accuracy_is_never_rounded_up_to_all() -> None:
    lines = [line(f"p{n}", 1, 1) for n in range(99_999)] + [line("q", 1, 0)]

    report = show_report(sheet(), report_lines(lines, {}, hidden=False), hidden=False)

    assert report["accuracy"] == "0.9999"


def test_the_largest_values_are_exact() -> None:
    lines = [line(f"p{n}", 0, UNITS_MAX) for n in range(3)]
    amount = "999999999999.9999"

    ordered = report_lines(lines, prices(p0=amount, p1=amount, p2=amount), hidden=False)
    (value,) = show_report(sheet(), ordered, hidden=False)["values"]

    assert ordered[0].value == Decimal("999999999999999900000000.0000")
    assert value["net"] == "2999999999999999700000000.0000"


def test_goods_that_cost_nothing_are_worth_nothing_and_not_minus_nothing() -> None:
    (one,) = report_lines([line("a", 5, 2)], prices(a="0.00"), hidden=False)

    assert str(one.value) == "0.00"


def test_a_row_of_the_table_has_all_its_columns() -> None:
    (one,) = report_lines([line("a", 5, 2)], prices(a="1.50"), hidden=False)

    row = dict(zip(CELLS, cells(sheet(), one, hidden=False), strict=True))

    assert row == {
        "sku": "a",
        "location": "main",
        "level_version": 1,
        "expected": 5,
        "counted": 2,
        "variance": -3,
        "unit_price": Decimal("1.50"),
        "currency": "CNY",
        "value": Decimal("-4.50"),
    }


quantities = st.integers(0, UNITS_MAX)
cents = st.integers(0, 10**8)


@given(found=st.lists(st.tuples(quantities, quantities, cents), max_size=20))
def test_sums_are_those_of_whole_cents(found: list[tuple[int, int, int]]) -> None:
    lines = [line(f"p{n}", one[0], one[1]) for n, one in enumerate(found)]
    amounts = {
        SKU(f"p{n}"): Price(Decimal(one[2]).scaleb(-2), "CNY") for n, one in enumerate(found)
    }

    report = show_report(sheet(), report_lines(lines, amounts, hidden=False), hidden=False)

    variances = [counted - expected for expected, counted, _ in found]
    assert report["units"]["net"] == sum(variances)
    assert report["units"]["absolute"] == sum(map(abs, variances))
    worth = [units * one[2] for units, one in zip(variances, found, strict=True)]
    for value in report["values"]:
        assert Decimal(value["net"]) * 100 == sum(worth)
        assert Decimal(value["positive"]) * 100 == sum(one for one in worth if one > 0)
        assert Decimal(value["negative"]) * 100 == sum(one for one in worth if one < 0)
    assert bool(report["values"]) == bool(found)
