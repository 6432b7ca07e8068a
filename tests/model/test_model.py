"""Anything that can be asked, in any order: the service and a dict never disagree."""

import asyncio
from collections.abc import Coroutine
from contextlib import AsyncExitStack, ExitStack
from functools import partial
from typing import Any, TypeVar

import orjson
import pytest
from hypothesis import event, strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from inventory_api.app import open_service
from inventory_api.domain.commands import AdjustLine, Command, Line, Mode, SetLine
from inventory_api.domain.outcome import IdempotencyKey, Outcome
from inventory_api.service import Service
from inventory_api.settings import Settings
from inventory_api.store.availability import check
from tests.databases import Template
from tests.ledger_oracle import ALERTS, assert_sound, rows_of
from tests.memory_oracle import assert_memory_is_true
from tests.model.dict_model import Entry, Place, Shop, Verdict
from tests.model.machine import run, size
from tests.settable_clock import SettableClock
from tests.stock_factory import (
    SKUS,
    adjust,
    command,
    count,
    key,
    open_shop,
    set_item_status,
    set_location_status,
    set_policy,
    transfer,
)

T = TypeVar("T")
L = TypeVar("L", bound=Line)

ITEMS = SKUS[:3]
LOCATIONS = ("main", "store-1")
# As it is at that moment: chosen when the step runs, not when it is drawn.
CURRENT = -1


def mostly(usual: st.SearchStrategy[T], *rare: T, odds: int = 20) -> st.SearchStrategy[T]:
    """Something usual, but once in so many times something rare."""
    return st.integers(1, odds).flatmap(
        lambda chance: st.sampled_from(rare) if chance == odds else usual
    )


skus = mostly(st.sampled_from(ITEMS), "nobody", odds=40)
codes = mostly(st.sampled_from(LOCATIONS), "moon", odds=40)
reasons = st.sampled_from(["sale", "received", "damaged", "correction"])
groups = st.sampled_from([None, None, "g", "h"])
line_ids = mostly(st.none(), *[f"line-{number}" for number in range(9)], odds=5)
modes = st.sampled_from(Mode)
seldom = mostly(st.just(False), True, odds=5)
keys = mostly(st.none(), *[f"key-{number}" for number in range(30)], odds=4)

adjusts = st.builds(
    adjust,
    mostly(st.integers(-5, 9), 10**12, -(10**12), odds=40),
    skus,
    codes,
    reason=reasons,
    line_id=line_ids,
    group=groups,
)
counts = st.builds(
    count,
    mostly(st.integers(0, 9), 10**12, odds=40),
    skus,
    codes,
    expected=mostly(st.sampled_from([None, CURRENT]), 0, 3, odds=8),
    line_id=line_ids,
    group=groups,
)
ways = mostly(st.permutations(LOCATIONS).map(tuple), ("main", "main"), ("main", "moon"), odds=15)
transfers = st.builds(
    lambda quantity, sku, way, group: transfer(quantity, sku, *way, group=group),
    st.integers(1, 5),
    skus,
    ways,
    groups,
)


def some(lines: st.SearchStrategy[L]) -> st.SearchStrategy[list[L]]:
    return st.lists(lines, min_size=1, max_size=2) | st.lists(lines, min_size=1, max_size=5)


def as_twins(lines: list[AdjustLine], number: int) -> list[AdjustLine]:
    """A group whose first two lines have one id; the third has none and may fail them."""
    names = (f"twin-{number}", f"twin-{number}", None)
    return [line._replace(line_id=name, group="g") for line, name in zip(lines, names, strict=True)]


# A command has lines of one kind, as its request has.
adjust_lists = some(adjusts) | st.builds(
    as_twins, st.lists(adjusts, min_size=3, max_size=3), st.integers(0, 30)
)
line_lists: st.SearchStrategy[list[Line]] = st.one_of(adjust_lists, some(counts), some(transfers))


class Inventory(RuleBasedStateMachine):
    """The same steps for the service and for the dict, and a comparison after each."""

    def __init__(self, migrated: Template) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.database = ExitStack()
        self.settings = Settings(
            database_url=self.database.enter_context(migrated.copied()),
            change_deadline_s=60,
            check_deadline_s=60,
        )
        self.clock = SettableClock()
        self.exits = AsyncExitStack()
        self.shop = Shop([*ITEMS], [*LOCATIONS])
        self.service: Service

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Let the service's loop run until one thing is done."""
        return self.runner.run(work)

    @initialize()
    def open(self) -> None:
        self.run(self._open())
        self.run(open_shop(self.service, items=ITEMS))

    @rule(lines=adjust_lists, mode=modes, key=keys, dry_run=seldom)
    def adjust(self, lines: list[Line], mode: Mode, key: str | None, dry_run: bool) -> None:
        self._change(lines, mode, key, dry_run=dry_run)

    @rule(lines=some(counts), mode=modes, key=keys, dry_run=seldom)
    def count(self, lines: list[Line], mode: Mode, key: str | None, dry_run: bool) -> None:
        self._change(lines, mode, key, dry_run=dry_run)

    @rule(lines=some(transfers), mode=modes, key=keys, dry_run=seldom)
    def transfer(self, lines: list[Line], mode: Mode, key: str | None, dry_run: bool) -> None:
        self._change(lines, mode, key, dry_run=dry_run)

    @rule(
        several=st.lists(st.tuples(line_lists, modes, keys), min_size=2, max_size=6),
    )
    def changes_at_once(self, several: list[tuple[list[Line], Mode, str | None]]) -> None:
        """Commands that arrive together share a transaction, and keep the order of arrival."""
        asked = [(self._resolved(lines, mode), key) for lines, mode, key in several]
        outcomes = self.run(self._send_together(asked))

        for (one, name), outcome in zip(asked, outcomes, strict=True):
            self._compare(one, name, outcome)

    @precondition(lambda self: self.shop.remembered)
    @rule(data=st.data())
    def retry(self, data: st.DataObject) -> None:
        used = data.draw(st.sampled_from(sorted(self.shop.remembered)))
        asked, _ = self.shop.remembered[used]
        outcome = self.run(self._send(asked, used))

        assert outcome.replayed
        self._compare(asked, used, outcome)

    @rule(
        sku=st.sampled_from(ITEMS),
        code=st.sampled_from(LOCATIONS),
        safety_stock=st.integers(0, 4),
        limit=st.sampled_from([0, 0, 2, 10, None]),
        point=st.sampled_from([None, 0, 3, 7, 12]),
    )
    def policy(
        self, sku: str, code: str, safety_stock: int, limit: int | None, point: int | None
    ) -> None:
        chosen = {"safety_stock": safety_stock, "backorder_limit": limit, "reorder_point": point}
        outcome = self.run(set_policy(self.service, chosen, key(sku, code)))

        assert outcome.refused == self.shop.set_policy((sku, code), safety_stock, limit, point)

    @rule(sku=st.sampled_from(ITEMS), archived=seldom)
    def archive_item(self, sku: str, archived: bool) -> None:
        status = "archived" if archived else "active"
        outcome = self.run(set_item_status(self.service, sku, status))

        refused = archived and self.shop.is_used(item=sku)
        assert outcome.refused == ("item_in_use" if refused else None)
        if not refused:
            self.shop.archived_items[sku] = archived
        event(f"archive item: {outcome.refused or status}")

    @rule(archived=seldom)
    def archive_location(self, archived: bool) -> None:
        status = "archived" if archived else "active"
        outcome = self.run(set_location_status(self.service, "store-1", status))

        refused = archived and self.shop.is_used(location="store-1")
        assert outcome.refused == ("location_in_use" if refused else None)
        if not refused:
            self.shop.archived_locations["store-1"] = archived
        event(f"archive location: {outcome.refused or status}")

    @rule(seconds=st.sampled_from([-7200, -1, 0, 1, 86_400]))
    def move_clock(self, seconds: int) -> None:
        self.clock.move(seconds)

    @rule(again=seldom)
    def restart(self, again: bool) -> None:
        """Close the file and open it again; not each time, since it takes as long as ten changes."""
        if not again:
            return
        self.run(self.exits.aclose())
        self.run(self._open())
        event("restart")

    def teardown(self) -> None:
        try:
            if hasattr(self, "service"):
                self._compare_ledger()
        finally:
            self.run(self.exits.aclose())
            self.runner.close()
            self.database.close()

    def _change(self, lines: list[Line], mode: Mode, key: str | None, *, dry_run: bool) -> None:
        asked = self._resolved(lines, mode, dry_run=dry_run)
        outcome = self.run(self._send(asked, key))

        self._compare(asked, key, outcome)

    def _resolved(self, lines: list[Line], mode: Mode, *, dry_run: bool = False) -> Command:
        """A command of the lines, with the counts that expect what is there."""
        fixed = [
            line._replace(
                expected_on_hand=self.shop.world.shelves[line.sku, line.location].on_hand
                if (line.sku, line.location) in self.shop.world.shelves
                else 0
            )
            if isinstance(line, SetLine) and line.expected_on_hand == CURRENT
            else line
            for line in lines
        ]
        return command(*fixed, mode=mode, dry_run=dry_run)

    def _compare(self, asked: Command, key: str | None, outcome: Outcome) -> None:
        """The service's answer against the dict's verdict."""
        if key is None or asked.dry_run:
            verdict: Verdict | None = self.shop.ask(asked)
        else:
            verdict = self.shop.ask_once(key, asked)
        if verdict is None:
            assert outcome.refused == "idempotency_mismatch"
            event("key: mismatch")
            return
        assert told(outcome, len(asked.lines)) == verdict._replace(
            lines=[
                word if not verdict.refused or word not in ("applied", "duplicate") else "-"
                for word in verdict.lines
            ]
        )
        event(f"{asked.kind} {asked.mode}: {'refused' if verdict.refused else 'answered'}")
        event(f"replayed: {outcome.replayed}")
        for word in verdict.lines:
            event(f"line: {word}")

    @invariant()
    def the_writer_remembers_what_is_so(self) -> None:
        self.run(assert_memory_is_true(self.service))

    @invariant()
    def levels_agree(self) -> None:
        rows = self.run(rows_of(self.service.database, "SELECT * FROM level"))
        found = {
            (row["sku"], row["location"]): (
                row["on_hand"],
                row["version"],
                row["safety_stock"],
                row["backorder_limit"],
            )
            for row in rows
        }
        expected = {
            place: (shelf.on_hand, shelf.version, shelf.safety_stock, shelf.backorder_limit)
            for place, shelf in self.shop.world.shelves.items()
        }
        empty = (0, 0, 0, 0)
        assert {place: one for place, one in found.items() if one != empty} == {
            place: one for place, one in expected.items() if one != empty
        }

    def _compare_ledger(self) -> None:
        movements = self.run(assert_sound(self.service.database))
        found = [
            Entry(
                row["type"],
                (row["sku"], row["location"]),
                row["level_version"],
                row["d_on_hand"],
                row["on_hand"],
                row["available"],
                row["oversold_by"],
                row["line_id"],
                frozenset(name for bit, name in ALERTS.items() if row["alerts"] & bit),
            )
            for row in movements
        ]
        assert found == self.shop.world.ledger
        assert self.run(self._available()) == {
            place: shelf.on_hand - shelf.safety_stock
            for place, shelf in self.shop.world.shelves.items()
            if place[0] in self.shop.archived_items and place[1] in self.shop.archived_locations
        }

    async def _available(self) -> dict[Place, int]:
        """What a check says of every level."""
        places = [
            place
            for place in self.shop.world.shelves
            if place[0] in self.shop.archived_items and place[1] in self.shop.archived_locations
        ]
        lines = [{"sku": sku, "location": code} for sku, code in places]
        async with self.service.database.reader() as session:
            _, results = await check(session, lines, None, self.clock())
        return {(one["sku"], one["location"]): one["available"] for one in results}

    async def _open(self) -> None:
        self.exits = AsyncExitStack()
        self.service = await self.exits.enter_async_context(
            open_service(self.settings, now=self.clock)
        )

    async def _send(self, asked: Command, key: str | None) -> Outcome:
        known = None if key is None else IdempotencyKey(key, repr(asked).encode())
        return await self.service.submit(asked, actor="model", key=known)

    async def _send_together(self, asked: list[tuple[Command, str | None]]) -> list[Outcome]:
        return await asyncio.gather(*[self._send(one, key) for one, key in asked])


def told(outcome: Outcome, lines: int) -> Verdict:
    """An answer as a verdict; a refusal does not tell of the lines that had no fault."""
    answer = orjson.loads(outcome.answer)
    if outcome.refused is not None:
        words = ["-"] * lines
        for line in answer["lines"]:
            words[line["index"]] = line["error"]["code"]
        assert outcome.refused == next(word for word in words if word != "-")
        return Verdict(True, words, [[] for _ in words])
    words = [
        line["error"]["code"] if line["status"] == "rejected" else line["status"]
        for line in answer["results"]
    ]
    seqs = [
        list(line.get("seqs") or ([line["seq"]] if line.get("seq") else []))
        for line in answer["results"]
    ]
    return Verdict(False, words, seqs)


# Reducing a failure to its shortest case takes minutes.
@pytest.mark.timeout(900)
def test_the_service_does_what_the_dict_does(migrated: Template) -> None:
    run(partial(Inventory, migrated), size(examples=15, steps=60))


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_the_service_does_what_the_dict_does_ten_times_over(migrated: Template) -> None:
    run(partial(Inventory, migrated), size(examples=400, steps=100))
