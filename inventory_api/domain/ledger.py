"""The rows and answers of a batch, once its place in the ledger is known."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from operator import itemgetter
from typing import Any

from inventory_api.domain.commands import Command, Line, TransferLine
from inventory_api.domain.count_sheet import show_tallied
from inventory_api.domain.decide import Applied, Decision, Duplicate, Refused
from inventory_api.domain.judge import Asked
from inventory_api.domain.rejections import Code
from inventory_api.domain.reservation import show_hold
from inventory_api.domain.shipment import show_shipment
from inventory_api.domain.stock import Change
from inventory_api.domain.types import (
    SKU,
    Instant,
    Key,
    Level,
    LocationCode,
    Operation,
)

Answer = dict[str, Any]  # Any: JSON values
Balance = tuple[int, int, int, int, int, int, Instant | None, int, SKU, LocationCode]
"""On hand, reserved, committed, incoming, version, seq, next expiry and alert of a level, and which one."""
OnHand = tuple[int | SKU | LocationCode, ...]
"""On hand, version and seq of a level whose promises stay as they are, its alert unless the batch is
calm, and which one."""
MovementRow = tuple[int | str | None, ...]
"""The values of a `Movement`, plain: the driver takes twice as long over a named tuple."""
_Head = tuple[Instant, str, str, str | None, Instant]
"""What the movements of an operation have in common: recorded, operation, actor, reference, occurred."""

_line_id = itemgetter(Change._fields.index("line_id"))
_alerts = itemgetter(Change._fields.index("alerts"))


@dataclass(frozen=True, slots=True)
class Decided:
    """A command, who asked, and what was decided; `key` is the idempotency key if there is one."""

    command: Asked
    decision: Decision
    operation_id: str
    actor: str
    key: str | None

    @property
    def reference(self) -> str | None:
        """The outside document: the command's, or that of what it is about."""
        hold, consignment, told = self.decision.hold, self.decision.shipment, self.decision.sheet
        if consignment is not None:
            return consignment.shipment.reference
        if told is not None:
            return told.sheet.booked_as
        return self.command.reference if hold is None else hold.reservation.reference

    @property
    def note(self) -> str | None:
        """What the caller said about it, a count's when it was opened."""
        told = self.decision.sheet
        return self.command.note if told is None else told.sheet.note


@dataclass(slots=True)
class Pages:
    """What a batch writes, in the order of the columns of each table.

    `is_simple`: nothing but on hand changes and no line has an identity, as in nearly all adjusts.
    The movements' rows are then without the columns that such a movement leaves at 0 or NULL: each
    costs the driver a parameter, and a None seven times as much as a number (docs/decisions.md).
    `is_calm`: moreover it crosses nothing and leaves no level low or out, so alerts are left out too.
    """

    is_simple: bool
    is_calm: bool
    movements: list[MovementRow] = field(default_factory=list)
    operations: list[Operation] = field(default_factory=list)
    touched: dict[Key, int] = field(default_factory=dict)

    def opened(self, levels: Mapping[Key, Level], known: Collection[Key]) -> list[Level]:
        """The levels that have come into being, in sorted order."""
        new = sorted(self.touched.keys() - known) if len(levels) > len(known) else ()
        return [levels[key]._replace(seq=self.touched[key]) for key in new]

    def balances(self, levels: Mapping[Key, Level], known: Collection[Key]) -> list[Balance]:
        """What has changed about the levels that were known, in the order in which they were."""
        touched = self.touched
        return [
            (*levels[key][2:7], touched[key], *levels[key][12:14], *key)
            for key in known
            if key in touched
        ]

    def on_hand(self, levels: Mapping[Key, Level], known: Collection[Key]) -> list[OnHand]:
        """As `balances`, of a simple batch, but in the order in which the levels moved."""
        rows = zip(self.touched.items(), map(levels.__getitem__, self.touched), strict=True)
        is_news = len(levels) > len(known)
        if self.is_calm:
            return [
                (level[2], level[6], seq, key[0], key[1])
                for (key, seq), level in rows
                if not is_news or key in known
            ]
        return [
            (level[2], level[6], seq, level[13], key[0], key[1])
            for (key, seq), level in rows
            if not is_news or key in known
        ]


def write(
    decided: Sequence[Decided], *, first_seq: int, recorded_at: Instant, are_whole: bool = False
) -> Pages:
    """Number the changes of a batch, from `first_seq` without a gap.

    `are_whole` asks for whole rows, also of a simple batch.
    """
    is_simple = not are_whole and all(map(_is_simple, decided))
    pages = Pages(is_simple, is_simple and all(map(_is_calm, decided)))
    rows = _calm_rows if pages.is_calm else _simple_rows if is_simple else _rows
    first = first_seq
    for one in decided:
        changes = one.decision.changes
        if not changes:
            continue
        command = one.command
        occurred_at = recorded_at if command.occurred_at is None else command.occurred_at
        head = (recorded_at, one.operation_id, one.actor, one.reference, occurred_at)
        behind = first + len(changes)
        pages.movements += rows(changes, head, first)
        pages.touched.update(
            zip([change[1:3] for change in changes], range(first, behind), strict=True)
        )
        pages.operations.append(_operation(one, recorded_at, occurred_at, first, behind - 1))
        first = behind
    return pages


def _is_simple(one: Decided) -> bool:
    if type(one.command) is not Command:
        return False
    return not any(map(_line_id, one.decision.changes))


def _is_calm(one: Decided) -> bool:
    return not any(map(_alerts, one.decision.changes))


def _rows(changes: Sequence[Change], head: _Head, first: int) -> list[MovementRow]:
    return [(seq, *head, *change) for seq, change in enumerate(changes, first)]


def _simple_rows(changes: Sequence[Change], head: _Head, first: int) -> list[MovementRow]:
    calm = _calm_rows(changes, head, first)
    return [(*row, told) for row, told in zip(calm, map(_alerts, changes), strict=True)]


def _calm_rows(changes: Sequence[Change], head: _Head, first: int) -> list[MovementRow]:
    recorded_at, operation_id, actor, reference, occurred_at = head
    return [
        (
            seq, recorded_at, operation_id, actor, reference, occurred_at, kind, sku, location,
            version, delta, on_hand, reserved, committed, incoming, available, reason, oversold_by,
        )
        for seq, (
            kind, sku, location, version, delta, _, _, _, on_hand, reserved, committed, incoming,
            available, reason, oversold_by, _, _, _,
        ) in enumerate(changes, first)
    ]  # fmt: skip


def _operation(
    one: Decided, recorded_at: Instant, occurred_at: Instant, first: int, last: int
) -> Operation:
    command = one.command
    applied, rejected = _counts(one.decision)
    if not applied:
        # Of a reservation, a shipment or a count: there lines share movements, or have several.
        applied = last - first + 1
    return Operation(
        one.operation_id,
        recorded_at,
        one.actor,
        one.key,
        command.kind,
        command.mode.value,
        command.reason,
        one.reference,
        one.note,
        occurred_at,
        first,
        last,
        applied,
        rejected,
    )


def answer(one: Decided, first_seq: int) -> Answer:
    """The body that answers a command; docs/api.md shows the shape.

    `first_seq` is the number of the command's first movement, 0 if it has none.
    """
    if one.decision.hold is not None:
        return {**show_hold(one.decision.hold), **one.decision.facts}
    if one.decision.sheet is not None:
        return {**show_tallied(one.decision.sheet), **one.decision.facts}
    if one.decision.shipment is not None:
        return show_shipment(one.decision.shipment)
    applied, rejected = _counts(one.decision)
    # Groups are judged, and so numbered, where their first line stands.
    seqs = dict(zip(map(id, one.decision.changes), count(first_seq), strict=False))
    results = [
        _applied(index, result.line, result.changes, seqs)
        if isinstance(result, Applied)
        else _not_applied(index, result)
        for index, result in enumerate(one.decision.results)
    ]
    return {
        "operation_id": one.operation_id if one.decision.changes else None,
        "applied": applied,
        "rejected": rejected,
        "results": results,
    }


def refusal(one: Decided) -> tuple[Code, Answer]:
    """Why a command was refused as a whole: its own or the first line's code, and the lines."""
    lines = [
        _not_applied(index if result.place is None else result.place, result)
        for index, result in enumerate(one.decision.results)
        if type(result) is Refused
    ]
    whole = one.decision.rejection
    if whole is not None:
        return whole.code, {**whole.facts, **({"lines": lines} if lines else {})}
    first = next(result for result in one.decision.results if type(result) is Refused)
    return first.rejection.code, {"lines": lines}


def _counts(decision: Decision) -> tuple[int, int]:
    kinds = [type(result) for result in decision.results]
    return kinds.count(Applied), kinds.count(Refused)


def _applied(index: int, line: Line, changes: Sequence[Change], seqs: Mapping[int, int]) -> Answer:
    """What a line did; `seqs` has no number for what is not written."""
    change = changes[0]
    if type(line) is not TransferLine:
        return {
            "index": index,
            "sku": line[0],
            "location": line[1],
            "status": "applied",
            "seq": seqs.get(id(change)),
            "delta": change[4],
            "level": level_after(change),
        }
    into = changes[1]
    seq = seqs.get(id(change))
    return {
        "index": index,
        "sku": line.sku,
        "from": line.source,
        "to": line.target,
        "status": "applied",
        "quantity": into.d_on_hand,
        "seqs": None if seq is None else [seq, seqs[id(into)]],
        "levels": [level_after(change), level_after(into)],
    }


def _not_applied(index: int, result: Refused | Duplicate) -> Answer:
    """Why a line did nothing."""
    line = result.line
    told: Answer = {"index": index, "sku": line.sku}
    if type(line) is TransferLine:
        told |= {"from": line.source, "to": line.target}
        if type(result) is Refused and result.at is not None:
            told["location"] = result.at
    else:
        told |= {"location": line.location}
    if type(result) is Duplicate:
        return told | {"status": "duplicate"}
    assert type(result) is Refused
    error = {"code": result.rejection.code.value, **result.rejection.facts}
    return told | {"status": "rejected", "error": error}


def level_after(change: Change) -> Answer:
    """The level as a change left it."""
    (
        _, sku, location, version, _, _, _, _, on_hand, reserved, committed, incoming, available,
        _, _, _, _, _,
    ) = change  # fmt: skip
    return {
        "sku": sku,
        "location": location,
        "on_hand": on_hand,
        "reserved": reserved,
        "committed": committed,
        "safety_stock": on_hand - reserved - committed - available,
        "incoming": incoming,
        "available": available,
        "version": version,
    }
