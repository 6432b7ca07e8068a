"""Reads that arrive together share one query."""

import asyncio
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager

from inventory_api.shared_reads import SharedReads
from tests.polling import until


class Shelf:
    """A store that counts its queries and answers when it is told to."""

    def __init__(self) -> None:
        self.values: dict[str, int] = {"a": 1, "b": 2}
        self.queries: list[set[str]] = []
        self.failures: list[Exception] = []
        self.open = asyncio.Event()
        self.open.set()

    async def fetch(self, keys: Collection[str]) -> dict[str, int]:
        self.queries.append(set(keys))
        found = {key: self.values[key] for key in keys if key in self.values}
        await self.open.wait()
        if self.failures:
            raise self.failures.pop()
        return found


@asynccontextmanager
async def reading(shelf: Shelf, served: list[int]) -> AsyncIterator[SharedReads[str, int]]:
    reads = SharedReads(shelf.fetch, served.append)
    task = asyncio.create_task(reads.run())
    try:
        yield reads
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def begun(shelf: Shelf, queries: int) -> None:
    """Return when so many queries have begun."""
    await until(lambda: len(shelf.queries) >= queries)


async def test_a_single_read_is_one_query_at_once() -> None:
    shelf, served = Shelf(), list[int]()
    async with reading(shelf, served) as reads:
        assert await reads.read("a") == 1

    assert (shelf.queries, served) == ([{"a"}], [1])


async def test_what_is_not_there_is_none() -> None:
    async with reading(Shelf(), []) as reads:
        assert await reads.read("z") is None


async def test_reads_that_come_together_are_one_query() -> None:
    shelf, served = Shelf(), list[int]()
    async with reading(shelf, served) as reads:
        found = await asyncio.gather(*[reads.read(key) for key in "abab" * 25])

    assert found == [1, 2, 1, 2] * 25
    assert (shelf.queries, served) == ([{"a", "b"}], [100])


async def test_reads_that_come_during_a_query_share_the_next_one() -> None:
    shelf, served = Shelf(), list[int]()
    async with reading(shelf, served) as reads:
        shelf.open.clear()
        first = asyncio.create_task(reads.read("a"))
        await begun(shelf, 1)
        later = [asyncio.create_task(reads.read(key)) for key in "aaabbb"]
        await asyncio.sleep(0)
        shelf.open.set()
        await asyncio.gather(first, *later)

    assert (shelf.queries, served) == ([{"a"}, {"a", "b"}], [1, 6])


async def test_a_read_that_comes_after_a_write_does_not_see_a_query_from_before_it() -> None:
    shelf = Shelf()
    async with reading(shelf, []) as reads:
        shelf.open.clear()
        before = asyncio.create_task(reads.read("a"))
        await begun(shelf, 1)
        shelf.values["a"] = 99
        after = asyncio.create_task(reads.read("a"))
        await asyncio.sleep(0)
        shelf.open.set()

        assert (await before, await after) == (1, 99)


async def test_a_reader_that_leaves_does_not_touch_the_others() -> None:
    shelf = Shelf()
    async with reading(shelf, []) as reads:
        shelf.open.clear()
        tasks = [asyncio.create_task(reads.read("a")) for _ in range(3)]
        await begun(shelf, 1)
        tasks[1].cancel()
        shelf.open.set()
        found = await asyncio.gather(*tasks, return_exceptions=True)

    assert (found[0], found[2]) == (1, 1)
    assert isinstance(found[1], asyncio.CancelledError)


async def test_readers_that_left_before_their_turn_are_not_read_for() -> None:
    shelf = Shelf()
    async with reading(shelf, []) as reads:
        shelf.open.clear()
        first = asyncio.create_task(reads.read("a"))
        await begun(shelf, 1)
        leaving = asyncio.create_task(reads.read("b"))
        await asyncio.sleep(0)
        leaving.cancel()
        await asyncio.gather(leaving, return_exceptions=True)
        shelf.open.set()
        await first
        assert await reads.read("a") == 1

    assert shelf.queries == [{"a"}, {"a"}]


async def test_an_error_reaches_every_reader_of_the_query_and_no_later_one() -> None:
    shelf = Shelf()
    shelf.failures = [ValueError("broken")]
    async with reading(shelf, []) as reads:
        found = await asyncio.gather(*[reads.read("a") for _ in range(3)], return_exceptions=True)

        assert [str(one) for one in found] == ["broken"] * 3
        assert await reads.read("a") == 1


async def test_no_reader_waits_for_ever_for_reads_that_have_stopped() -> None:
    shelf = Shelf()
    async with reading(shelf, []) as reads:
        shelf.open.clear()
        asked = asyncio.create_task(reads.read("a"))
        await begun(shelf, 1)
        waiting = asyncio.create_task(reads.read("b"))
        await asyncio.sleep(0)

    _, pending = await asyncio.wait([asked, waiting], timeout=1)
    assert not pending
