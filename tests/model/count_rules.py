"""Counts as a dict sees them, beside carts: rules that the state machine of carts takes in."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import orjson
from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from inventory_api.domain.outcome import Outcome
from inventory_api.store.counts import lines_of, sheets_of
from tests.count_factory import opening, recording, settling, tally
from tests.model.cart_model import PLACES
from tests.model.reached import note, reach
from tests.stock_factory import command, count as set_line

ITEMS = ("P001", "P002")


@dataclass(slots=True)
class Seen:
    """What a line was measured against: the shelf, and how often it had been counted by then."""

    on_hand: int
    sets: int
    counted: int | None = None


@dataclass(slots=True)
class Sheet:
    """A count."""

    place: str
    threshold: int | None
    opened: dict[str, Seen]
    status: str = "open"
    lines: dict[str, Seen] = field(default_factory=dict)

    def variances(self) -> dict[str, int]:
        return {
            sku: seen.counted - seen.on_hand
            for sku, seen in self.lines.items()
            if seen.counted is not None
        }


class CountRules:
    """Opens, records, approves, posts and cancels counts while everything else goes on."""

    # Of the machine that takes these in. Any: its own types.
    run: Callable[[Any], Any]
    model: Any
    service: Any
    _ask: Callable[[Any], Outcome]

    def __init__(self) -> None:
        super().__init__()
        self.sheets: dict[str, Sheet] = {}
        self.sets: dict[tuple[str, str], int] = {}

    @rule(sku=st.sampled_from(ITEMS), place=st.sampled_from(PLACES), on_hand=st.integers(0, 12))
    def set_stock(self, sku: str, place: str, on_hand: int) -> None:
        assert self._ask(command(set_line(on_hand, sku, place))).refused is None

        self.model.shelves[sku, place].on_hand = on_hand
        self._note_set(sku, place)
        reach("set", "done")

    @rule(
        place=st.sampled_from(PLACES),
        skus=st.sampled_from([(), ITEMS, ITEMS[:1]]),
        threshold=st.sampled_from([None, 0, 2]),
        errors=st.lists(st.integers(-3, 3), min_size=2, max_size=2),
        is_counted=st.sampled_from([True, True, False]),
    )
    def open_count(
        self,
        place: str,
        skus: tuple[str, ...],
        threshold: int | None,
        errors: list[int],
        is_counted: bool,
    ) -> None:
        """Most are counted at once, or a machine that knows many verbs seldom comes to post one."""
        outcome = self._ask(opening(*skus, location=place, threshold=threshold))

        assert outcome.refused is None
        told = orjson.loads(outcome.answer)
        opened = {sku: self._seen(sku, place) for sku in skus or ITEMS}
        assert {line["sku"]: line["expected"] for line in told["lines"]} == {
            sku: seen.on_hand for sku, seen in opened.items()
        }
        self.sheets[told["id"]] = Sheet(place, threshold, opened)
        reach("count open", "done")
        for sku, error in zip(opened, errors, strict=False):
            if is_counted:
                self._record(told["id"], sku, error, late=False)

    @precondition(lambda self: self.sheets)
    @rule(data=st.data(), sku=st.sampled_from(ITEMS), error=st.integers(-3, 3), late=st.booleans())
    def record_count(self, data: st.DataObject, sku: str, error: int, late: bool) -> None:
        self._record(data.draw(st.sampled_from(self._names())), sku, error, late=late)
        reach("count record", "late" if late else "as opened")

    def _record(self, name: str, sku: str, error: int, *, late: bool) -> None:
        sheet = self.sheets[name]
        now = self._seen(sku, sheet.place)
        seen = now if late else sheet.opened.get(sku, now)
        counted = max(0, seen.on_hand + error)
        level = self.run(self.service.level(sku, sheet.place))
        version = None if not late else 0 if level is None else level.version

        outcome = self._ask(recording(name, tally(counted, sku, version)))

        note("count recorded", outcome.refused or "done")
        is_open = sheet.status in ("open", "approved")
        assert outcome.refused == (None if is_open else "count_not_open")
        if is_open:
            sheet.opened.setdefault(sku, now)
            sheet.lines[sku] = Seen(seen.on_hand, seen.sets, counted)
            sheet.status = "open"

    @precondition(lambda self: self.sheets)
    @rule(data=st.data(), verb=st.sampled_from(["post", "post", "post", "approve", "cancel"]))
    def settle_count(self, data: st.DataObject, verb: str) -> None:
        name = data.draw(st.sampled_from(self._names()))
        outcome = self._ask(settling(verb, name))

        word = self._settled(self.sheets[name], verb)
        reach(f"count {verb}", word)
        assert (outcome.refused or "done") == word
        self.run(self._compare_count(name))

    def _names(self) -> list[str]:
        """Counts that are open, and one that need not be: most that are over stay so."""
        names = sorted(self.sheets)
        is_open = [name for name in names if self.sheets[name].status in ("open", "approved")]
        return [*is_open, names[0]]

    def _settled(self, sheet: Sheet, verb: str) -> str:
        if sheet.status not in ("open", "approved"):
            return "count_not_open"
        if verb != "post":
            sheet.status = "approved" if verb == "approve" else "cancelled"
            return "done"
        variances = sheet.variances()
        if not variances:
            return "nothing_counted"
        words = [self._unbookable(sheet, sku, units) for sku, units in variances.items()]
        order = list(sheet.opened)
        refused = [word for sku, word in sorted(words, key=lambda one: order.index(one[0])) if word]
        if refused:
            return refused[0]
        limit = sheet.threshold
        is_large = limit is not None and any(abs(units) > limit for units in variances.values())
        if is_large and sheet.status != "approved":
            return "approval_required"
        for sku, units in variances.items():
            self.model.shelves[sku, sheet.place].on_hand += units
            self._note_set(sku, sheet.place)
        sheet.status = "posted"
        return "done"

    def _unbookable(self, sheet: Sheet, sku: str, units: int) -> tuple[str, str]:
        if self.sets.get((sku, sheet.place), 0) > sheet.lines[sku].sets:
            return sku, "stale_quantity"
        is_short = units < 0 and self.model.shelves[sku, sheet.place].on_hand + units < 0
        return sku, "insufficient_stock" if is_short else ""

    def _seen(self, sku: str, place: str) -> Seen:
        on_hand = self.model.shelves[sku, place].on_hand
        return Seen(on_hand, self.sets.get((sku, place), 0))

    def _note_set(self, sku: str, place: str) -> None:
        self.sets[sku, place] = self.sets.get((sku, place), 0) + 1

    async def _compare_count(self, name: str) -> None:
        async with self.service.database.reader() as session:
            found = (await sheets_of(session, [name]))[name]
            lines = await lines_of(session, name)
        sheet = self.sheets[name]
        assert found.status == sheet.status
        assert {
            line.sku: line.variance for line in lines if line.counted is not None
        } == sheet.variances()
