"""Inbounds and transfers as a dict sees them, and the steps that they add to a state machine."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

import orjson
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from inventory_api.domain.judge import Asked
from inventory_api.domain.outcome import Outcome
from inventory_api.domain.shipment import Arrival, ShipmentKind
from inventory_api.domain.types import SKU, Level
from tests.model.cart_model import PLACES, Warehouse
from tests.model.reached import reach
from tests.shipments import cancel, expect, expected, receive, ship, withdrawal

skus = st.sampled_from(["P001", "P002"])
goods = st.lists(
    st.tuples(skus, st.sampled_from(PLACES), st.integers(1, 5)), min_size=1, max_size=3
)
parts = st.none() | st.tuples(skus, st.integers(0, 3), st.sampled_from([0, 0, 1])).filter(
    lambda part: part[1] + part[2] > 0
)


@dataclass(slots=True)
class Crate:
    """One line of a shipment."""

    sku: str
    place: str
    open: int
    received: int = 0
    cancelled: int = 0
    missing: int = 0


@dataclass(slots=True)
class Truck:
    """A shipment; `source` is None if it comes from outside."""

    source: str | None
    crates: list[Crate] = field(default_factory=list)

    @property
    def kind(self) -> ShipmentKind:
        return "inbound" if self.source is None else "transfer"

    @property
    def status(self) -> str:
        if any(crate.open for crate in self.crates):
            return "open"
        has_come = any(crate.received or crate.missing for crate in self.crates)
        return "received" if has_come else "cancelled"

    def of(self, sku: str) -> list[Crate]:
        return [crate for crate in self.crates if crate.sku == sku]


class ShipmentRules(RuleBasedStateMachine):
    """Steps about shipments, for a machine that has a warehouse and can ask the service."""

    model: Warehouse

    def __init__(self) -> None:
        super().__init__()
        self.trucks: dict[str, Truck] = {}

    def _ask(self, asked: Asked) -> Outcome:
        raise NotImplementedError

    def _levels(self, keys: Iterable[tuple[str, str]]) -> dict[tuple[str, str], Level | None]:
        raise NotImplementedError

    @rule(wanted=goods)
    def expect_goods(self, wanted: list[tuple[str, str, int]]) -> None:
        outcome = self._ask(expect(*(expected(units, *where) for *where, units in wanted)))

        crates = [Crate(sku, place, units) for sku, place, units in wanted]
        self._compare_truck("expect", outcome, "done", Truck(None, crates))

    @rule(wanted=goods, source=st.sampled_from(PLACES))
    def ship_goods(self, wanted: list[tuple[str, str, int]], source: str) -> None:
        (target,) = set(PLACES) - {source}
        lines = [expected(units, sku, target) for sku, _, units in wanted]
        outcome = self._ask(ship(*lines, source=source))

        taken = [(sku, units, self.model.adjust(sku, source, -units)) for sku, _, units in wanted]
        is_short = not all(granted for *_, granted in taken)
        if is_short:
            for sku, units, granted in taken:
                self.model.shelves[sku, source].on_hand += units if granted else 0
        word = "insufficient_stock" if is_short else "done"
        crates = [Crate(sku, target, units) for sku, _, units in wanted]
        self._compare_truck("ship", outcome, word, Truck(source, crates))

    @precondition(lambda self: self.trucks)
    @rule(data=st.data(), part=parts)
    def receive_goods(self, data: st.DataObject, part: tuple[str, int, int] | None) -> None:
        name = data.draw(st.sampled_from(sorted(self.trucks)))
        truck = self.trucks[name]
        if part is not None and truck.source is None:
            part = (part[0], part[1] + part[2], 0)
        reason = "lost" if part is not None and part[2] else None
        lines = () if part is None else (Arrival(SKU(part[0]), None, *part[1:], reason),)
        outcome = self._ask(receive(name, *lines, of=truck.kind))

        self._compare_truck("receive", outcome, self._receive(truck, part), truck, name)

    @precondition(lambda self: self.trucks)
    @rule(data=st.data(), sku=st.none() | skus, units=st.none() | st.integers(1, 4))
    def cancel_goods(self, data: st.DataObject, sku: str | None, units: int | None) -> None:
        name = data.draw(st.sampled_from(sorted(self.trucks)))
        truck = self.trucks[name]
        lines = () if sku is None else (withdrawal(units, sku),)
        outcome = self._ask(cancel(name, *lines, of=truck.kind))

        self._compare_truck("cancel", outcome, self._cancel(truck, sku, units), truck, name)

    @invariant()
    def incoming_agrees(self) -> None:
        incoming: Counter[tuple[str, str]] = Counter()
        under_way: Counter[str] = Counter()
        for truck in self.trucks.values():
            for crate in truck.crates:
                incoming[crate.sku, crate.place] += crate.open
                under_way[crate.sku] += crate.open if truck.source else 0
        transit = {(sku, "transit"): units for sku, units in under_way.items()}
        levels = self._levels(incoming.keys() | transit.keys())
        for at, units in incoming.items():
            level = levels[at]
            assert (0 if level is None else level.incoming) == units
        for at, units in transit.items():
            level = levels[at]
            assert (0 if level is None else level.on_hand) == units

    def _receive(self, truck: Truck, part: tuple[str, int, int] | None) -> str:
        if part is None:
            is_open = truck.status == "open"
            for crate in truck.crates:
                self._put(crate, crate.open)
            return "done" if is_open else "not_open"
        sku, units, missing = part
        crates = truck.of(sku)
        is_too_much = units + missing > sum(crate.open for crate in crates)
        if not crates or (truck.source is not None and is_too_much):
            return "not_open"
        for crate in crates:
            some = min(units, crate.open)
            self._put(crate, some)
            units -= some
            gone = min(missing, crate.open) if not units else 0
            crate.open, crate.missing = crate.open - gone, crate.missing + gone
            missing -= gone
        crates[-1].received += units
        self.model.shelves[sku, crates[-1].place].on_hand += units
        return "done"

    def _put(self, crate: Crate, units: int) -> None:
        crate.open, crate.received = crate.open - units, crate.received + units
        self.model.shelves[crate.sku, crate.place].on_hand += units

    def _cancel(self, truck: Truck, sku: str | None, units: int | None) -> str:
        crates = truck.crates if sku is None else truck.of(sku)
        there = sum(crate.open for crate in crates)
        wanted = there if units is None or sku is None else units
        if not there or wanted > there:
            return "not_open"
        for crate in crates:
            some = min(wanted, crate.open)
            crate.open, crate.cancelled = crate.open - some, crate.cancelled + some
            wanted -= some
            if truck.source is not None:
                self.model.shelves[crate.sku, truck.source].on_hand += some
        return "done"

    def _compare_truck(
        self, verb: str, outcome: Outcome, word: str, truck: Truck, name: str | None = None
    ) -> None:
        reach(verb, word)
        assert (outcome.refused or "done") == word
        if word != "done":
            return
        told = orjson.loads(outcome.answer)
        self.trucks[name or told["id"]] = truck
        assert told["status"] == truck.status
        names = ("open", "received", "cancelled")
        assert [[line[one] for one in names] for line in told["lines"]] == [
            [crate.open, crate.received, crate.cancelled] for crate in truck.crates
        ]
        assert [line.get("missing", 0) for line in told["lines"]] == [
            crate.missing for crate in truck.crates
        ]
