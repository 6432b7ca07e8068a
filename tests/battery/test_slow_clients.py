"""Clients that take their time: they lose their connection, the others notice nothing."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from tests.battery.client import Answer, Connection
from tests.battery.history import History
from tests.battery.oracle import audit
from tests.server import ServerProcess

HEADER_DEADLINE_S = 1.0
BODY_DEADLINE_S = 2.0
PAUSE_S = 0.1  # between two bytes
CLOSED_WITHIN_S = 10.0
SLOW = 50
IDLE = 1_000
CUSTOMERS = 16
CHANGES = 400
SALE = [{"sku": "P001", "delta": 1}]

HEAD = b"POST /v1/stock/adjust HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: "
WHOLE_HEAD = (
    b"POST /v1/stock/adjust HTTP/1.1\r\nHost: 127.0.0.1\r\n"
    b"Content-Type: application/json\r\nContent-Length: 1000\r\n\r\n"
)


@pytest.fixture
def impatient(stopped: ServerProcess) -> Iterator[ServerProcess]:
    """A demo that gives a second for a header, and two for a body."""
    stopped.environment |= {
        "INVENTORY_HEADER_DEADLINE_S": str(HEADER_DEADLINE_S),
        "INVENTORY_BODY_DEADLINE_S": str(BODY_DEADLINE_S),
    }
    with stopped:
        yield stopped


@pytest.mark.parametrize(
    ("start", "patience_s"),
    [
        pytest.param(HEAD, HEADER_DEADLINE_S, id="header"),
        pytest.param(WHOLE_HEAD, BODY_DEADLINE_S, id="body"),
    ],
)
async def test_slow_requests_are_ended_in_time_while_others_are_served(
    impatient: ServerProcess, start: bytes, patience_s: float
) -> None:
    history = History()
    loop = asyncio.get_running_loop()

    async def send_slowly() -> tuple[Answer | None, float]:
        began = loop.time()
        async with Connection(impatient.port) as connection, asyncio.timeout(CLOSED_WITHIN_S):
            await connection.send(start)
            return await _drip(connection), loop.time() - began

    slow = [asyncio.create_task(send_slowly()) for _ in range(SLOW)]
    await _shop(impatient, history)
    ended = await asyncio.gather(*slow)

    assert history.statuses() == {200: CHANGES}
    assert min(seconds for _, seconds in ended) >= patience_s * 0.9
    told = [answer for answer, _ in ended if answer is not None]
    assert {answer.status for answer in told} == {408}
    assert {answer.json()["code"] for answer in told} == {"request_timeout"}
    await audit(impatient, history)


async def test_a_thousand_idle_connections_do_not_keep_others_waiting(
    server: ServerProcess,
) -> None:
    history = History()
    alone_s = await _shop(server, history)

    async with _idle(server, IDLE) as idle:
        assert server.sockets >= IDLE
        crowded_s = await _shop(server, history)
        answers = await asyncio.gather(*(_again(one) for one in idle))

    assert history.statuses() == {200: 2 * CHANGES}
    assert crowded_s <= 3 * alone_s + 1.0
    assert set(answers) == {200}
    await audit(server, history)


async def test_one_connection_too_many_is_told_so_and_the_others_stay(
    stopped: ServerProcess,
) -> None:
    stopped.environment["INVENTORY_CONNECTIONS_MAX"] = "20"
    with stopped:
        async with _idle(stopped, 20) as idle, Connection(stopped.port) as other:
            refused = await other.get("/v1/stock")

            assert refused.status == 503
            assert refused.json()["code"] == "overloaded"
            assert {await _again(one) for one in idle} == {200}
        async with Connection(stopped.port) as another:
            await _until_served(another)


async def _drip(connection: Connection) -> Answer | None:
    """Send a byte every now and then until the server answers or hangs up."""
    answer = asyncio.create_task(connection.answer())
    while not (await asyncio.wait({answer}, timeout=PAUSE_S))[0]:
        try:
            await connection.send(b"x")
        except ConnectionError:
            break
    try:
        return await answer
    except ConnectionError:
        return None


async def _shop(server: ServerProcess, history: History) -> float:
    """Let customers make their changes; the seconds that all of them took."""
    left = iter(range(CHANGES))
    loop = asyncio.get_running_loop()
    began = loop.time()

    async def customer() -> None:
        async with Connection(server.port) as connection:
            for _ in left:
                await history.adjust(connection, SALE)

    await asyncio.gather(*(customer() for _ in range(CUSTOMERS)))
    return loop.time() - began


@asynccontextmanager
async def _idle(server: ServerProcess, count: int) -> AsyncIterator[list[Connection]]:
    """Connections that have been served once and are kept."""
    async with AsyncExitStack() as exits:
        found = [await exits.enter_async_context(Connection(server.port)) for _ in range(count)]
        for connection in found:
            assert (await connection.get("/livez")).status == 200
        yield found


async def _again(connection: Connection) -> int:
    """Ask on a connection that may have been closed for being idle; a new one must do."""
    try:
        return (await connection.get("/livez")).status
    except ConnectionError:
        return (await connection.get("/livez")).status


async def _until_served(connection: Connection) -> None:
    """Ask until the server has noticed that the others are gone."""
    async with asyncio.timeout(CLOSED_WITHIN_S):
        while (await connection.get("/livez")).status != 200:
            pass
