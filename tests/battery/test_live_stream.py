"""Readers of the live stream while the service is killed, restarted and stopped."""

import asyncio
import random
import signal
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, aclosing
from functools import partial

import pytest

from inventory_api.domain.catalog import show_movement
from inventory_api.domain.types import Movement
from tests.battery.client import ANSWER_DEADLINE_S, Connection
from tests.battery.history import History
from tests.battery.load import lines
from tests.battery.oracle import audit
from tests.event_stream import Event, EventReader
from tests.ledger_oracle import Row
from tests.server import ServerProcess

PATH = "/v1/movements/stream"
READERS = 20
CUSTOMERS = 8
STREAMS = 50
STOP_WITHIN_S = 5.0
PAUSE_S = 0.05  # between two attempts to reach a server that is starting


@pytest.fixture
def lively(stopped: ServerProcess) -> ServerProcess:
    """A demo whose streams beat often: a reader that has everything learns it from a heartbeat."""
    stopped.environment["INVENTORY_STREAM_HEARTBEAT_S"] = "0.5"
    stopped.start()
    return stopped


async def test_readers_that_drop_and_a_server_that_is_killed_leave_no_gap_and_no_duplicate(
    lively: ServerProcess, record_property: Callable[[str, object], None]
) -> None:
    await _follow_through_restarts(lively, 300, [signal.SIGKILL], record_property)


@pytest.mark.slow
@pytest.mark.timeout(900)
async def test_the_same_with_5000_changes_and_three_restarts(
    lively: ServerProcess, record_property: Callable[[str, object], None]
) -> None:
    signals = [signal.SIGKILL, signal.SIGTERM, signal.SIGKILL]
    await _follow_through_restarts(lively, 5_000, signals, record_property)


async def _follow_through_restarts(
    server: ServerProcess,
    changes: int,
    signals: Sequence[signal.Signals],
    record_property: Callable[[str, object], None],
) -> None:
    """Let customers trade while the server ends in the middle, again and again."""
    history = History()
    end: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    readers = [Reader(server, random.Random(number), end) for number in range(READERS)]
    reading = [asyncio.create_task(one.follow()) for one in readers]
    trading = asyncio.create_task(_trade(server, history, changes))

    for number, sig in enumerate(signals, 1):
        part = number * changes // (len(signals) + 1)
        await _until(partial(_has_attempts, history, part))
        server.signal(sig)
        await asyncio.to_thread(server.wait)
        await asyncio.to_thread(server.start)
    await trading
    movements = await audit(server, history)
    end.set_result(movements[-1]["seq"])
    await asyncio.gather(*reading)

    ledger = [_shown(row) for row in movements]
    assert [one["seq"] for one in ledger] == list(range(1, len(ledger) + 1))
    for reader in readers:
        assert [event.data for event in reader.seen] == ledger
    record_property("movements", len(ledger))
    record_property("connections of all readers", sum(one.connections for one in readers))


def _has_attempts(history: History, count: int) -> bool:
    return len(history.attempts) >= count


def _shown(row: Row) -> dict[str, object]:
    return show_movement(Movement(**{name: row[name] for name in Movement._fields}))


async def _trade(server: ServerProcess, history: History, count: int) -> None:
    """Make so many changes that are answered, however often the server is gone."""
    left = iter(range(count))
    chance = random.Random(1)

    async def customer() -> None:
        async with Connection(server.port) as connection:
            for _ in left:
                attempt = await history.adjust(connection, lines(chance), mode="independent")
                while attempt.answer is None:
                    await asyncio.sleep(PAUSE_S)
                    attempt = await history.retry(connection, attempt)

    await asyncio.gather(*(customer() for _ in range(CUSTOMERS)))


class Reader:
    """A browser that loses its connection now and then, and comes back with the last id."""

    def __init__(
        self, server: ServerProcess, chance: random.Random, end: "asyncio.Future[int]"
    ) -> None:
        self.seen: list[Event] = []
        self.connections = 0
        self._server = server
        self._chance = chance
        self._end = end
        self._last_id = "0"

    async def follow(self) -> None:
        while not (self._end.done() and int(self._last_id) >= self._end.result()):
            try:
                async with Connection(self._server.port) as connection:
                    await self._read(connection, self._chance.randint(1, 200))
            except ConnectionError:
                await asyncio.sleep(PAUSE_S)

    async def _read(self, connection: Connection, count: int) -> None:
        """Take so many events, and then drop the connection however much is on its way."""
        self.connections += 1
        async with aclosing(events(connection, self._last_id)) as stream:
            async for event in stream:
                self._last_id = event.id
                if event.name == "movement":
                    self.seen.append(event)
                    count -= 1
                if not count or (self._end.done() and int(event.id) >= self._end.result()):
                    break
        connection.reset()


async def events(connection: Connection, last_id: str) -> AsyncGenerator[Event, None]:
    """The events of a stream from behind an id, until it ends."""
    headers = {"Last-Event-ID": last_id}
    await connection.send(request(headers))
    async with asyncio.timeout(ANSWER_DEADLINE_S):
        status, told = await connection.head()
    if status == 503:  # it stops
        raise ConnectionError
    assert status == 200
    reader = EventReader()
    async for piece in connection.pieces(told):
        for event in reader.feed(piece):
            yield event


def request(headers: dict[str, str]) -> bytes:
    fields = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"GET {PATH} HTTP/1.1\r\nHost: 127.0.0.1\r\n{fields}\r\n".encode()


async def test_50_open_streams_are_told_of_the_end_and_do_not_hold_it_up(
    server: ServerProcess, record_property: Callable[[str, object], None]
) -> None:
    async with AsyncExitStack() as exits:
        streams = [await exits.enter_async_context(Connection(server.port)) for _ in range(STREAMS)]
        told = []
        for one in streams:
            await one.send(request({}))
            told.append((await one.head())[1])

        stopped = await asyncio.to_thread(server.terminate)

        last = [await _last_of(*pair) for pair in zip(streams, told, strict=True)]
    assert stopped.code == 0
    assert stopped.seconds <= STOP_WITHIN_S
    assert {(one.name, one.data["code"]) for one in last} == {("closing", "draining")}
    record_property("ended after, s", round(stopped.seconds, 2))


async def _last_of(connection: Connection, headers: Mapping[str, str]) -> Event:
    """The last event of a stream, which has to end and not to break."""
    reader = EventReader()
    found: list[Event] = []
    async for piece in connection.pieces(headers):
        found += reader.feed(piece)
    return found[-1]


async def test_500_readers_that_hang_up_leave_no_descriptor_and_no_memory_behind(
    server: ServerProcess, record_property: Callable[[str, object], None]
) -> None:
    await _open_and_reset(server, 50)
    descriptors, rss = server.descriptors, server.rss_bytes

    await _open_and_reset(server, 500)

    await _until(lambda: server.descriptors <= descriptors)
    grown = server.rss_bytes - rss
    assert grown < 8 << 20
    record_property("memory grown, KiB", grown >> 10)


async def _open_and_reset(server: ServerProcess, count: int) -> None:
    async def one(number: int) -> None:
        async with Connection(server.port) as connection:
            await connection.send(request({"Last-Event-ID": str(number % 5)}))
            if number % 2:
                await connection.head()
            connection.reset()

    for start in range(0, count, 25):
        await asyncio.gather(*(one(start + number) for number in range(25)))


async def _until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not holds():  # noqa: ASYNC110 - nobody tells when a process has closed a file
            await asyncio.sleep(PAUSE_S)
