"""The rows and answers of a batch, once its place in the ledger is known."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from inventory_api.domain.commands import Command, TransferLine
from inventory_api.domain.decide import Applied, Decision, Duplicate, Refused, Result
from inventory_api.domain.rejections import Code
from inventory_api.domain.stock import Change
from inventory_api.domain.types import Instant, Key, Level, Movement, Operation

Answer = dict[str, Any]  # Any: JSON values


@dataclass(frozen=True, slots=True)
class Decided:
    """A command, who asked, and what was decided; `key` is the idempotency key if there is one."""

    command: Command
    decision: Decision
    operation_id: str
    actor: str
    key: str | None


@dataclass(slots=True)
class Pages:
    """What a batch writes, in the order of the columns of each table."""

    movements: list[Movement] = field(default_factory=list)
    operations: list[Operation] = field(default_factory=list)
    touched: dict[Key, int] = field(default_factory=dict)

    def levels(self, levels: dict[Key, Level]) -> list[Level]:
        """The levels that have changed, each with the number of its last movement."""
        return [
            Level._make((*levels[key][:7], seq, *levels[key][8:]))
            for key, seq in sorted(self.touched.items())
        ]


def write(decided: Sequence[Decided], *, first_seq: int, recorded_at: Instant) -> Pages:
    """Number the changes of a batch, from `first_seq` without a gap."""
    pages = Pages()
    seq = first_seq - 1
    for one in decided:
        changes = one.decision.changes
        if not changes:
            continue
        command = one.command
        occurred_at = recorded_at if command.occurred_at is None else command.occurred_at
        head = (recorded_at, one.operation_id, one.actor, command.reference, occurred_at)
        first = seq + 1
        for change in changes:
            seq += 1
            pages.movements.append(Movement._make((seq, *head, *change)))
            pages.touched[change.sku, change.location] = seq
        pages.operations.append(_operation(one, recorded_at, occurred_at, first, seq))
    return pages


def _operation(
    one: Decided, recorded_at: Instant, occurred_at: Instant, first: int, last: int
) -> Operation:
    command = one.command
    applied, rejected = _counts(one.decision)
    return Operation(
        one.operation_id,
        recorded_at,
        one.actor,
        one.key,
        command.kind,
        command.mode.value,
        command.reason,
        command.reference,
        command.note,
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
    applied, rejected = _counts(one.decision)
    # Groups are judged, and so numbered, where their first line stands.
    seqs = {id(change): first_seq + place for place, change in enumerate(one.decision.changes)}
    results = [
        _line(index, result, seqs.get(id(result.changes[0]), 0) if type(result) is Applied else 0)
        for index, result in enumerate(one.decision.results)
    ]
    return {
        "operation_id": one.operation_id if one.decision.changes else None,
        "applied": applied,
        "rejected": rejected,
        "results": results,
    }


def refusal(one: Decided) -> tuple[Code, Answer]:
    """Why an atomic command was refused: the first line's code, and every refused line."""
    lines = [
        _line(index, result, 0)
        for index, result in enumerate(one.decision.results)
        if type(result) is Refused
    ]
    first = next(result for result in one.decision.results if type(result) is Refused)
    return first.rejection.code, {"lines": lines}


def _counts(decision: Decision) -> tuple[int, int]:
    kinds = [type(result) for result in decision.results]
    return kinds.count(Applied), kinds.count(Refused)


def _line(index: int, result: Result, seq: int) -> Answer:
    """What became of one line; `seq` is its first movement's number, 0 if nothing is written."""
    line = result.line
    head: Answer = {"index": index, "sku": line.sku}
    if isinstance(line, TransferLine):
        head |= {"from": line.source, "to": line.target}
    else:
        head["location"] = line.location
    if isinstance(result, Refused):
        rejection = result.rejection
        return head | {
            "status": "rejected",
            "error": {"code": rejection.code.value, **rejection.facts},
        }
    if isinstance(result, Duplicate):
        return head | {"status": "duplicate"}
    if len(result.changes) == 1:
        change = result.changes[0]
        head["status"] = "applied"
        head["seq"] = seq or None
        head["delta"] = change.d_on_hand
        head["level"] = level_after(change)
        return head
    return head | {
        "status": "applied",
        "quantity": result.changes[1].d_on_hand,
        "seqs": [seq, seq + 1] if seq else None,
        "levels": [level_after(change) for change in result.changes],
    }


def level_after(change: Change) -> Answer:
    """The level as a change left it."""
    (_, sku, location, version, _, _, _, _, on_hand, reserved, committed, incoming, available) = (
        change[:13]
    )
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
