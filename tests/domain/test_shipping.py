"""Shipments: decided on the stock as it is, in whole and in parts."""

from collections import Counter
from collections.abc import Sequence

from hypothesis import event, given, strategies as st

from inventory_api.domain.decide import Decision, Snapshot
from inventory_api.domain.draft import Stamp
from inventory_api.domain.open_rest import OpenRest
from inventory_api.domain.rejections import Code
from inventory_api.domain.shipment import Announce, Consignment, ShipmentLine, Shipping
from inventory_api.domain.shipping import ship as decide
from inventory_api.domain.stock import Change
from inventory_api.domain.types import UNITS_MAX, Instant, Key, Level
from tests.domain.decisions import kinds
from tests.shipments import (
    TRANSIT,
    arrival,
    cancel,
    expect,
    expected,
    receive,
    ship,
    withdrawal,
)
from tests.stock_factory import key, level, snapshot


def stamp(name: str = "s") -> Stamp:
    return Stamp(name, "test", Instant(1))


def shop(*levels: Level) -> Snapshot:
    stock = snapshot(*levels)
    stock.transits.add(TRANSIT)
    return stock


def consignment(decision: Decision) -> Consignment:
    assert decision.shipment is not None
    return decision.shipment


def told(decision: Decision) -> Sequence[tuple[str, str, int, int]]:
    return [(one.type, one.location, one.d_on_hand, one.d_incoming) for one in decision.changes]


def test_lines_for_one_level_are_expected_in_one_movement() -> None:
    decision = decide(expect(expected(2), expected(3)), shop(level(1)), stamp())

    assert told(decision) == [("expect", "main", 0, 5)]
    assert [one.open for one in consignment(decision).lines] == [2, 3]


def test_lines_that_ship_the_same_item_are_judged_in_order() -> None:
    stock = shop(level(5))

    decision = decide(
        ship(*(expected(units, location="store-1") for units in (3, 3, 2))), stock, stamp()
    )

    assert decision.refused
    assert [one.place for one in decision.results] == [1]  # type: ignore[union-attr]
    assert stock.levels[key()].on_hand == 5


def test_a_refused_receipt_changes_nothing() -> None:
    stock = shop(level(5))
    decide(ship(expected(4, location="store-1")), stock, stamp())
    before = (dict(stock.levels), dict(stock.shipments))

    decision = decide(receive("s", arrival(3), arrival(2), of="transfer"), stock, stamp("r"))

    assert decision.refused
    assert (stock.levels, stock.shipments) == before


def test_what_would_be_too_much_to_count_is_refused() -> None:
    stock = shop(level(UNITS_MAX))
    decide(expect(expected(1)), stock, stamp())

    decision = decide(receive("s"), stock, stamp("r"))

    (refused,) = decision.results
    assert refused.rejection.code is Code.QUANTITY_OUT_OF_RANGE  # type: ignore[union-attr]


def test_what_is_too_much_to_count_names_where_it_is() -> None:
    full = [shop(level(5), level(UNITS_MAX, location=at)) for at in ("transit", "store-1")]
    shipped = [decide(ship(expected(4, location="store-1")), one, stamp()) for one in full]
    back = shop(level(5))
    decide(ship(expected(4, location="store-1")), back, stamp())
    back.levels[key()] = level(UNITS_MAX)
    awaited = shop(level(5), level(0, location="store-1")._replace(incoming=UNITS_MAX))

    refused = [
        shipped[0],
        decide(receive("s", of="transfer"), full[1], stamp("r")),
        decide(cancel("s", of="transfer"), back, stamp("r")),
        decide(ship(expected(4, location="store-1")), awaited, stamp()),
    ]

    assert [one.results[0].line.location for one in refused] == [
        "transit",
        "store-1",
        "main",
        "store-1",
    ]
    assert [kinds(one) for one in refused] == [["quantity_out_of_range"]] * 4


def test_a_receipt_of_an_unknown_shipment_is_refused() -> None:
    decision = decide(receive("s"), shop(), stamp())

    assert decision.rejection is not None
    assert decision.rejection.code is Code.UNKNOWN_ID


def test_ten_thousand_parts_of_one_item_are_taken_in_one_pass() -> None:
    lines = [ShipmentLine("s", number, *key(), 1, open=1) for number in range(10_000)]
    rest = OpenRest(lines)

    taken = [list(rest.take(key(), 1)) for _ in lines]

    assert taken == [[(number, 1)] for number in range(10_000)]
    assert (rest.units(key()), rest.units((key()[0], None))) == (0, 0)


# What is asked in a row: each step names one of the shipments made before it, if there is one.
SKUS = st.sampled_from(["P001", "P002"])
PLACES = st.sampled_from(["main", "store-1"])
UNITS = st.integers(1, 6)
to_expect = st.lists(st.builds(expected, UNITS, SKUS, PLACES), min_size=1, max_size=3)
to_ship = st.lists(st.builds(expected, UNITS, SKUS, st.just("store-1")), min_size=1, max_size=3)
arrivals = st.lists(st.builds(arrival, UNITS, SKUS, missing=st.integers(0, 2)), max_size=3)
withdrawals = st.lists(st.builds(withdrawal, UNITS | st.none(), SKUS), max_size=3)
steps = st.one_of(
    st.tuples(st.just("expect"), to_expect),
    st.tuples(st.just("ship"), to_ship),
    st.tuples(st.just("receive"), arrivals),
    st.tuples(st.just("cancel"), withdrawals),
)
stocks = st.lists(
    st.builds(
        level,
        st.integers(0, 20),
        SKUS,
        PLACES,
        reserved=st.integers(0, 3),
        backorder_limit=st.sampled_from([0, 2, None]),
    ),
    max_size=4,
    unique_by=lambda one: (one.sku, one.location),
)


def command(stock: Snapshot, verb: str, lines: Sequence[object], pick: int) -> Shipping | None:
    if verb == "expect":
        return expect(*lines)  # type: ignore[arg-type]
    if verb == "ship":
        return ship(*lines)  # type: ignore[arg-type]
    if not stock.shipments:
        return None
    names = sorted(stock.shipments)
    name = names[pick % len(names)]
    of = stock.shipments[name].shipment.kind
    make = receive if verb == "receive" else cancel
    if verb == "receive" and of == "inbound":
        lines = [one._replace(missing=0) for one in lines]  # type: ignore[attr-defined]
    return make(name, *lines, of=of)  # type: ignore[arg-type]


@given(stocks, st.lists(st.tuples(steps, st.integers(0, 5)), min_size=1, max_size=12))
def test_units_are_conserved_and_incoming_is_what_is_open(
    levels: list[Level], asked: list[tuple[tuple[str, Sequence[object]], int]]
) -> None:
    stock = shop(*levels)
    came = lost = 0
    before = sum(one.on_hand for one in stock.levels.values())
    for number, ((verb, lines), pick) in enumerate(asked):
        one = command(stock, verb, lines, pick)
        if one is None:
            continue
        running = dict(stock.levels)
        decision = decide(one, stock, stamp(f"s{number}"))
        event(f"{verb}: {'refused' if decision.refused else 'done'}")
        came += sum(c.d_on_hand for c in decision.changes if c.type == "receive")
        lost -= sum(c.d_on_hand for c in decision.changes if c.type == "adjust")

        assert_explained(running, decision.changes, stock)
        assert_guarded(one, running, decision.changes)

        on_hand = sum(one.on_hand for one in stock.levels.values())
        assert on_hand == before + came - lost
        assert_open(stock)


def assert_explained(running: dict[Key, Level], changes: Sequence[Change], stock: Snapshot) -> None:
    """I1, I2 and I4: each balance is the one before it plus the change."""
    for one in changes:
        was = running.get((one.sku, one.location)) or Level(one.sku, one.location)
        assert one.level_version == was.version + 1
        assert one.on_hand == was.on_hand + one.d_on_hand >= 0
        assert one.incoming == was.incoming + one.d_incoming >= 0
        assert one.available == one.on_hand - was.reserved - was.committed
        running[one.sku, one.location] = was._replace(
            version=one.level_version, on_hand=one.on_hand, incoming=one.incoming
        )
    for where, after in stock.levels.items():
        assert after[2:6] == running[where][2:6]


def assert_guarded(one: Shipping, after: dict[Key, Level], changes: Sequence[Change]) -> None:
    """I3: what is shipped was not promised to others."""
    if not isinstance(one, Announce):
        return
    for change in changes:
        limit = after[change.sku, change.location].backorder_limit
        if change.type == "transfer_out" and limit is not None:
            assert change.available >= -limit
            assert change.oversold_by == 0


def assert_open(stock: Snapshot) -> None:
    """Incoming is what is open to there, and what is under way is in transit."""
    incoming: Counter[Key] = Counter()
    under_way: Counter[str] = Counter()
    for shipment, lines in stock.shipments.values():
        is_open = any(one.open for one in lines)
        assert (shipment.status == "open") == is_open
        for one in lines:
            incoming[one.sku, one.location] += one.open
            under_way[one.sku] += one.open if shipment.transit else 0
            ended = one.received + one.cancelled + one.missing
            assert one.open == max(0, one.quantity - ended)
    for where, units in incoming.items():
        assert stock.levels[where].incoming == units
    for sku, units in under_way.items():
        assert stock.levels.get(key(sku, TRANSIT), Level(*key(sku, TRANSIT))).on_hand == units
