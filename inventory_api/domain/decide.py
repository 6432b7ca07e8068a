"""What becomes of a command, given the stock as it is."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, NamedTuple

from inventory_api.domain.commands import (
    FACT_REASONS,
    AdjustLine,
    Command,
    Line,
    Mode,
    SetLine,
    TransferLine,
)
from inventory_api.domain.count_sheet import CountedAt, Counts, Tallied
from inventory_api.domain.rejections import Code, Rejection
from inventory_api.domain.reservation import Hold, Part, ReserveLine
from inventory_api.domain.shipment import Arrival, Consignment, ExpectLine, Withdrawal
from inventory_api.domain.sourcing import Place
from inventory_api.domain.stock import Change, guard, move
from inventory_api.domain.types import SKU, Key, Level, LocationCode, Recipe

_new = tuple.__new__

AnyLine = Line | CountedAt | ReserveLine | Part | ExpectLine | Arrival | Withdrawal
"""A line of any command."""


@dataclass(slots=True)
class Snapshot:
    """The stock that a batch names, as it is after the commands decided so far.

    Attributes:
        levels: those that exist; one that does not is an empty level.
        barred_items: unknown or archived items, with the code of the refusal.
        barred_locations: likewise.
        kits: the kits among the items, with their components.
        line_ids: identities of lines that the ledger knows.
        holds: the reservations that the batch names, and those that it changed, by id.
        open_names: ids of the active or confirmed ones among them, by reference.
        last_names: ids of those among them that were made last, by reference.
        places: active locations.
        retimed: levels whose `next_expiry_at` has to be written although they may not move.
        undecidable: levels with more due holds than were expired; who names one has to wait.
        counts: the counts that the batch names.
        shipments: those that the batch names, and those that it changed, by id.
        transits: active locations that goods under way may wait in, among those that matter.
    """

    levels: dict[Key, Level] = field(default_factory=dict)
    barred_items: dict[SKU, Code] = field(default_factory=dict)
    barred_locations: dict[LocationCode, Code] = field(default_factory=dict)
    kits: dict[SKU, Recipe] = field(default_factory=dict)
    line_ids: set[str] = field(default_factory=set)
    holds: dict[str, Hold] = field(default_factory=dict)
    open_names: dict[str, str] = field(default_factory=dict)
    last_names: dict[str, str] = field(default_factory=dict)
    places: dict[LocationCode, Place] = field(default_factory=dict)
    changed_holds: dict[str, Hold] = field(default_factory=dict)
    undecidable: set[Key] = field(default_factory=set)
    retimed: set[Key] = field(default_factory=set)
    counts: Counts = field(default_factory=Counts)
    shipments: dict[str, Consignment] = field(default_factory=dict)
    transits: set[LocationCode] = field(default_factory=set)
    changed_shipments: dict[str, Consignment] = field(default_factory=dict)

    def barred(self, sku: SKU) -> Code | None:
        """Why an item's stock can't change; a kit has none: what changes is its components'."""
        code = self.barred_items.get(sku)
        return Code.IS_KIT if code is None and sku in self.kits else code

    def open_hold(self, reference: str | None) -> Hold | None:
        """The hold that a reference has; there is at most one that is active or confirmed."""
        name = None if reference is None else self.open_names.get(reference)
        return None if name is None else self.holds[name]

    def last_hold(self, reference: str | None) -> Hold | None:
        """The hold that was made last for a reference, among those that are known."""
        name = None if reference is None else self.last_names.get(reference)
        return None if name is None else self.holds[name]

    def recipes(self, skus: Iterable[SKU], hold: Hold | None) -> dict[SKU, Recipe]:
        """What one of each item is made of; to a hold that has had a kit, always as it was then."""
        if not self.kits:
            return {sku: ((sku, 1),) for sku in skus}
        kits = self.kits if hold is None else {**self.kits, **hold.recipes()}
        return {sku: kits[sku] if sku in self.kits else ((sku, 1),) for sku in skus}

    def know(self, hold: Hold) -> None:
        """Know a hold as it is."""
        row = hold.reservation
        self.holds[row.id] = hold
        if row.reference is None:
            return
        self.last_names[row.reference] = max(row.id, self.last_names.get(row.reference, ""))
        if row.status in ("active", "confirmed"):
            self.open_names[row.reference] = row.id
        elif self.open_names.get(row.reference) == row.id:
            del self.open_names[row.reference]

    def keep(self, hold: Hold) -> None:
        """Know a hold as it has become."""
        self.know(hold)
        self.changed_holds[hold.reservation.id] = hold

    def keep_shipment(self, consignment: Consignment) -> None:
        """Know a shipment as it has become."""
        self.shipments[consignment.shipment.id] = consignment
        self.changed_shipments[consignment.shipment.id] = consignment


class Applied(NamedTuple):
    """A line that is in the ledger now: one change, or two for a transfer."""

    line: Line
    changes: tuple[Change, ...]


class Duplicate(NamedTuple):
    """A line whose `line_id` the ledger knows; it does nothing."""

    line: Line


class Refused(NamedTuple):
    """A line that changes nothing, and why.

    `place` is its index in the command if the results are not one for each line. Of a kit `recipe`
    is what one of it is made of, and `lacks` the components that limit it, at each location that
    would serve it. `own` is the reservation of the caller that it is about, whose end helps nobody.
    `at` is which of a transfer's locations is at fault, if one of them is.
    """

    line: AnyLine
    rejection: Rejection
    place: int | None = None
    recipe: Recipe = ()
    lacks: Mapping[LocationCode, Sequence[SKU]] = MappingProxyType({})
    own: str | None = None
    at: LocationCode | None = None


Result = Applied | Duplicate | Refused


@dataclass(frozen=True, slots=True)
class Decision:
    """One result per line of the command, in its order, and the changes to write.

    `refused` holds for the command as a whole: then nothing is written, and the lines that had no
    fault of their own are `Applied` in judgement only. `rejection` is the whole command's; of a
    reservation's command `hold` is what came of it, of a shipment's `shipment`, of a count's `sheet`,
    and `facts` are told with it.
    """

    results: Sequence[Result]
    changes: Sequence[Change]
    refused: bool = False
    rejection: Rejection | None = None
    hold: Hold | None = None
    sheet: Tallied | None = None
    facts: dict[str, Any] = field(default_factory=dict)  # Any: JSON values
    shipment: Consignment | None = None

    @property
    def version(self) -> int | None:
        """The version of the resource that came of it, if there is one."""
        if self.hold is not None:
            return self.hold.reservation.version
        if self.shipment is not None:
            return self.shipment.shipment.version
        return None if self.sheet is None else self.sheet.sheet.version


def decide(command: Command, snapshot: Snapshot) -> Decision:
    """Judge the lines in order on the running balance and carry the changes over to `snapshot`.

    Lines that are refused do not move the balance, so that the list of refusals is complete. The
    lines of a group are judged together, where the first of them stands.
    """
    if command.mode is Mode.ATOMIC:
        results = _judge_together(command.lines, snapshot)
        if _has_refused(results):
            return Decision(results, (), refused=True)
        return Decision(results, _changes(results))
    judged: dict[int, Result] = {}
    for indexes in _units(command.lines):
        together = _judge_together([command.lines[index] for index in indexes], snapshot)
        judged.update(zip(indexes, _as_group(together, snapshot), strict=True))
    # Changes go into the ledger in the order of judgement, results back in the order of lines.
    changes = _changes(judged.values())
    return Decision([judged[index] for index in range(len(command.lines))], changes)


def _changes(results: Iterable[Result]) -> list[Change]:
    return [change for result in results if type(result) is Applied for change in result[1]]


def _has_refused(results: Iterable[Result]) -> bool:
    return Refused in map(type, results)


def _units(lines: Sequence[Line]) -> Iterable[list[int]]:
    """Indexes of the lines that stand or fall together, by first appearance."""
    units: dict[object, list[int]] = {}
    for index, line in enumerate(lines):
        units.setdefault(index if line.group is None else line.group, []).append(index)
    return units.values()


def _as_group(results: Sequence[Result], snapshot: Snapshot) -> Sequence[Result]:
    """The results of a group: where one line is refused, the others are refused for its sake.

    That holds for a repetition within the group too; what the ledger knew before stays known.
    """
    if not _has_refused(results):
        return results
    sake = Rejection(Code.GROUP_REJECTED, {})
    return [
        result
        if type(result) is Refused or _is_known(result.line, snapshot)
        else Refused(result.line, sake)
        for result in results
    ]


def _is_known(line: AnyLine, snapshot: Snapshot) -> bool:
    return isinstance(line, AdjustLine | SetLine) and line.line_id in snapshot.line_ids


def _judge_together(lines: Sequence[Line], snapshot: Snapshot) -> list[Result]:
    """Judge lines on a draft that replaces the snapshot's levels only if none is refused."""
    draft: dict[Key, Level] = {}
    line_ids: set[str] = set()
    is_clear = not (snapshot.barred_items or snapshot.barred_locations or snapshot.kits)
    results = [_judge(line, draft, line_ids, snapshot, is_clear) for line in lines]
    if not _has_refused(results):
        snapshot.levels.update(draft)
        snapshot.line_ids |= line_ids
    return results


def _judge(
    line: Line,
    draft: dict[Key, Level],
    line_ids: set[str],
    snapshot: Snapshot,
    is_clear: bool,
) -> Result:
    """One line against the running balance: known before, barred, stale, too little.

    A count is a fact, whatever its reason. `is_clear`: nothing bars any line.
    """
    line_id = line.line_id
    if line_id is not None and (line_id in snapshot.line_ids or line_id in line_ids):
        return Duplicate(line)
    if not is_clear and (barred := _bar(line, snapshot)) is not None:
        return barred
    if isinstance(line, TransferLine):
        return _transfer(line, draft, snapshot)
    key = line[:2]
    level = draft.get(key) or snapshot.levels.get(key) or Level(*key)
    reason = line.reason
    if isinstance(line, AdjustLine):
        kind, delta, is_fact = "adjust", line.delta, reason in FACT_REASONS
    else:
        kind, delta, is_fact = "set", line.on_hand - level.on_hand, True
        if line.expected_on_hand not in (None, level.on_hand):
            # He counted something else than he thinks.
            facts = {"expected_on_hand": line.expected_on_hand, "on_hand": level.on_hand}
            return Refused(line, Rejection(Code.STALE_QUANTITY, facts))
    if (refusal := guard(level, delta, is_fact=is_fact)) is not None:
        return Refused(line, refusal)
    draft[key], change = move(level, delta, kind, reason, line_id)
    if line_id is not None:
        line_ids.add(line_id)
    return _new(Applied, (line, (change,)))


def _transfer(line: TransferLine, draft: dict[Key, Level], snapshot: Snapshot) -> Result:
    """Both legs or none: a request at the source, a receipt at the target."""
    if line.source == line.target:
        return Refused(line, Rejection(Code.SAME_LOCATION, {}))
    source = _level((line.sku, line.source), draft, snapshot)
    target = _level((line.sku, line.target), draft, snapshot)
    if (refusal := guard(source, -line.quantity, is_fact=False)) is not None:
        return Refused(line, refusal, at=line.source)
    if (refusal := guard(target, line.quantity, is_fact=False)) is not None:
        return Refused(line, refusal, at=line.target)
    source, out = move(source, -line.quantity, "transfer_out", line.reason, None)
    target, into = move(target, line.quantity, "transfer_in", line.reason, None)
    draft[line.sku, line.source], draft[line.sku, line.target] = source, target
    return Applied(line, (out, into))


def _bar(line: Line, snapshot: Snapshot) -> Refused | None:
    """Why nothing may change there: the item first, then the locations."""
    if (code := snapshot.barred(line.sku)) is not None:
        return Refused(line, Rejection(code, {}))
    places = (line.source, line.target) if isinstance(line, TransferLine) else (line.location,)
    for place in places:
        if (code := snapshot.barred_locations.get(place)) is not None:
            return Refused(line, Rejection(code, {}), at=place)
    return None


def _level(key: Key, draft: dict[Key, Level], snapshot: Snapshot) -> Level:
    return draft.get(key) or snapshot.levels.get(key) or Level(*key)
