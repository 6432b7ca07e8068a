"""How much passes through the ledger's head: connections that do nothing but a batch's tail.

`python -m benchmarks.postgres.head URL SECONDS`. Each connection takes the head, writes movements,
an operation each and levels of its own, commits, and begins again, so that the head is all that
they wait for. A pause between the statement and COMMIT stands for the way to a server elsewhere: once
there and back is all that is under way while the head is held. It prints a JSON list, one object for each number of connections, lines of a batch, and pause.
"""

import asyncio
import json
import sys
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass
from typing import TypedDict

import uvloop

from benchmarks.seed import LOCATION, sku_of
from inventory_api import clock
from inventory_api.domain.ledger import Balance, MovementRow
from inventory_api.domain.types import SKU, Level, LocationCode, Operation
from inventory_api.store.database import Database
from inventory_api.store.options import DatabaseOptions
from inventory_api.store.tail import AT_HEAD, append

LINES = (1, 16, 64, 250)
CONNECTIONS = (1, 2, 4, 8)
ROUND_TRIP_S = 0.0005
"""Between two racks or two zones of a data centre."""
# Above every version that the seed gave.
VERSION = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Passed:
    """What so many connections sent through the head."""

    connections: int
    lines: int
    pause_ms: float
    batches_per_s: float
    lines_per_s: float


class Connection:
    """One writer with levels of its own."""

    def __init__(self, database: Database, number: int, *, lines: int, pause_s: float) -> None:
        self._database = database
        self._skus = [SKU(sku_of(number * lines + one)) for one in range(1, lines + 1)]
        self._pause_s = pause_s
        self.batches = 0

    async def run(self, until: float, versions: "Versions") -> None:
        """Send one tail after the other."""
        while time.monotonic() < until:
            rows = _rows(self._skus, versions.take())
            async with self._database.writer() as session:
                # Each statement is on its way once while the head is held.
                await append(session, clock.now(), **rows)
                await asyncio.sleep(self._pause_s)
                await session.commit()
            self.batches += 1


class Versions:
    """Numbers that no movement has yet."""

    def __init__(self) -> None:
        self._last = VERSION

    def take(self) -> int:
        """The next one."""
        self._last += 1
        return self._last


class Rows(TypedDict):
    """What `append` takes."""

    movements: list[MovementRow]
    operations: list[Operation]
    opened: list[Level]
    balances: list[Balance]


def _rows(skus: Sequence[SKU], version: int) -> Rows:
    """One operation with one movement for each level, as a batch of one-line adjusts has them."""
    place = LocationCode(LOCATION)
    rows = Rows(movements=[], operations=[], opened=[], balances=[])
    for seq, sku in enumerate(skus, 1):
        operation_id, reference = clock.new_id(), f"order:{seq}"
        about = ("adjust", "atomic", "sale", reference, None)
        rows["operations"].append(
            Operation(operation_id, AT_HEAD, "head", None, *about, AT_HEAD, seq, seq, 1, 0)
        )
        heading = (seq, AT_HEAD, operation_id, "head", reference, AT_HEAD)
        rows["movements"].append(
            (*heading, "adjust", sku, LOCATION, version, -1, 0, 0, 0, 1_000, 0, 0, 0, 1_000,
             "sale", 0, None, None, 0)
        )  # fmt: skip
        rows["balances"].append((1_000, 0, 0, 0, version, seq, None, 0, sku, place))
    return rows


async def measure(
    url: str, versions: Versions, *, connections: int, lines: int, pause_s: float, seconds: float
) -> Passed:
    """What passes in so many seconds."""
    async with AsyncExitStack() as exits:
        writers = []
        for number in range(connections):
            options = DatabaseOptions(url=url, reader_connections=1)
            database = await exits.enter_async_context(Database(options))
            writers.append(Connection(database, number, lines=lines, pause_s=pause_s))
        began = time.monotonic()
        await asyncio.gather(*(one.run(began + seconds, versions) for one in writers))
        seconds = time.monotonic() - began
    batches = sum(one.batches for one in writers)
    return Passed(
        connections=connections,
        lines=lines,
        pause_ms=pause_s * 1_000,
        batches_per_s=batches / seconds,
        lines_per_s=batches * lines / seconds,
    )


async def measure_all(url: str, seconds: float) -> list[Passed]:
    """Each size of a batch by four connections, and each number of connections with 64 lines."""
    versions = Versions()
    wanted = [
        *((1, lines, 0.0) for lines in LINES),
        *((4, lines, 0.0) for lines in LINES),
        *((connections, 64, 0.0) for connections in CONNECTIONS if connections not in (1, 4)),
        *((4, lines, ROUND_TRIP_S) for lines in (1, 64, 250)),
    ]
    return [
        await measure(
            url, versions, connections=connections, lines=lines, pause_s=pause_s, seconds=seconds
        )
        for connections, lines, pause_s in wanted
    ]


def main() -> None:
    """See the module."""
    passed = uvloop.run(measure_all(sys.argv[1], float(sys.argv[2])))
    sys.stdout.write(json.dumps([asdict(one) for one in passed]) + "\n")


if __name__ == "__main__":
    main()
