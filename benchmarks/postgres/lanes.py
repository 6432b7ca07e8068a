"""A prototype of several writers in one process, to find out whether they pay.

`python -m benchmarks.postgres.lanes serve …` is the service with as many lanes as the environment's
`LANES` says: each is a committer with a writing connection of its own, and a command goes to the
lane that its first level's key names. Rows are locked in sorted order as between processes, so that
commands of several keys are right in any lane. What is measured, and why the service has one lane:
docs/decisions.md.
"""

import asyncio
import os
import zlib
from typing import Any

from inventory_api import app, cli
from inventory_api.committer import Committer
from inventory_api.domain.commands import Command
from inventory_api.domain.judge import Asked
from inventory_api.domain.outcome import IdempotencyKey, Outcome
from inventory_api.store.database import Database

LANES = "LANES"


class Lanes(Committer):
    """The service's committer, which is the first lane, with others beside it."""

    def __init__(self, database: Database, **others: Any) -> None:  # Any: the committer's own
        super().__init__(database, **others)
        self._databases = [Database(database.options) for _ in range(int(os.environ[LANES]) - 1)]
        self._others = [Committer(one, **others) for one in self._databases]

    async def run(self) -> None:
        """All lanes, until they are drained."""
        async with asyncio.TaskGroup() as tasks:
            for database, lane in zip(self._databases, self._others, strict=True):
                await database.__aenter__()
                tasks.create_task(lane.run())
            await super().run()
        for database in self._databases:
            await database.__aexit__(None, None, None)

    def drain(self) -> None:
        """Every lane takes nothing more."""
        super().drain()
        for lane in self._others:
            lane.drain()

    async def submit(
        self, command: Asked, *, actor: str, key: IdempotencyKey | None = None, deadline_s: float
    ) -> Outcome:
        """In the lane of the command's first level."""
        if isinstance(command, Command):
            name = min(command.lines).sku
            lane = zlib.crc32(name.encode()) % (len(self._others) + 1)
            if lane:
                return await self._others[lane - 1].submit(
                    command, actor=actor, key=key, deadline_s=deadline_s
                )
        return await super().submit(command, actor=actor, key=key, deadline_s=deadline_s)


def main() -> None:
    """The command line of the service, with lanes."""
    app.Committer = Lanes  # type: ignore[attr-defined]  # a prototype takes its place
    cli.main()


if __name__ == "__main__":
    main()
