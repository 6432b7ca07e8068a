"""The audit that ends every scenario: what was answered against what the ledger holds."""

from bisect import bisect_right
from collections import defaultdict
from typing import Any

from inventory_api.store.database import Database
from inventory_api.store.options import DatabaseOptions
from tests.battery.client import Connection
from tests.battery.history import Attempt, History
from tests.ledger_oracle import Row, assert_sound, rows_of
from tests.server import Serving

LevelKey = tuple[str, str]
Window = tuple[int, int]


async def audit(server: Serving, history: History | None = None) -> list[Row]:
    """Raise unless the running server's books balance and agree with all answers; the movements.

    Nothing may be in flight. Without a history only the books are looked at.
    """
    await assert_verified(server)
    return await audit_database(server.database_url, history)


async def assert_verified(server: Serving) -> None:
    """The service's own verification finds nothing."""
    async with Connection(server.ports[0]) as connection:
        answer = await connection.get("/v1/verify")
        assert answer.status == 200, answer
        *findings, end = answer.body.decode().splitlines()
        assert findings == []
        assert '"end":true' in end


async def audit_database(url: str, history: History | None = None) -> list[Row]:
    """The audit of a database, whether it is being served or not."""
    options = DatabaseOptions(url=url, read_only=True)
    async with Database(options) as database:
        movements = await assert_sound(database)
        operations = await rows_of(database, "SELECT * FROM operation WHERE key IS NOT NULL")
    if history is not None:
        _assert_history(history, operations, movements)
    return movements


def _assert_history(history: History, operations: list[Row], movements: list[Row]) -> None:
    by_operation = defaultdict(list)
    for row in movements:
        by_operation[row["operation_id"]].append(row)
    by_key = defaultdict(list)
    for operation in operations:
        by_key[operation["key"]].append(operation)
    tries_by_key = history.by_key()
    assert set(by_key) <= set(tries_by_key), "the ledger has changes nobody asked for"
    for key, tries in tries_by_key.items():
        _assert_change(tries, by_key[key], by_operation)
    _assert_order(history)
    _assert_refusals(history, movements)


def _assert_change(
    tries: list[Attempt], operations: list[Row], by_operation: dict[str, list[Row]]
) -> None:
    """Acknowledged: exactly once, with the numbers of the answer. Refused: never. Else: 0 or 1."""
    assert len(operations) <= 1, ("applied twice", tries)
    successes = [one for one in tries if one.applied == "yes"]
    bodies = {one.answer.body for one in successes if one.answer is not None}
    assert len(bodies) <= 1, ("different answers to one change", bodies)
    if not successes:
        is_refused = all(one.applied == "no" for one in tries)
        assert not (is_refused and operations), ("refused and yet applied", tries)
        return
    applied = [line for line in successes[0].results if line["status"] == "applied"]
    assert bool(operations) == bool(applied), ("acknowledged and missing", tries)
    if operations:
        rows = by_operation[operations[0]["id"]]
        assert {_answered(line) for line in applied} == {_booked(row) for row in rows}, tries


def _answered(line: dict[str, Any]) -> tuple[Any, ...]:  # Any: JSON values
    level = line["level"]
    head = (line["seq"], line["sku"], line["location"], line["delta"])
    return (*head, level["on_hand"], level["available"], level["version"])


def _booked(row: Row) -> tuple[Any, ...]:  # Any: columns
    head = (row["seq"], row["sku"], row["location"], row["d_on_hand"])
    return (*head, row["on_hand"], row["available"], row["level_version"])


def _assert_order(history: History) -> None:
    """What was answered before another change was sent stands before it in the ledger."""
    windows = _Windows(history)
    for attempt, (first, _) in windows.acknowledged:
        after = windows.newest_answered_before(attempt.sent_at)
        assert first > after, f"{attempt} was sent after {after} was answered"


def _assert_refusals(history: History, movements: list[Row]) -> None:
    """A refusal for want of stock tells a number that was true while the request was running."""
    windows = _Windows(history)
    ledger = defaultdict(list)
    for row in movements:
        ledger[row["sku"], row["location"]].append((row["seq"], row["available"]))
    for attempt in history.attempts:
        for line in _shortages(attempt):
            steps = ledger[line["sku"], line["location"]]
            low = windows.newest_answered_before(attempt.sent_at)
            high = windows.oldest_sent_after(attempt.answered_at)
            told = line["error"]["available"]
            assert told in _values(steps, (low, high)), (attempt, low, high)
            assert told < line["error"]["requested"], attempt


def _shortages(attempt: Attempt) -> list[dict[str, Any]]:  # Any: JSON values
    """The refused line of an attempt of one line; with more the balance is a running one."""
    if attempt.answer is None or attempt.code != "insufficient_stock":
        return []
    lines: list[dict[str, Any]] = attempt.answer.json()["lines"]
    is_replay = "idempotent-replayed" in attempt.answer.headers
    return lines if len(attempt.body["lines"]) == 1 and not is_replay else []


def _values(steps: list[tuple[int, int]], window: Window) -> set[int]:
    """What a level had at any moment of a window of the ledger."""
    low, high = window
    start = bisect_right(steps, (low, 1 << 62))
    end = bisect_right(steps, (high, 1 << 62))
    before = steps[start - 1][1] if start else 0
    return {before, *(value for _, value in steps[start:end])}


class _Windows:
    """Which part of the ledger was written while a request was running."""

    def __init__(self, history: History) -> None:
        self.acknowledged: list[tuple[Attempt, Window]] = []
        for attempt in history.attempts:
            seqs = [line["seq"] for line in attempt.results if line["status"] == "applied"]
            is_first = attempt.answer and "idempotent-replayed" not in attempt.answer.headers
            if seqs and is_first:
                self.acknowledged.append((attempt, (min(seqs), max(seqs))))
        by_answer = sorted((one.answered_at, last) for one, (_, last) in self.acknowledged)
        self._answered_at = [at for at, _ in by_answer]
        self._newest = _running_max([last for _, last in by_answer])
        by_sending = sorted(((one.sent_at, first) for one, (first, _) in self.acknowledged))
        self._sent_at = [at for at, _ in by_sending]
        self._oldest = _running_min_from_end([first for _, first in by_sending])

    def newest_answered_before(self, moment: float) -> int:
        """The highest number that had been answered; 0 if none."""
        place = bisect_right(self._answered_at, moment)
        return self._newest[place - 1] if place else 0

    def oldest_sent_after(self, moment: float) -> int:
        """The lowest number that was asked for only later; endless if none."""
        place = bisect_right(self._sent_at, moment)
        return self._oldest[place] if place < len(self._oldest) else 1 << 62


def _running_max(values: list[int]) -> list[int]:
    found: list[int] = []
    for value in values:
        found.append(max(value, found[-1]) if found else value)
    return found


def _running_min_from_end(values: list[int]) -> list[int]:
    found: list[int] = []
    for value in reversed(values):
        found.append(min(value, found[-1]) if found else value)
    return found[::-1]
