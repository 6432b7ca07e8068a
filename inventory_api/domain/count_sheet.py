"""Counts: what the books said when somebody began to count, and what was found."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple

from inventory_api.domain.catalog import rfc3339
from inventory_api.domain.commands import Mode
from inventory_api.domain.types import SKU, Instant, Key, LocationCode

Shown = dict[str, Any]  # Any: JSON values
Tags = frozenset[str] | None
"""Versions that are accepted for a change; None accepts any."""


class CountSheet(NamedTuple):
    """A row of the count_sheet table, in the order of its columns.

    `status` is open, approved, posted or cancelled; `version` counts its changes. A variance of
    more than `approval_threshold` units needs an approval, None: none does; `approved_by` gave it.
    `operation_id` is that of the posting.
    """

    id: str
    reference: str | None
    location: LocationCode
    status: str
    blind: int
    approval_threshold: int | None
    note: str | None
    actor: str
    created_at: Instant
    version: int
    line_count: int
    counted_count: int
    approved_by: str | None = None
    operation_id: str | None = None

    @property
    def is_open(self) -> bool:
        """Whether it may still be recorded, approved, posted and cancelled."""
        return self.status in ("open", "approved")

    @property
    def booked_as(self) -> str:
        """The reference of its movements."""
        return f"count:{self.id}" if self.reference is None else self.reference


class CountLine(NamedTuple):
    """A row of the count_line table, in the order of its columns.

    `opened_version` is the level's when the line was made and `opened_on_hand` what it had then;
    `level_version` is the one that `counted` is measured against, and `expected` what the ledger
    says was on hand at it. `posted_version` is the level's after the posting.
    """

    count_id: str
    sku: SKU
    line: int
    opened_version: int
    opened_on_hand: int
    level_version: int
    expected: int
    counted: int | None = None
    posted_version: int | None = None

    @property
    def variance(self) -> int | None:
        """Units found more than expected; None while nothing is counted."""
        return None if self.counted is None else self.counted - self.expected


class CountedAt(NamedTuple):
    """The level that a line of a count is about."""

    sku: SKU
    location: LocationCode


class Tally(NamedTuple):
    """What was counted of an item, None takes it back.

    `level_version` is the one that the counter saw; None: the one that the line saw.
    """

    sku: SKU
    counted: int | None
    level_version: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenCount:
    """Begin to count some items of a location, or without `skus` everything that is there.

    Attributes:
        lines_max: more levels than these are too many for one count.
        sees_expected: whether a blind count shows the caller what it expects.
    """

    location: LocationCode
    skus: tuple[SKU, ...] = ()
    blind: bool = False
    approval_threshold: int | None = None
    reference: str | None = None
    note: str | None = None
    lines_max: int
    sees_expected: bool = True
    visible: frozenset[str] | None = None
    kind: ClassVar[str] = "count"
    reason: ClassVar[str] = "cycle_count"
    mode: ClassVar[Mode] = Mode.ATOMIC
    occurred_at: ClassVar[None] = None
    dry_run: ClassVar[bool] = False

    @property
    def lines(self) -> Sequence[object]:
        """As many as it may have, which is what a batch has room for."""
        return self.skus or range(self.lines_max)


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordCount:
    """Write down what was counted; an item that is not on the count gets a line.

    Attributes:
        if_match: versions of the count that the caller accepts.
        lines_max, sees_expected: as of `OpenCount`.
    """

    id: str
    lines: tuple[Tally, ...]
    if_match: Tags = None
    lines_max: int
    sees_expected: bool = True
    visible: frozenset[str] | None = None
    kind: ClassVar[str] = "count"
    reason: ClassVar[str] = "cycle_count"
    mode: ClassVar[Mode] = Mode.ATOMIC
    reference: ClassVar[None] = None
    note: ClassVar[None] = None
    occurred_at: ClassVar[None] = None
    dry_run: ClassVar[bool] = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SettleCount:
    """Approve, post or cancel (`verb`) a count; the rest as of `RecordCount`."""

    verb: str
    id: str
    if_match: Tags = None
    lines_max: int
    sees_expected: bool = True
    visible: frozenset[str] | None = None
    kind: ClassVar[str] = "count"
    reason: ClassVar[str] = "cycle_count"
    mode: ClassVar[Mode] = Mode.ATOMIC
    reference: ClassVar[None] = None
    note: ClassVar[None] = None
    occurred_at: ClassVar[None] = None
    dry_run: ClassVar[bool] = False

    @property
    def lines(self) -> Sequence[object]:
        """As of `OpenCount`."""
        return range(self.lines_max)


Step = tuple[int, SKU, LocationCode]
"""A version of a level."""


@dataclass(slots=True)
class Counts:
    """The counts that a batch names, as they are after the commands decided so far.

    Attributes:
        sheets: by id.
        lines: of each count all, or those of the items that the batch records.
        skus_at: the items of locations that are to be counted whole, at most one more than may be.
        named: the levels of all of them.
        on_hand_at: what levels had at the versions that the batch names, if there are such.
        last_sets: the version of the last `set` of each level that may be posted to, or 0.
        changed_sheets, changed_lines: what has to be written.
    """

    sheets: dict[str, CountSheet] = field(default_factory=dict)
    lines: dict[str, dict[SKU, CountLine]] = field(default_factory=dict)
    skus_at: dict[LocationCode, list[SKU]] = field(default_factory=dict)
    named: set[Key] = field(default_factory=set)
    on_hand_at: dict[Step, int] = field(default_factory=dict)
    last_sets: dict[Key, int] = field(default_factory=dict)
    changed_sheets: set[str] = field(default_factory=set)
    changed_lines: set[tuple[str, SKU]] = field(default_factory=set)

    def keys_of(self, count_id: str) -> set[Key]:
        """The levels of a count's known lines."""
        if (sheet := self.sheets.get(count_id)) is None:
            return set()
        return {(sku, sheet.location) for sku in self.lines[count_id]}

    def keep(self, sheet: CountSheet, lines: Iterable[CountLine] = ()) -> None:
        """Know a count and some of its lines as they have become."""
        self.sheets[sheet.id] = sheet
        self.changed_sheets.add(sheet.id)
        for line in lines:
            self.lines[sheet.id][line.sku] = line
            self.changed_lines.add((sheet.id, line.sku))

    def lines_of(self, sheet: CountSheet) -> list[CountLine]:
        """The known lines of a count, in their order."""
        return sorted(self.lines[sheet.id].values(), key=lambda line: line.line)


class Tallied(NamedTuple):
    """A count and some or all of its lines, and whether its reader may know what it expects."""

    sheet: CountSheet
    lines: tuple[CountLine, ...]
    sees_expected: bool


def is_hidden(sheet: CountSheet, *, sees_expected: bool) -> bool:
    """Whether a count keeps to itself what it expects: a blind one does until it is posted.

    A cancelled one does too, or cancelling would be a way to look before one counts again.
    """
    return bool(sheet.blind) and sheet.status != "posted" and not sees_expected


def show_sheet(sheet: CountSheet) -> Shown:
    """The shape of a count in lists."""
    return {
        "id": sheet.id,
        "reference": sheet.reference,
        "location": sheet.location,
        "status": sheet.status,
        "blind": bool(sheet.blind),
        "approval_threshold": sheet.approval_threshold,
        "note": sheet.note,
        "actor": sheet.actor,
        "created_at": rfc3339(sheet.created_at),
        "version": sheet.version,
        "line_count": sheet.line_count,
        "counted_count": sheet.counted_count,
        "approved_by": sheet.approved_by,
        "operation_id": sheet.operation_id,
    }


def show_tallied(told: Tallied) -> Shown:
    """The shape of a count with lines in answers."""
    hidden = is_hidden(told.sheet, sees_expected=told.sees_expected)
    return {
        **show_sheet(told.sheet),
        "lines": [show_line(line, hidden=hidden) for line in told.lines],
    }


def show_line(line: CountLine, *, hidden: bool) -> Shown:
    """The shape of a line of a count."""
    return {
        "index": line.line,
        "sku": line.sku,
        "level_version": line.level_version,
        "expected": None if hidden else line.expected,
        "counted": line.counted,
        "variance": None if hidden else line.variance,
    }
