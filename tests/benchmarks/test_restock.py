"""Living through days with a rule: what arrives when, and what is short."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from benchmarks.replay.restock import Result, Rule, plain_rules, sales_of, simulate, table
from benchmarks.replay_replenishment import openings
from tests.benchmarks.small_shop import small_shop

START = date(2010, 9, 1)
DAYS = [START + timedelta(days=n) for n in range(6)]


def lived(rule: Rule, *sold: int, lead_time_days: int = 2) -> Result:
    sales = {"A": {START + timedelta(days=n): units for n, units in enumerate(sold)}}
    return simulate(sales, {START: {"A": rule}}, ["A"], DAYS, lead_time_days=lead_time_days)


def test_an_order_arrives_after_the_lead_time_and_nobody_waits_for_it() -> None:
    result = lived(Rule(1, 4), 3, 3, 3)

    # Evenings: 1 (3 ordered), 0 (short of 2), 0 (3 came; 4 ordered), 0, 4, 4.
    assert result == Result(demand=9, short=2, short_days=1, average_stock=1.5, orders=2)
    assert round(result.fill, 3) == 0.778


def test_above_the_point_nothing_is_ordered() -> None:
    assert lived(Rule(1, 4), 2) == Result(demand=2, average_stock=2.0)


def test_a_good_without_a_rule_is_never_there() -> None:
    result = simulate({"A": {START: 5}}, {START: {}}, ["A"], DAYS, lead_time_days=1)

    assert (result.short, result.average_stock, result.orders) == (5, 0, 0)


def test_rules_are_in_force_from_their_day_on() -> None:
    rules = {START: {"A": Rule(0, 1)}, DAYS[3]: {"A": Rule(9, 10)}}

    result = simulate({"A": {START: 1}}, rules, ["A"], DAYS, lead_time_days=1)

    # Evenings: 0, 1, 1, 1 (9 ordered), 10, 10.
    assert (result.orders, result.average_stock) == (2, 23 / 6)


def test_the_plain_rule_is_so_many_days_of_the_last_thirty() -> None:
    until = datetime(2010, 9, 1, tzinfo=UTC)
    sold = {date(2010, 8, 2): 20, date(2010, 8, 31): 10, date(2010, 8, 1): 99, START: 99}

    assert plain_rules({"A": sold}, ["A", "B"], until, days=14, review_days=7) == {
        "A": Rule(14, 21),
        "B": Rule(0, 0),
    }


def test_sales_are_those_off_the_shelf(tmp_path: Path) -> None:
    assert sales_of(small_shop(tmp_path)) == {
        "85048": {date(2009, 12, 1): 14},
        "85123A": {date(2009, 12, 1): 6, date(2010, 5, 1): 7},
        "85123a": {date(2009, 12, 1): 4},
        "47503J": {date(2009, 12, 1): 2},
        "PADS": {date(2010, 2, 2): 1},
    }


def test_each_good_lies_there_from_the_day_of_its_first_line(tmp_path: Path) -> None:
    days = {
        line.sku: (invoice.occurred_at, line.delta)
        for invoice in openings(small_shop(tmp_path))
        for line in invoice.lines
    }

    assert days["85048"] == (datetime(2009, 12, 1, tzinfo=UTC), 16)
    assert days["46000S"] == (datetime(2010, 2, 2, tzinfo=UTC), 400)


def test_the_table_has_a_row_for_each_rule() -> None:
    result = Result(demand=1_000, short=100, short_days=3, average_stock=7.6, orders=2)

    assert table([("plain", result)]).splitlines()[2] == "| plain | 100 | 10.0% | 3 | 8 | 2 |"
