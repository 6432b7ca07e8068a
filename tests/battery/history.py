"""What was asked for and what was answered: one half of every audit, the ledger is the other."""

import json
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from typing import Literal

from tests.battery.client import JSON, Answer, Connection, request_bytes

Applied = Literal["yes", "no", "unknown"]
Line = dict[str, JSON]


@dataclass(slots=True, eq=False)
class Attempt:
    """One request for a change; without an answer its outcome is unknown."""

    key: str
    path: str
    body: dict[str, JSON]
    sent_at: float
    answered_at: float = float("inf")
    answer: Answer | None = None

    @property
    def status(self) -> int | None:
        return None if self.answer is None else self.answer.status

    @property
    def code(self) -> str | None:
        """The problem's code; None for a success and for no answer."""
        if self.answer is None or self.answer.status < 300:
            return None
        code: str = self.answer.json()["code"]
        return code

    @property
    def applied(self) -> Applied:
        """What the answer says has become of the change."""
        if self.answer is None:
            return "unknown"
        if self.answer.status < 300:
            return "yes"
        applied: Applied = self.answer.json()["applied"]
        return applied

    @property
    def results(self) -> list[Line]:
        """The lines of the answer to a success."""
        if self.answer is None or self.applied != "yes":
            return []
        results: list[Line] = self.answer.json()["results"]
        return results


class History:
    """Every change that was asked for under a key of its own, in the order of asking."""

    def __init__(self, name: str = "h") -> None:
        self.attempts: list[Attempt] = []
        self._keys = (f"{name}-{number}" for number in count(1))

    async def adjust(
        self, connection: Connection, lines: Sequence[Line], *, mode: str = "atomic"
    ) -> Attempt:
        """Have lines adjusted; a connection that breaks leaves the attempt without an answer."""
        attempt = self.begin("adjust", lines, mode=mode)
        await self.run(connection, attempt)
        return attempt

    async def set(self, connection: Connection, sku: str, on_hand: int) -> Attempt:
        """Have a level counted, whatever it was."""
        attempt = self.begin("set", [{"sku": sku, "on_hand": on_hand, "expected_on_hand": None}])
        await self.run(connection, attempt)
        assert attempt.applied == "yes", attempt
        return attempt

    async def retry(self, connection: Connection, attempt: Attempt) -> Attempt:
        """Ask again, under the same key."""
        again = Attempt(attempt.key, attempt.path, attempt.body, time.monotonic())
        self.attempts.append(again)
        await self.run(connection, again)
        return again

    async def run(self, connection: Connection, attempt: Attempt) -> None:
        """Send an attempt and keep its answer, if there is one."""
        try:
            answer = await connection.post(attempt.path, attempt.body, key=attempt.key)
        except ConnectionError:
            return
        self.end(attempt, answer)

    def begin(self, verb: str, lines: Sequence[Line], *, mode: str = "atomic") -> Attempt:
        """Note a change that is going to be sent now."""
        key = next(self._keys)
        body = {"mode": mode, "reference": f"try:{key}", "lines": list(lines)}
        attempt = Attempt(key, f"/v1/stock/{verb}", body, time.monotonic())
        self.attempts.append(attempt)
        return attempt

    def end(self, attempt: Attempt, answer: Answer) -> None:
        """Note an answer."""
        attempt.answer = answer
        attempt.answered_at = time.monotonic()

    def by_key(self) -> dict[str, list[Attempt]]:
        """The attempts of each change."""
        found = defaultdict(list)
        for attempt in self.attempts:
            found[attempt.key].append(attempt)
        return dict(found)

    def unknown(self) -> list[Attempt]:
        """One attempt of each change of which no attempt says what became of it."""
        return [
            tries[0]
            for tries in self.by_key().values()
            if all(one.applied == "unknown" for one in tries)
        ]

    def statuses(self) -> dict[int | None, int]:
        """How many attempts were answered with each status; None counts those without one."""
        found: dict[int | None, int] = defaultdict(int)
        for attempt in self.attempts:
            found[attempt.status] += 1
        return dict(found)


def as_bytes(attempt: Attempt) -> bytes:
    """An attempt as it goes over the wire."""
    headers = {"Idempotency-Key": attempt.key}
    return request_bytes("POST", attempt.path, json.dumps(attempt.body).encode(), headers)
