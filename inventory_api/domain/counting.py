"""What becomes of a count's commands, given the stock and the counts as they are."""

from collections.abc import Iterable, Sequence
from typing import Any

from inventory_api.domain.count_sheet import (
    CountedAt,
    CountLine,
    CountSheet,
    OpenCount,
    RecordCount,
    SettleCount,
    Tallied,
    Tally,
    is_hidden,
)
from inventory_api.domain.decide import Decision, Refused, Snapshot
from inventory_api.domain.draft import Stamp
from inventory_api.domain.rejections import Code, Rejection
from inventory_api.domain.stock import Change, guard, move
from inventory_api.domain.types import Key, Level


def count(
    command: OpenCount | RecordCount | SettleCount, snapshot: Snapshot, stamp: Stamp
) -> Decision:
    """What becomes of a count's command."""
    match command:
        case OpenCount():
            return open_count(command, snapshot, stamp)
        case RecordCount():
            return record_count(command, snapshot)
        case SettleCount():
            return settle_count(command, snapshot, stamp)


def open_count(command: OpenCount, snapshot: Snapshot, stamp: Stamp) -> Decision:
    """A count whose lines remember the levels as they are now.

    One of a whole location leaves out archived items, which can have no stock.
    """
    if (barred := snapshot.barred_locations.get(command.location)) is not None:
        return _refused(barred, {"location": command.location})
    skus = command.skus or snapshot.counts.skus_at[command.location]
    if len(skus) > command.lines_max:
        return _too_many(command.lines_max)
    refused = [
        Refused(CountedAt(sku, command.location), Rejection(barred, {}), index)
        for index, sku in enumerate(skus)
        if (barred := snapshot.barred(sku)) is not None
    ]
    if command.skus and refused:
        return Decision(refused, (), refused=True)
    sheet = CountSheet(
        stamp.operation_id,
        command.reference,
        command.location,
        "open",
        int(command.blind),
        command.approval_threshold,
        command.note,
        stamp.actor,
        stamp.now,
        version=1,
        line_count=0,
        counted_count=0,
    )
    levels = [
        _level((sku, command.location), snapshot) for sku in skus if snapshot.barred(sku) is None
    ]
    lines = [_new_line(sheet.id, index, level) for index, level in enumerate(levels)]
    snapshot.counts.lines[sheet.id] = {}
    return _kept(sheet._replace(line_count=len(lines)), lines, lines, command, snapshot)


def record_count(command: RecordCount, snapshot: Snapshot) -> Decision:
    """What was counted, all lines or none; an approval is taken back: it was of other numbers."""
    sheet = _sheet(command, snapshot)
    if isinstance(sheet, Decision):
        return sheet
    known = snapshot.counts.lines[sheet.id]
    found = sum(tally.sku not in known for tally in command.lines)
    if found and sheet.line_count + found > command.lines_max:
        return _too_many(command.lines_max)
    recorded, refused = list[CountLine](), list[Refused]()
    line_count, counted_count = sheet.line_count, sheet.counted_count
    for index, tally in enumerate(command.lines):
        line = known.get(tally.sku)
        counted_count += (tally.counted is not None) - (
            line is not None and line.counted is not None
        )
        if line is None:
            level = _level((tally.sku, sheet.location), snapshot)
            line = _new_line(sheet.id, line_count, level)
            line_count += 1
        measured = _measured(line, tally, sheet, snapshot)
        if isinstance(measured, Rejection):
            refused.append(Refused(CountedAt(tally.sku, sheet.location), measured, index))
        else:
            recorded.append(measured)
    if refused:
        return Decision(refused, (), refused=True)
    sheet = sheet._replace(
        status="open",
        approved_by=None,
        version=sheet.version + 1,
        line_count=line_count,
        counted_count=counted_count,
    )
    return _kept(sheet, recorded, recorded, command, snapshot)


def settle_count(command: SettleCount, snapshot: Snapshot, stamp: Stamp) -> Decision:
    """Approve, post or cancel a count that is open."""
    sheet = _sheet(command, snapshot)
    if isinstance(sheet, Decision):
        return sheet
    if command.verb == "post":
        return _post(command, sheet, snapshot, stamp)
    if command.verb == "approve":
        sheet = sheet._replace(status="approved", approved_by=stamp.actor)
    else:
        sheet = sheet._replace(status="cancelled")
    sheet = sheet._replace(version=sheet.version + 1)
    return _kept(sheet, (), snapshot.counts.lines_of(sheet), command, snapshot)


def _post(command: SettleCount, sheet: CountSheet, snapshot: Snapshot, stamp: Stamp) -> Decision:
    """Book each variance onto the level as it is now, so that what happened since survives.

    Lines that can't be booked come first, since there is no use in approving what has to be
    counted again.
    """
    lines = snapshot.counts.lines_of(sheet)
    if not sheet.counted_count:
        return _refused(Code.NOTHING_COUNTED, {"id": sheet.id})
    hidden = is_hidden(sheet, sees_expected=command.sees_expected)
    refused, levels, changes, posted = [], list[Level](), list[Change](), list[CountLine]()
    for line in lines:
        if line.variance is None:
            continue
        level = _level((line.sku, sheet.location), snapshot)
        if (rejection := _unbookable(line, level, snapshot)) is not None:
            refused.append(_told(line, sheet, rejection, hidden=hidden))
            continue
        after, change = move(level, line.variance, "set", command.reason)
        levels.append(after)
        changes.append(change)
        posted.append(line._replace(posted_version=after.version))
    if refused:
        return Decision(refused, (), refused=True)
    if (unapproved := _unapproved(posted, sheet, hidden=hidden)) is not None:
        return unapproved
    snapshot.levels.update(((level.sku, level.location), level) for level in levels)
    sheet = sheet._replace(
        status="posted", version=sheet.version + 1, operation_id=stamp.operation_id
    )
    # Those that it has now: the posted ones replace what they were.
    now = {line.sku: line for line in [*lines, *posted]}
    uncounted = [line.sku for line in lines if line.counted is None]
    decision = _kept(sheet, posted, now.values(), command, snapshot)
    return Decision((), changes, sheet=decision.sheet, facts={"uncounted": uncounted})


def note_sets(changes: Iterable[Change], snapshot: Snapshot) -> None:
    """Let later commands of a batch know which levels were counted by this one."""
    last_sets = snapshot.counts.last_sets
    for change in changes:
        if change.type == "set":
            last_sets[change.sku, change.location] = change.level_version


def _unbookable(line: CountLine, level: Level, snapshot: Snapshot) -> Rejection | None:
    """Why a variance can't be booked: nothing may change there, counted since, not enough left.

    Two counts of one level were measured against the same books: booking both would book what is
    missing twice, and which of them is right only a third one can tell.
    """
    barred = snapshot.barred(line.sku) or snapshot.barred_locations.get(level.location)
    if barred is not None:
        return Rejection(barred, {})
    if snapshot.counts.last_sets.get((line.sku, level.location), 0) > line.level_version:
        facts = {"expected_on_hand": line.expected, "on_hand": level.on_hand}
        return Rejection(Code.STALE_QUANTITY, facts | {"level_version": level.version})
    assert line.variance is not None
    return guard(level, line.variance, is_fact=True)


def _unapproved(lines: Sequence[CountLine], sheet: CountSheet, *, hidden: bool) -> Decision | None:
    """The refusal that names the lines whose variance somebody else has to look at first."""
    limit = sheet.approval_threshold
    if limit is None or sheet.status == "approved":
        return None
    refused = [
        _told(line, sheet, Rejection(Code.APPROVAL_REQUIRED, {"variance": variance}), hidden=hidden)
        for line in lines
        if (variance := line.variance) is not None and abs(variance) > limit
    ]
    if not refused:
        return None
    facts = {"id": sheet.id, "approval_threshold": limit}
    whole = Rejection(Code.APPROVAL_REQUIRED, facts)
    return Decision(refused, (), refused=True, rejection=whole)


def _told(line: CountLine, sheet: CountSheet, rejection: Rejection, *, hidden: bool) -> Refused:
    """A refused line; a blind count keeps what would tell the number on hand."""
    shown = ("level_version",) if hidden else rejection.facts
    facts = {name: value for name, value in rejection.facts.items() if name in shown}
    return Refused(CountedAt(line.sku, sheet.location), Rejection(rejection.code, facts), line.line)


def _sheet(command: RecordCount | SettleCount, snapshot: Snapshot) -> CountSheet | Decision:
    """The open count that a command is about, or why it can't be had."""
    sheet = snapshot.counts.sheets.get(command.id)
    if sheet is None or not (command.visible is None or sheet.location in command.visible):
        return _refused(Code.UNKNOWN_ID, {})
    if command.if_match is not None and str(sheet.version) not in command.if_match:
        return _refused(Code.VERSION_MISMATCH, {"current_version": sheet.version})
    if not sheet.is_open:
        return _refused(Code.COUNT_NOT_OPEN, {"id": sheet.id, "state": sheet.status})
    return sheet


def _measured(
    line: CountLine, tally: Tally, sheet: CountSheet, snapshot: Snapshot
) -> CountLine | Rejection:
    """The line with what was counted, against what was on hand at the version that was seen.

    What is on the count can always be taken back, whatever has become of its item.
    """
    version, expected = line.opened_version, line.opened_on_hand
    if tally.counted is None and tally.sku in snapshot.counts.lines[sheet.id]:
        return line._replace(level_version=version, expected=expected, counted=None)
    if (barred := snapshot.barred(tally.sku)) is not None:
        return Rejection(barred, {})
    if tally.level_version is not None:
        version = tally.level_version
        seen = _on_hand_at(version, (tally.sku, sheet.location), snapshot)
        if seen is None:
            current = _level((tally.sku, sheet.location), snapshot).version
            return Rejection(Code.UNKNOWN_VERSION, {"level_version": current})
        expected = seen
    return line._replace(level_version=version, expected=expected, counted=tally.counted)


def _on_hand_at(version: int, key: Key, snapshot: Snapshot) -> int | None:
    """Nothing was there before the first movement; None: there has been no such version yet."""
    level = _level(key, snapshot)
    if version == level.version:
        return level.on_hand
    return 0 if version == 0 else snapshot.counts.on_hand_at.get((version, *key))


def _new_line(count_id: str, index: int, level: Level) -> CountLine:
    seen = (level.version, level.on_hand)
    return CountLine(count_id, level.sku, index, *seen, *seen)


def _kept(
    sheet: CountSheet,
    changed: Iterable[CountLine],
    shown: Iterable[CountLine],
    command: OpenCount | RecordCount | SettleCount,
    snapshot: Snapshot,
) -> Decision:
    """The decision, carried over to the snapshot."""
    snapshot.counts.keep(sheet, changed)
    return Decision((), (), sheet=Tallied(sheet, tuple(shown), command.sees_expected))


def _level(key: Key, snapshot: Snapshot) -> Level:
    return snapshot.levels.get(key) or Level(*key)


def _too_many(lines_max: int) -> Decision:
    return _refused(Code.TOO_MANY_LINES, {"maximum": lines_max})


def _refused(code: Code, facts: dict[str, Any]) -> Decision:  # Any: JSON values
    return Decision((), (), refused=True, rejection=Rejection(code, facts))
