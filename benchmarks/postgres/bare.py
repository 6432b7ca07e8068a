"""The floor: asyncpg alone sends the statements of recorded batches again, deciding nothing.

`python -m benchmarks.postgres.bare RECORD_URL REPLAY_URL ITEMS COMMANDS LINES BATCHES`: the service's
committer, without HTTP, books batches of COMMANDS commands of LINES lines each in the first
database, and every statement with its values is written down. Then the same statements with the
same values run on the second database, a copy of what the first was before, on one connection. The
second run is the floor; the first one, with the writing down, is the service without HTTP. Of both the
first batch, for which statements are compiled and prepared, is not counted. It prints one JSON object: lines,
batches, CPU seconds and seconds of both.
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


Spent = dict[str, float]


async def record(
    url: str, *, items: int, commands: int, lines: int, batches: int
) -> tuple[list[Batch], Spent]:
    """The statements of one batch and so many more, as the committer sends them, and its cost.

    The first batch is not in the cost.
    """
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
        spent = await _book(database, items=items, commands=commands, lines=lines, batches=batches)
        event.remove(Engine, "before_cursor_execute", note)
        event.remove(Engine, "commit", end)
    return recorded, spent


async def _book(
    database: Database, *, items: int, commands: int, lines: int, batches: int
) -> Spent:
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
    cpu_s, began = 0.0, 0.0
    for number in range(1 + batches):
        if number == 1:
            cpu_s, began = time.process_time(), time.monotonic()
        # Together in the queue before the committer's task has its turn: one batch.
        asked = [_command(chance.sample(range(1, items + 1), lines)) for _ in range(commands)]
        await asyncio.gather(
            *(committer.submit(one, actor="bare", deadline_s=DEADLINE_S) for one in asked)
        )
    spent = _spent_since(cpu_s, began)
    committer.drain()
    await running
    return spent


def _command(numbers: list[int]) -> Command:
    lines = tuple(
        AdjustLine(SKU(sku_of(number)), LocationCode(LOCATION), -1, "sale") for number in numbers
    )
    return Command(kind="adjust", lines=lines, reason="sale", reference="order:1")


def _spent_since(cpu_s: float, began: float) -> Spent:
    return {"cpu_s": time.process_time() - cpu_s, "seconds": time.monotonic() - began}


async def replay(url: str, batches: list[Batch]) -> Spent:
    """The cost of sending the batches, each in a transaction, one after the other.

    The first one is sent before the clock is started.
    """
    connection = await asyncpg.connect(plain(url))
    prepared = {
        sql: await connection.prepare(sql) for sql in {sql for one in batches for sql, _ in one}
    }
    cpu_s, began = 0.0, 0.0
    for number, batch in enumerate(batches):
        if number == 1:
            cpu_s, began = time.process_time(), time.monotonic()
        async with connection.transaction(isolation="read_committed"):
            for sql, values in batch:
                await prepared[sql].fetch(*values)
    spent = _spent_since(cpu_s, began)
    await connection.close()
    return spent


async def _run() -> Spent:
    recording, replaying = sys.argv[1:3]
    items, commands, lines, batches = map(int, sys.argv[3:])
    recorded, spent = await record(
        recording, items=items, commands=commands, lines=lines, batches=batches
    )
    committer = {"committer_cpu_s": spent["cpu_s"], "committer_s": spent["seconds"]}
    bare = await replay(replaying, recorded)
    return {"batches": batches, "lines": batches * commands * lines, **bare, **committer}


def main() -> None:
    """See the module."""
    sys.stdout.write(json.dumps(uvloop.run(_run())) + "\n")


if __name__ == "__main__":
    main()
