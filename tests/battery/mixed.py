"""Mixed traffic on a few hot goods, every call noted with its times and its answer."""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import count, cycle
from typing import NamedTuple

from inventory_api.store.database import Database
from inventory_api.store.options import DatabaseOptions
from tests.battery.client import JSON, Answer, Connection
from tests.battery.fleet import spread
from tests.battery.holds import told
from tests.ledger_oracle import rows_of

SKUS = tuple(f"HOT-{number}" for number in range(10))
STOCK = 40
VERBS = {
    "adjust": 4,
    "transfer": 2,
    "reserve": 6,
    "declare": 4,
    "confirm": 4,
    "fulfill": 3,
    "release": 4,
    "extend": 1,
    "read": 4,
    "look": 2,
}
CARTS = 40
PAUSE_S = 0.02
# Wall time of the moment 0 of the clock that does not jump.
WALL_S = time.time() - time.monotonic()


class Call(NamedTuple):
    """One call and its answer; a change has a key of its own.

    `asked` has what matters of the request: sku, location, quantity, delta, id, reference.
    Times are seconds of the clock that does not jump. What was asked again lasts from the first
    time it was sent to its answer.
    """

    key: str
    verb: str
    asked: dict[str, JSON]
    sent_at: float
    answered_at: float
    status: int
    body: JSON

    @property
    def code(self) -> str | None:
        """The problem's code; None for a success."""
        code: str | None = None if self.status < 300 else self.body["code"]
        return code

    @property
    def is_change(self) -> bool:
        return self.verb not in ("read", "look")


@dataclass(slots=True)
class Traffic:
    """Clients that trade side by side and share their holds, so that they get in each other's way.

    `holds` are those that anybody was told of; the short ones among them are never extended, so
    that the answer to their making tells when they end. Patient ones ask again for what can't be
    done now or is unknown, under the same key, by turns at each process; `put_off` counts
    what they were told instead of an answer, and `resolved` what has become of the unknown.
    """

    chance: random.Random
    is_patient: bool = False
    calls: list[Call] = field(default_factory=list)
    holds: list[str] = field(default_factory=list)
    long_holds: list[str] = field(default_factory=list)
    keys: Iterator[int] = field(default_factory=count)
    turns: Iterator[int] = field(default_factory=lambda: iter(()))
    put_off: Counter[str] = field(default_factory=Counter)
    resolved: Counter[str] = field(default_factory=Counter)

    async def run(
        self, ports: Sequence[int], *, clients: int, goes_on: Callable[[], bool]
    ) -> list[Call]:
        """The calls of all clients, by the time they were sent."""
        await self._prepare(ports[0])
        self.turns = cycle(ports)

        async def client(port: int) -> None:
            async with Connection(port) as connection:
                while goes_on():
                    await self._one(connection)

        await asyncio.gather(*map(client, spread(ports, clients)))
        return sorted(self.calls, key=lambda call: call.sent_at)

    async def _prepare(self, port: int) -> None:
        async with Connection(port) as connection:
            place = {"code": "annex", "kind": "warehouse", "sellable": False}
            assert (await connection.post("/v1/locations", place)).status == 201
            for sku in SKUS:
                answer = await connection.post("/v1/items", {"sku": sku, "name": sku})
                assert answer.status == 201, answer
                asked = {"sku": sku, "location": "main", "delta": STOCK}
                await self._send(connection, "adjust", asked)

    async def _one(self, connection: Connection) -> None:
        (verb,) = self.chance.choices(list(VERBS), list(VERBS.values()))
        await self._send(connection, verb, self._asked(verb))

    def _asked(self, verb: str) -> dict[str, JSON]:
        chance, sku = self.chance, self.chance.choice(SKUS)
        match verb:
            case "adjust":
                delta = chance.choice((-1, 1)) * chance.randint(1, 9)
                return {"sku": sku, "location": "main", "delta": delta}
            case "transfer":
                ends = chance.choice((("main", "annex"), ("annex", "main")))
                return {"sku": sku, "location": ends[0], "to": ends[1], "quantity": 2}
            case "reserve":
                # A hold that ends soon is not named: its name would be free again.
                ttl_s = chance.choice((1, 600, 600, 600))
                return {"sku": sku, "location": "main", "quantity": chance.randint(1, 6)} | {
                    "ttl_s": ttl_s
                }
            case "declare":
                number = chance.randrange(CARTS)
                at = {"sku": SKUS[number % len(SKUS)], "location": "main"}
                return {**at, "quantity": chance.randint(1, 6), "reference": f"cart:{number}"}
            case "read":
                return {"sku": sku, "location": chance.choice(("main", "main", "annex"))}
            case _:
                holds = self.long_holds if verb == "extend" else self.holds
                return {"id": chance.choice(holds[-200:]) if holds else "none"}

    async def _send(self, connection: Connection, verb: str, asked: dict[str, JSON]) -> None:
        key = f"mixed-{next(self.keys)}"
        sent_at = time.monotonic()
        answer = await self._answer(connection, verb, asked, key)
        call = Call(key, verb, asked, sent_at, time.monotonic(), answer.status, answer.json())
        self.calls.append(call)
        assert answer.status < 500, (told(answer), call)
        if verb in ("reserve", "declare") and answer.status == 201:
            self.holds.append(call.body["id"])
            if asked.get("ttl_s") != 1:
                self.long_holds.append(call.body["id"])

    async def _answer(
        self, connection: Connection, verb: str, asked: dict[str, JSON], key: str
    ) -> Answer:
        answer = await _sent(connection, verb, asked, key)
        is_known = True
        while self.is_patient and answer.status in (503, 504):
            self.put_off[told(answer)] += 1
            is_known = is_known and answer.json()["applied"] == "no"
            # A server hangs up on whom it has not heard for seconds.
            connection.close()
            await asyncio.sleep(PAUSE_S)
            async with Connection(next(self.turns)) as other:
                answer = await _sent(other, verb, asked, key)
        if not is_known:
            self.resolved["done" if "idempotent-replayed" in answer.headers else "not done"] += 1
        return answer


async def _sent(connection: Connection, verb: str, asked: dict[str, JSON], key: str) -> Answer:
    line = {name: asked[name] for name in ("sku", "location") if name in asked}
    match verb:
        case "adjust":
            return await connection.post(
                "/v1/stock/adjust", {"lines": [{**line, "delta": asked["delta"]}]}, key=key
            )
        case "transfer":
            ends = {"from": asked["location"], "to": asked["to"], "quantity": asked["quantity"]}
            body: JSON = {"lines": [{"sku": asked["sku"], **ends}]}
            return await connection.post("/v1/stock/transfer", body, key=key)
        case "reserve":
            body = {"lines": [{**line, "quantity": asked["quantity"]}], "ttl_s": asked["ttl_s"]}
            return await connection.post("/v1/reservations", body, key=key)
        case "declare":
            body = {"lines": [{**line, "quantity": asked["quantity"]}]}
            path = f"/v1/reservations/by-reference/{asked['reference']}"
            return await connection.send_json("PUT", path, body, key=key)
        case "read":
            return await connection.get(f"/v1/stock/{asked['sku']}/{asked['location']}")
        case "look":
            return await connection.get(f"/v1/reservations/{asked['id']}")
        case _:
            return await connection.post(f"/v1/reservations/{asked['id']}/{verb}", {}, key=key)


def lasting(seconds: float) -> Callable[[], bool]:
    """Whether so many seconds are not over yet, from the first time that is asked."""
    ends_at: list[float] = []

    def goes_on() -> bool:
        now = time.monotonic()
        if not ends_at:
            ends_at.append(now + seconds)
        return now < ends_at[0]

    return goes_on


async def keys_of(url: str) -> dict[str, str]:
    """Under which key each operation of a database was asked for, by its id."""
    async with Database(DatabaseOptions(url=url, read_only=True)) as database:
        rows = await rows_of(database, "SELECT id, key FROM operation WHERE key IS NOT NULL")
    return {row["id"]: row["key"] for row in rows}


def ends_at(hold: JSON) -> float:
    """When a hold ends, by the clock of the calls."""
    return datetime.fromisoformat(hold["expires_at"]).timestamp() - WALL_S
