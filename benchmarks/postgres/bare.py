"""The floor: asyncpg alone sends the statements of recorded batches again, deciding nothing.

`python -m benchmarks.postgres.bare RECORD_URL REPLAY_URL ITEMS COMMANDS LINES BATCHES`: the service's
committer, without HTTP, books batches of COMMANDS commands of LINES lines each in the first
database, and every statement with its values is written down. Then the same statements with the
same values run on the second database, a copy of what the first was before, on one connection. The
second run is the floor; the first one, with the start of its connection and the writing down, is the
service without HTTP. It prints one JSON object: lines, batches, CPU seconds and seconds of both.
"""

import asyncio
import json
import random
import sys
import time
from typing import Any

import asyncpg
import uvloop
from sqlalchemy import Engine, event

from benchmarks.postgres.seed import plain
from benchmarks.seed import LOCATION, sku_of
from inventory_api import clock
from inventory_api.attempt import Limits
from inventory_api.committer import Committer
from inventory_api.domain.commands import AdjustLine, Command
from inventory_api.domain.types import SKU, LocationCode
from inventory_api.store.database import Database
from inventory_api.store.options import DatabaseOptions
from inventory_api.telemetry import Metrics

DEADLINE_S = 60.0

Statement = tuple[str, tuple[Any, ...]]  # Any: what the driver takes
Batch = list[Statement]


async def record(url: str, *, items: int, commands: int, lines: int, batches: int) -> list[Batch]:
    """The statements of so many batches, with their values, as the service's committer sends them."""
    recorded: list[Batch] = []
    current: Batch = []

    def note(_c: object, _k: object, sql: str, values: tuple[Any, ...], *_: object) -> None:
        current.append((sql, values))

    def end(_: object) -> None:
        if any("ledger_head" in sql for sql, _ in current):
            recorded.append(list(current))
        current.clear()

    async with Database(DatabaseOptions(url=url)) as database:
        event.listen(Engine, "before_cursor_execute", note)
        event.listen(Engine, "commit", end)
        await _book(database, items=items, commands=commands, lines=lines, batches=batches)
        event.remove(Engine, "before_cursor_execute", note)
        event.remove(Engine, "commit", end)
    return recorded


async def _book(database: Database, *, items: int, commands: int, lines: int, batches: int) -> None:
    committer = Committer(
        database,
        clock=clock.now,
        steady_clock=clock.SteadyClock(),
        new_id=clock.new_id,
        metrics=Metrics(),
        limits=Limits(),
    )
    chance = random.Random(1)  # noqa: S311 - a reproducible draw, not a secret
    running = asyncio.create_task(committer.run())
    for _ in range(batches):
        # Together in the queue before the committer's task has its turn: one batch.
        asked = [_command(chance.sample(range(1, items + 1), lines)) for _ in range(commands)]
        await asyncio.gather(
            *(committer.submit(one, actor="bare", deadline_s=DEADLINE_S) for one in asked)
        )
    committer.drain()
    await running


def _command(numbers: list[int]) -> Command:
    lines = tuple(
        AdjustLine(SKU(sku_of(number)), LocationCode(LOCATION), -1, "sale") for number in numbers
    )
    return Command(kind="adjust", lines=lines, reason="sale", reference="order:1")


async def replay(url: str, batches: list[Batch]) -> dict[str, float]:
    """CPU seconds and seconds of sending the batches, each in a transaction, one after the other."""
    connection = await asyncpg.connect(plain(url))
    prepared = {
        sql: await connection.prepare(sql) for sql in {sql for one in batches for sql, _ in one}
    }
    cpu_s, began = time.process_time(), time.monotonic()
    for batch in batches:
        async with connection.transaction(isolation="read_committed"):
            for sql, values in batch:
                await prepared[sql].fetch(*values)
    spent = {"cpu_s": time.process_time() - cpu_s, "seconds": time.monotonic() - began}
    await connection.close()
    return spent


async def _run() -> dict[str, float]:
    recording, replaying = sys.argv[1:3]
    items, commands, lines, batches = map(int, sys.argv[3:])
    committer_cpu_s, began = time.process_time(), time.monotonic()
    recorded = await record(recording, items=items, commands=commands, lines=lines, batches=batches)
    committer = {
        "committer_cpu_s": time.process_time() - committer_cpu_s,
        "committer_s": time.monotonic() - began,
    }
    spent = await replay(replaying, recorded)
    return {"batches": len(recorded), "lines": batches * commands * lines, **spent, **committer}


def main() -> None:
    """See the module."""
    sys.stdout.write(json.dumps(uvloop.run(_run())) + "\n")


if __name__ == "__main__":
    main()
