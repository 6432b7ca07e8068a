"""Kits in decisions: components in lock-step, whatever is asked in which order."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from hypothesis import given, strategies as st

from inventory_api.domain.decide import Decision, Refused, Snapshot, decide
from inventory_api.domain.draft import Stamp
from inventory_api.domain.judge import judge, must_wait
from inventory_api.domain.kits import assemblies
from inventory_api.domain.rejections import Code
from inventory_api.domain.reservation import (
    Hold,
    Part,
    Reserve,
    ReserveLine,
    Settle,
    bundles,
    show_hold,
)
from inventory_api.domain.settle import expire
from inventory_api.domain.sourcing import Place
from inventory_api.domain.types import SKU, Instant, Key, Level, LocationCode, Recipe
from tests.domain.decisions import kinds
from tests.stock_factory import adjust, command, count, key, level, snapshot, transfer

MAIN, STORE = LocationCode("main"), LocationCode("store-1")
KITS: dict[SKU, Recipe] = {
    SKU("DESK"): ((SKU("P001"), 1), (SKU("P002"), 2)),
    SKU("MICE"): ((SKU("P002"), 3),),
}
NAMES = ("DESK", "MICE", "P001", "P002")


def stock(*levels: Level) -> Snapshot:
    """Levels at two locations that sell, and the kits."""
    found = snapshot(*levels)
    found.kits.update(KITS)
    found.places.update({MAIN: Place(True, 0), STORE: Place(True, 1)})
    return found


def line(sku: str, quantity: int = 1, location: LocationCode | None = None) -> ReserveLine:
    return ReserveLine(SKU(sku), location, quantity)


def reserve(found: Snapshot, *lines: ReserveLine, now: int = 0, partial: bool = False) -> Decision:
    asked = Reserve(lines=lines, ttl_us=10, allow_partial=partial)
    return judge(asked, found, Stamp(f"r{now}", "test", Instant(now)))


def settle(found: Snapshot, verb: str, hold: Hold, *parts: Part) -> Decision:
    asked = Settle(kind=verb, id=hold.reservation.id, lines=parts)
    return judge(asked, found, Stamp("op", "test", Instant(5)))


def hold_of(decision: Decision) -> Hold:
    assert decision.hold is not None
    return decision.hold


def test_a_kit_takes_the_units_of_its_components() -> None:
    found = stock(level(5), level(9, "P002"))

    hold = hold_of(reserve(found, line("DESK", 4)))

    taken = [(one.sku, one.held, one.per_kit, one.kit) for one in hold.allocations]
    assert taken == [("P001", 4, 1, "DESK"), ("P002", 8, 2, "DESK")]
    assert [found.levels[key(sku)].reserved for sku in ("P001", "P002")] == [4, 8]
    assert show_hold(hold)["lines"][0]["open"] == 4


def test_a_kit_that_lacks_one_component_takes_nothing_of_the_others() -> None:
    found = stock(level(5), level(1, "P002"))

    decision = reserve(found, line("DESK"))

    assert kinds(decision) == ["insufficient_stock"]
    (refused,) = decision.results
    assert isinstance(refused, Refused)
    assert refused.rejection.facts["components"] == [{"sku": "P002", "quantity": 2, "available": 1}]
    assert found.levels[key()].reserved == 0


def test_all_components_that_are_short_are_named() -> None:
    decision = reserve(stock(level(1), level(2, "P002")), line("DESK", 2))

    (refused,) = decision.results
    assert isinstance(refused, Refused)
    assert [one["sku"] for one in refused.rejection.facts["components"]] == ["P001", "P002"]


def test_no_change_of_stock_is_made_of_a_kit() -> None:
    found = stock(level(5), level(5, "P002"))

    for asked in (adjust(1, "DESK"), count(1, "DESK"), transfer(1, "DESK")):
        assert kinds(decide(command(asked), found)) == ["is_kit"]


def test_an_archived_component_bars_a_kit() -> None:
    found = stock(level(5), level(5, "P002"))
    found.barred_items[SKU("P002")] = Code.ITEM_ARCHIVED

    assert kinds(reserve(found, line("DESK"))) == ["item_archived"]


def test_a_kit_waits_while_too_much_is_due_on_one_of_its_components() -> None:
    found = stock(level(5), level(5, "P002"), level(5, "P003"))
    asked = Reserve(lines=(line("DESK"),), ttl_us=10)

    found.undecidable.add(key("P003"))
    assert not must_wait(asked, found)
    found.undecidable.add(key("P002"))
    assert must_wait(asked, found)


def test_a_place_without_a_level_of_a_component_has_no_kit() -> None:
    (main, store) = assemblies(
        KITS[SKU("DESK")], [level(3), level(9, "P002"), level(9, "P001", "store-1")]
    )

    assert (main.available, main.limited_by) == (3, ["P001"])
    assert (store.available, store.limited_by) == (0, ["P002"])


@dataclass
class Books:
    """A snapshot and what has become of it."""

    found: Snapshot
    holds: dict[str, Hold] = field(default_factory=dict)

    def take(self, decision: Decision) -> None:
        if decision.hold is not None:
            self.holds[decision.hold.reservation.id] = decision.hold


units = st.integers(0, 8)
limits = st.sampled_from([0, 0, 3, None])
levels = st.builds(
    lambda counts, chosen: [
        level(units, sku, place, backorder_limit=limit)
        for (sku, place), units, limit in zip(
            [(sku, place) for sku in ("P001", "P002") for place in (MAIN, STORE)],
            counts,
            chosen,
            strict=True,
        )
    ],
    st.lists(units, min_size=4, max_size=4),
    st.lists(limits, min_size=4, max_size=4),
)
lines = st.lists(
    st.builds(
        line, st.sampled_from(NAMES), st.integers(1, 4), st.sampled_from([None, None, MAIN, STORE])
    ),
    min_size=1,
    max_size=4,
)
parts = st.none() | st.builds(
    lambda sku, quantity: Part(SKU(sku), None, quantity), st.sampled_from(NAMES), st.integers(1, 3)
)
steps = st.lists(
    st.tuples(st.just("reserve"), lines, st.booleans())
    | st.tuples(
        st.sampled_from(["confirm", "fulfill", "release", "expire"]), parts, st.integers(0, 5)
    ),
    max_size=12,
)


@given(start=levels, asked=steps)
def test_components_stay_in_lock_step_and_no_level_is_promised_beyond_its_limit(
    start: list[Level], asked: list[tuple[str, object, int]]
) -> None:
    books = Books(stock(*start))

    for number, (verb, what, which) in enumerate(asked):
        before = dict(books.found.levels)
        decision = _step(books, number, verb, what, which)
        if decision is None:
            continue
        books.take(decision)
        if decision.refused:
            assert books.found.levels == before
        _assert_lock_step(books.holds)
        _assert_promises(books.found.levels, books.holds)
        if verb == "reserve":
            _assert_within_limits(before, books.found.levels)


def _step(books: Books, number: int, verb: str, what: object, which: int) -> Decision | None:
    if verb == "reserve":
        assert isinstance(what, list)
        return reserve(books.found, *what, now=number, partial=bool(which))
    if not books.holds:
        return None
    hold = list(books.holds.values())[which % len(books.holds)]
    if verb == "expire":
        return expire(hold, books.found) if hold.held else None
    return settle(books.found, verb, hold, *([what] if isinstance(what, Part) else []))


def _assert_lock_step(holds: Mapping[str, Hold]) -> None:
    for hold in holds.values():
        for bundle in bundles(hold.allocations):
            kits = {tuple(units / one.per_kit for units in one[6:11]) for one in bundle}
            assert len(kits) == 1, bundle
            assert all(count == int(count) for count in kits.pop())


def _assert_promises(levels: Mapping[Key, Level], holds: Mapping[str, Hold]) -> None:
    """I5 on every level of a component."""
    for at, found in levels.items():
        own = [
            one
            for hold in holds.values()
            for one in hold.allocations
            if (one.sku, one.location) == at
        ]
        assert found.reserved == sum(one.held for one in own)
        assert found.committed == sum(one.committed for one in own)


def _assert_within_limits(before: Mapping[Key, Level], after: Mapping[Key, Level]) -> None:
    """I3: nothing that was asked for has pushed a level below its limit."""
    for at, found in after.items():
        limit = found.backorder_limit
        if limit is not None and found != before.get(at):
            assert found.available >= -limit
