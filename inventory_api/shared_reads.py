"""Reads that arrive together share one query.

While a query runs, the requests for the next one gather by themselves: a single request never
waits for company, and under load a query serves dozens. A request that comes after a query began
is served by the next, so nobody reads a state older than his request.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection
from typing import Generic, TypeVar

from inventory_api.domain.unavailable import Draining

K = TypeVar("K")
V = TypeVar("V")


class SharedReads(Generic[K, V]):
    """One kind of read by key; `run()` is its task.

    Args:
        fetch: reads the values of all keys in one go; a key that is not found may be missing.
        observe: is told how many requests a query served.
    """

    def __init__(
        self,
        fetch: Callable[[Collection[K]], Awaitable[dict[K, V]]],
        observe: Callable[[int], None],
    ) -> None:
        self._fetch = fetch
        self._observe = observe
        self._waiting: list[tuple[K, asyncio.Future[V | None]]] = []
        self._served: list[tuple[K, asyncio.Future[V | None]]] = []
        self._arrival = asyncio.Event()
        self._is_open = True

    async def read(self, key: K) -> V | None:
        """The value of a key, or None if there is none.

        Raises:
            Draining: the task has ended.
        """
        if not self._is_open:
            raise Draining
        future: asyncio.Future[V | None] = asyncio.get_running_loop().create_future()
        self._waiting.append((key, future))
        self._arrival.set()
        return await future

    async def run(self) -> None:
        """Serve reads until cancelled; whoever waits then is told that the service stops."""
        try:
            while True:
                await self._arrival.wait()
                self._arrival.clear()
                self._served, self._waiting = self._waiting, []
                self._served = [one for one in self._served if not one[1].done()]
                if self._served:
                    await self._serve()
        finally:
            self._is_open = False
            for _, future in self._served + self._waiting:
                if not future.done():
                    future.set_exception(Draining())

    async def _serve(self) -> None:
        self._observe(len(self._served))
        try:
            found = await self._fetch({key for key, _ in self._served})
        except Exception as error:  # noqa: BLE001 - each waiter gets it
            for _, future in self._served:
                if not future.done():
                    future.set_exception(error)
            return
        for key, future in self._served:
            if not future.done():
                future.set_result(found.get(key))
