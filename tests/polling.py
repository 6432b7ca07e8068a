"""Waits for what has no event of its own, with a deadline."""

import asyncio
from collections.abc import Callable


async def until(holds: Callable[[], bool], *, deadline_s: float = 30) -> None:
    """Let everybody else run until a condition holds."""
    async with asyncio.timeout(deadline_s):
        while not holds():  # noqa: ASYNC110 - there is no event to wait for
            await asyncio.sleep(0)
