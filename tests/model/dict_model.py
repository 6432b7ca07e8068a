"""The rules of the stock once more, over plain dicts: what the real service is compared with.

Written from the contract, not from the program: nothing of the program's rules is used here, only
the shapes in which it is asked.
"""

import math
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from inventory_api.domain.commands import AdjustLine, Command, Line, Mode, SetLine, TransferLine

MAXIMUM = 10**12
BOOKED_AS_FACT = frozenset(
    ["damaged", "expired", "lost", "theft", "cycle_count", "correction", "quality_control"]
)

Place = tuple[str, str]


@dataclass(slots=True)
class Shelf:
    """One item at one location."""

    on_hand: int = 0
    version: int = 0
    safety_stock: int = 0
    backorder_limit: int | None = 0
    reorder_point: int | None = None
    told_low: bool = False
    told_out: bool = False

    @property
    def lacking(self) -> int:
        """Units by which less is available than may be promised."""
        if self.backorder_limit is None:
            return 0
        return max(0, self.safety_stock - self.backorder_limit - self.on_hand)


class Entry(NamedTuple):
    """What the ledger has to say about one movement."""

    type: str
    place: Place
    version: int
    delta: int
    on_hand: int
    available: int
    oversold_by: int
    line_id: str | None
    alerts: frozenset[str]


class Verdict(NamedTuple):
    """What became of a command: a status or code by line, and the ledger numbers of each."""

    refused: bool
    lines: list[str]
    seqs: list[list[int]]


@dataclass(slots=True)
class World:
    """Everything that a command can change, so that a copy of it can be thrown away."""

    shelves: dict[Place, Shelf] = field(default_factory=dict)
    ledger: list[Entry] = field(default_factory=list)
    line_ids: set[str] = field(default_factory=set)

    def copy(self) -> "World":
        shelves = {place: replace(shelf) for place, shelf in self.shelves.items()}
        return World(shelves, list(self.ledger), set(self.line_ids))

    def shelf(self, place: Place) -> Shelf:
        return self.shelves.setdefault(place, Shelf())

    def book(self, kind: str, place: Place, delta: int, line_id: str | None) -> int:
        """Write one movement; its number."""
        shelf = self.shelf(place)
        shelf.on_hand += delta
        return self.write(kind, place, delta, line_id)

    def write(self, kind: str, place: Place, delta: int, line_id: str | None) -> int:
        """Write a movement of what the shelf has become; its number."""
        shelf = self.shelf(place)
        shelf.version += 1
        available = shelf.on_hand - shelf.safety_stock
        self.ledger.append(
            Entry(
                kind,
                place,
                shelf.version,
                delta,
                shelf.on_hand,
                available,
                shelf.lacking,
                line_id,
                self._alerts(place, available),
            )
        )
        return len(self.ledger)

    def _alerts(self, place: Place, available: int) -> frozenset[str]:
        """What the movement about to be written is the first to see."""
        shelf = self.shelves[place]
        last = next((entry for entry in reversed(self.ledger) if entry.place == place), None)
        was, was_short = (0, 0) if last is None else (last.available, last.oversold_by)
        told = set()
        point = shelf.reorder_point
        if point is not None and available <= point and not shelf.told_low:
            told.add("low")
            shelf.told_low = True
        elif point is None or available >= point + max(1, math.ceil(point / 10)):
            shelf.told_low = False
        if was > 0 >= available:
            told.add("out")
            shelf.told_out = True
        if available > 0 and shelf.told_out:
            told.add("back")
            shelf.told_out = False
        if shelf.lacking and not was_short:
            told.add("oversold")
        return frozenset(told)


class Shop:
    """The whole inventory, as a dict sees it."""

    def __init__(self, items: list[str], locations: list[str]) -> None:
        self.archived_items = dict.fromkeys(items, False)
        self.archived_locations = dict.fromkeys(locations, False)
        self.world = World()
        self.remembered: dict[str, tuple[Command, Verdict]] = {}

    def ask(self, command: Command) -> Verdict:
        """Do what is asked, or find out why not."""
        world = self.world.copy()
        if command.mode is Mode.ATOMIC:
            verdict = self._all_or_nothing(command.lines, world)
        else:
            verdict = self._each_group(command.lines, world)
        if verdict.refused or command.dry_run:
            nothing: list[list[int]] = [[] for _ in command.lines]
            return verdict._replace(seqs=nothing)
        self.world = world
        return verdict

    def ask_once(self, key: str, command: Command) -> Verdict | None:
        """The verdict under a key; None if the key stands for another command."""
        if key not in self.remembered:
            self.remembered[key] = (command, self.ask(command))
        known, verdict = self.remembered[key]
        return verdict if known == command else None

    def set_policy(
        self, place: Place, safety_stock: int, limit: int | None, point: int | None
    ) -> str | None:
        """Change a policy, which is a movement of nothing; the code of the refusal, if any."""
        if self.archived_items[place[0]]:
            return "item_archived"
        if self.archived_locations[place[1]]:
            return "location_archived"
        shelf = self.world.shelf(place)
        policy = (safety_stock, limit, point)
        known = (shelf.safety_stock, shelf.backorder_limit, shelf.reorder_point)
        if not shelf.version or policy != known:
            shelf.safety_stock, shelf.backorder_limit, shelf.reorder_point = policy
            self.world.write("policy", place, 0, None)
        return None

    def is_used(self, *, item: str | None = None, location: str | None = None) -> bool:
        """Whether there are units of an item, or at a location."""
        return any(
            shelf.on_hand > 0
            for place, shelf in self.world.shelves.items()
            if item in (None, place[0]) and location in (None, place[1])
        )

    def _all_or_nothing(self, lines: tuple[Line, ...], world: World) -> Verdict:
        told = [self._line(line, world) for line in lines]
        words = [word for word, _ in told]
        refused = any(word not in ("applied", "duplicate") for word in words)
        return Verdict(refused, words, [seqs for _, seqs in told])

    def _each_group(self, lines: tuple[Line, ...], world: World) -> Verdict:
        words = [""] * len(lines)
        seqs: list[list[int]] = [[] for _ in lines]
        for number, line in enumerate(lines):
            if words[number]:
                continue
            members = [number]
            if line.group is not None:
                members = [at for at, other in enumerate(lines) if other.group == line.group]
            known = set(world.line_ids)
            attempt = world.copy()
            verdict = self._all_or_nothing(tuple(lines[at] for at in members), attempt)
            for at, word, numbers in zip(members, verdict.lines, verdict.seqs, strict=True):
                spared = word == "duplicate" and getattr(lines[at], "line_id", None) in known
                failed_with_others = verdict.refused and word in ("applied", "duplicate")
                words[at] = "group_rejected" if failed_with_others and not spared else word
                seqs[at] = [] if verdict.refused else numbers
            if not verdict.refused:
                world.shelves, world.ledger = attempt.shelves, attempt.ledger
                world.line_ids = attempt.line_ids
        return Verdict(False, words, seqs)

    def _line(self, line: Line, world: World) -> tuple[str, list[int]]:
        line_id = getattr(line, "line_id", None)
        if line_id in world.line_ids:
            return "duplicate", []
        if (why := self._closed(line)) is not None:
            return why, []
        word, seqs = self._done(line, world)
        if word == "applied" and line_id is not None:
            world.line_ids.add(line_id)
        return word, seqs

    def _done(self, line: Line, world: World) -> tuple[str, list[int]]:
        match line:
            case AdjustLine():
                return self._adjust(line, world)
            case SetLine():
                return self._count(line, world)
            case TransferLine():
                return self._transfer(line, world)

    def _closed(self, line: Line) -> str | None:
        if line.sku not in self.archived_items:
            return "unknown_sku"
        if self.archived_items[line.sku]:
            return "item_archived"
        codes = [line.location] + ([line.target] if isinstance(line, TransferLine) else [])
        for code in codes:
            if code not in self.archived_locations:
                return "unknown_location"
            if self.archived_locations[code]:
                return "location_archived"
        return None

    def _adjust(self, line: AdjustLine, world: World) -> tuple[str, list[int]]:
        place = (line.sku, line.location)
        asked_for = line.reason not in BOOKED_AS_FACT
        if (why := _cannot(world.shelf(place), line.delta, asked_for=asked_for)) is not None:
            return why, []
        return "applied", [world.book("adjust", place, line.delta, line.line_id)]

    def _count(self, line: SetLine, world: World) -> tuple[str, list[int]]:
        place = (line.sku, line.location)
        shelf = world.shelf(place)
        if line.expected_on_hand not in (None, shelf.on_hand):
            return "stale_quantity", []
        if line.on_hand > MAXIMUM:
            return "quantity_out_of_range", []
        return "applied", [world.book("set", place, line.on_hand - shelf.on_hand, line.line_id)]

    def _transfer(self, line: TransferLine, world: World) -> tuple[str, list[int]]:
        if line.source == line.target:
            return "same_location", []
        here, there = (line.sku, line.source), (line.sku, line.target)
        why = _cannot(world.shelf(here), -line.quantity, asked_for=True)
        why = why or _cannot(world.shelf(there), line.quantity, asked_for=True)
        if why is not None:
            return why, []
        return "applied", [
            world.book("transfer_out", here, -line.quantity, None),
            world.book("transfer_in", there, line.quantity, None),
        ]


def _cannot(shelf: Shelf, delta: int, *, asked_for: bool) -> str | None:
    """Why units cannot be added or taken."""
    if shelf.on_hand + delta > MAXIMUM:
        return "quantity_out_of_range"
    if shelf.on_hand + delta < 0:
        return "insufficient_stock"
    if delta < 0 and asked_for and replace(shelf, on_hand=shelf.on_hand + delta).lacking:
        return "insufficient_stock"
    return None
