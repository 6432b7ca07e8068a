"""Any verb of a reservation, in any order, at any time: the service and a dict never disagree.

`make model` runs as many steps as `MODEL_STEPS` says. How often each rule came to which end is
printed behind the tests.
"""

import asyncio
import os
from collections.abc import Coroutine, Iterable
from contextlib import AsyncExitStack, ExitStack
from functools import partial
from typing import Any, TypeVar

import orjson
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from inventory_api.app import open_service
from inventory_api.domain.judge import Asked
from inventory_api.domain.outcome import Outcome
from inventory_api.domain.reservation import Part, Reserve, ReserveLine, Settle
from inventory_api.domain.types import SKU, Level, LocationCode
from inventory_api.service import Service
from inventory_api.settings import Settings
from inventory_api.store.holds import holds_of
from inventory_api.workers.expiry import expire_some
from tests.databases import Template
from tests.ledger_oracle import assert_sound, rows_of
from tests.memory_oracle import assert_memory_is_true
from tests.model.cart_model import PLACES, Wanted, Warehouse
from tests.model.count_rules import CountRules
from tests.model.kit_rules import KITS, KitRules, kits_and_items, open_kits
from tests.model.machine import run, size
from tests.model.reached import reach
from tests.model.shipment_rules import ShipmentRules
from tests.settable_clock import SettableClock
from tests.stock_factory import adjust, command, key, open_shop, set_policy

T = TypeVar("T")

ITEMS = ("P001", "P002")
wanted_lines = st.tuples(
    st.sampled_from(ITEMS), st.sampled_from([None, None, *PLACES]), st.integers(1, 6)
)
references = st.sampled_from([None, "cart:1", "cart:2", "cart:3"])
lives = st.sampled_from([1, 5, 60])
verbs = st.sampled_from(["confirm", "fulfill", "release"])
parts = st.none() | st.tuples(st.sampled_from(ITEMS), st.integers(1, 4))


class Carts(KitRules, CountRules, ShipmentRules, RuleBasedStateMachine):
    """The same steps for the service and for the dict, and a comparison after each."""

    def __init__(self, migrated: Template) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.database = ExitStack()
        self.settings = Settings(
            database_url=self.database.enter_context(migrated.copied()),
            change_deadline_s=60,
            check_deadline_s=60,
            # What is due waits for who touches it, or for the rule that sweeps.
            expiry_sweep_s=3_600,
            expiries_max=2,
        )
        self.clock = SettableClock()
        self.exits = AsyncExitStack()
        self.model = Warehouse(ITEMS)
        self.service: Service

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(work)

    @initialize(stock=st.lists(st.integers(0, 12), min_size=4, max_size=4))
    def open(self, stock: list[int]) -> None:
        self.run(self._open())
        self.run(open_shop(self.service, items=ITEMS))
        self.run(open_kits(self.service))
        self.model.kits.update(KITS)
        for (sku, place), units in zip(self.model.shelves, stock, strict=True):
            self._change(sku, place, units)

    @rule(sku=st.sampled_from(ITEMS), place=st.sampled_from(PLACES), delta=st.integers(-4, 6))
    def change(self, sku: str, place: str, delta: int) -> None:
        reach("adjust", self._change(sku, place, delta))

    @rule(
        sku=st.sampled_from(ITEMS),
        place=st.sampled_from(PLACES),
        safety_stock=st.integers(0, 2),
        limit=st.sampled_from([0, 0, 3, None]),
    )
    def policy(self, sku: str, place: str, safety_stock: int, limit: int | None) -> None:
        chosen = {"safety_stock": safety_stock, "backorder_limit": limit}
        outcome = self.run(set_policy(self.service, chosen, key(sku, place)))

        assert outcome.refused is None
        shelf = self.model.shelves[sku, place]
        shelf.safety_stock, shelf.limit = safety_stock, limit
        reach("policy", "done")

    @rule(
        reference=references,
        wanted=st.lists(wanted_lines, min_size=1, max_size=3),
        life=lives,
        partial=st.booleans(),
    )
    def reserve(
        self, reference: str | None, wanted: list[Wanted], life: int, partial: bool
    ) -> None:
        outcome = self._ask(
            Reserve(
                lines=lines_of(wanted),
                ttl_us=life * 1_000_000,
                reference=reference,
                allow_partial=partial,
            )
        )
        name = orjson.loads(outcome.answer).get("id", "") if outcome.refused is None else "none"
        ends_at = self.clock() + life * 1_000_000
        word = self.model.reserve(name, reference, wanted, ends_at, partial=partial)
        self._compare("reserve", outcome, word, name)

    @rule(
        reference=references.filter(bool),
        wanted=st.lists(wanted_lines, max_size=3),
        life=lives,
    )
    def declare(self, reference: str, wanted: list[Wanted], life: int) -> None:
        outcome = self._ask(
            Reserve(
                lines=lines_of(wanted),
                ttl_us=life * 1_000_000,
                reference=reference,
                declared=True,
            )
        )
        name = orjson.loads(outcome.answer).get("id", "") if outcome.refused is None else "none"
        ends_at = self.clock() + life * 1_000_000
        word, known = self.model.declare(name, reference, wanted, ends_at)
        if outcome.refused is None:
            assert name == known
        self._compare("declare", outcome, word, known)

    @precondition(lambda self: self.model.carts)
    @rule(data=st.data(), verb=verbs, part=parts)
    def settle(self, data: st.DataObject, verb: str, part: tuple[str, int] | None) -> None:
        name = data.draw(st.sampled_from(sorted(self.model.carts)))
        lines = () if part is None else (Part(SKU(part[0]), None, part[1]),)
        outcome = self._ask(Settle(kind=verb, id=name, lines=lines))

        self._compare(verb, outcome, self.model.settle(name, verb, part), name)

    @precondition(lambda self: self.model.carts)
    @rule(data=st.data(), life=lives)
    def extend(self, data: st.DataObject, life: int) -> None:
        name = data.draw(st.sampled_from(sorted(self.model.carts)))
        outcome = self._ask(Settle(kind="extend", id=name, ttl_us=life * 1_000_000))

        word = self.model.extend(name, self.clock() + life * 1_000_000)
        self._compare("extend", outcome, word, name)

    @rule(seconds=st.sampled_from([0.000001, 0.5, 1, 5]))
    def pass_time(self, seconds: float) -> None:
        self.clock.move(seconds)
        before = sum(cart.total("held") for cart in self.model.carts.values())
        self.model.pass_to(self.clock())
        after = sum(cart.total("held") for cart in self.model.carts.values())
        reach("time", "something expired" if after < before else "nothing expired")

    @rule()
    def sweep(self) -> None:
        self._sweep()
        reach("sweep", "done")

    @rule(again=st.integers(0, 9))
    def restart(self, again: int) -> None:
        if not again:
            self.run(self.exits.aclose())
            self.run(self._open())
        reach("restart", "not this time" if again else "done")

    @invariant()
    def the_writer_remembers_what_is_so(self) -> None:
        self.run(assert_memory_is_true(self.service))

    @invariant()
    def shelves_agree(self) -> None:
        levels = self._levels(self.model.shelves)
        for (sku, place), shelf in self.model.shelves.items():
            level = levels[sku, place]
            found = (0, 0, 0) if level is None else level[2:5]
            assert found == (
                shelf.on_hand,
                self.model.reserved(sku, place),
                self.model.reserved(sku, place, "committed"),
            )

    def teardown(self) -> None:
        try:
            if hasattr(self, "service"):
                self._sweep()
                self.run(assert_sound(self.service.database))
                self._compare_promises()
        finally:
            self.run(self.exits.aclose())
            self.runner.close()
            self.database.close()

    def _sweep(self) -> None:
        async def all_of_it() -> None:
            while await expire_some(self.service):
                pass

        self.run(all_of_it())

    def _change(self, sku: str, place: str, delta: int) -> str:
        outcome = self._ask(command(adjust(delta, sku, place, reason="sale")))

        granted = self.model.adjust(sku, place, delta)
        assert (outcome.refused is None) == granted
        return outcome.refused or "done"

    def _ask(self, asked: Asked) -> Outcome:
        return self.run(self.service.submit(asked, actor="model"))

    def _levels(self, keys: Iterable[tuple[str, str]]) -> dict[tuple[str, str], Level | None]:
        async def together() -> list[Level | None]:
            return await asyncio.gather(*(self.service.level(*key) for key in keys))

        return dict(zip(keys, self.run(together()), strict=True))

    def _compare(self, verb: str, outcome: Outcome, word: str, name: str) -> None:
        assert (outcome.refused or "done") == word
        is_late = outcome.refused is None and orjson.loads(outcome.answer).get("recovered")
        reach(verb, "recovered" if is_late else word)
        if name not in self.model.carts:
            return
        hold = self.run(self._hold(name))
        cart = self.model.carts[name]
        assert hold.reservation.status == cart.status
        found = kits_and_items(hold.allocations)
        expected = {(one.line, one.sku, one.place): one.units for one in cart.pieces}
        assert {name: units for name, units in found.items() if any(units)} == {
            name: units for name, units in expected.items() if any(units)
        }

    def _compare_promises(self) -> None:
        """I5: what levels have reserved and committed is what reservations hold there."""
        for column, state in (("reserved", "held"), ("committed", "committed")):
            levels = self.run(
                rows_of(self.service.database, f"SELECT sku, location, {column} AS n FROM level")
            )
            for row in levels:
                assert row["n"] == self.model.reserved(row["sku"], row["location"], state)

    async def _hold(self, name: str) -> Any:  # Any: a Hold
        async with self.service.database.reader() as session:
            return (await holds_of(session, [name]))[name]

    async def _open(self) -> None:
        self.exits = AsyncExitStack()
        self.service = await self.exits.enter_async_context(
            open_service(self.settings, now=self.clock)
        )


def lines_of(wanted: list[Wanted]) -> tuple[ReserveLine, ...]:
    return tuple(
        ReserveLine(SKU(sku), None if place is None else LocationCode(place), quantity)
        for sku, place, quantity in wanted
    )


# Reducing a failure to its shortest case takes minutes.
@pytest.mark.timeout(900)
def test_carts_are_what_a_dict_says(migrated: Template) -> None:
    run(partial(Carts, migrated), size(examples=10, steps=50))


STEPS = int(os.environ.get("MODEL_STEPS", "10000"))
STEPS_OF_AN_EXAMPLE = 80
# Some end early: 64 steps on average, so that this makes at least as many as are asked for.
STEPS_COUNTED_ON = 50


# A loaded machine takes twenty steps a second.
@pytest.mark.slow
@pytest.mark.sqlite
@pytest.mark.timeout(max(3600, STEPS // 20))
def test_many_carts_are_what_a_dict_says(migrated: Template) -> None:
    """Ten thousand steps, or as many as are asked for."""
    examples = -(-STEPS // STEPS_COUNTED_ON)
    run(partial(Carts, migrated), size(examples=examples, steps=STEPS_OF_AN_EXAMPLE))
