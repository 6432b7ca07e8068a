"""Waits for what has no event of its own, with a deadline."""

import asyncio
from collections.abc import Awaitable, Callable


async def until(holds: Callable[[], bool], *, deadline_s: float = 30) -> None:
    """Let everybody else run until a condition holds."""
    async with asyncio.timeout(deadline_s):
        while not holds():  # noqa: ASYNC110 - there is no event to wait for
            await asyncio.sleep(0)


async def until_told(ask: Callable[[], Awaitable[bool]], deadline_s: float = 60) -> None:
    """Ask again and again until the answer is yes; fails if it never is."""
    async with asyncio.timeout(deadline_s):
        while not await ask():  # noqa: ASYNC110 - nobody tells when another process is done
            await asyncio.sleep(0.005)
