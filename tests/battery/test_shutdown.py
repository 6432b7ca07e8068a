"""The end of a process under load: what was accepted is answered, the rest was never begun."""

import asyncio
import random
import signal
from collections.abc import Callable, Mapping

import pytest

from tests.battery.client import Connection, request_bytes
from tests.battery.fleet import Fleet
from tests.battery.history import Attempt, History, as_bytes
from tests.battery.load import lengthen_ledger, trade
from tests.battery.oracle import audit
from tests.databases import write_locked
from tests.server import ServerProcess, wait_until

CLIENTS = 64
ANSWERS_BEFORE = 300
STOP_WITHIN_S = 10.0
HALF_AN_IMPORT = (
    b"POST /v1/import/adjustments HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: text/csv\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n26\r\nsku,delta,reference\r\nP001,1,row:1\r\nP00\r\n"
)
SALE = [{"sku": "P001", "delta": -1}]


@pytest.mark.parametrize("sig", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_under_load_ends_the_process_with_every_accepted_change_answered(
    fleet: Fleet, sig: signal.Signals, record_property: Callable[[str, object], None]
) -> None:
    history = History()

    seconds = await _trade_through_the_end(fleet, history, [sig])

    assert fleet.servers[0].wait() == 0
    assert seconds <= STOP_WITHIN_S
    refused = [one for one in history.attempts if one.status == 503]
    assert {one.code for one in refused} <= {"draining"}
    assert set(history.statuses()) <= {200, 409, 503, None}
    fleet.start()
    movements = await audit(fleet, history)
    # A connection that was closed under a request tells nothing, but then nothing was done.
    booked = {row["reference"] for row in movements}
    assert not [one for one in history.unknown() if one.body["reference"] in booked]
    record_property("ended after, s", round(seconds, 2))
    record_property("answers", dict(history.statuses()))


async def test_a_second_signal_ends_the_process_at_once_and_loses_nothing_acknowledged(
    fleet: Fleet,
) -> None:
    history = History()

    seconds = await _trade_through_the_end(fleet, history, [signal.SIGINT, signal.SIGINT])

    assert seconds <= STOP_WITHIN_S
    fleet.start()
    await audit(fleet, history)


async def test_half_a_body_keeps_no_process_alive_and_is_answered_as_refused(
    server: ServerProcess,
) -> None:
    async with Connection(server.port) as half:
        body = b'{"lines":[{"sku":"P001","delta":-1}]}'
        await half.send(request_bytes("POST", "/v1/stock/adjust", body)[:-1])
        # A whole request behind it: when that is answered the half one is being waited for.
        async with Connection(server.port) as other:
            assert (await other.request("GET", "/livez")).status == 200

        stopped = await asyncio.to_thread(server.terminate)
        status, _ = await half.head()

    assert (stopped.code, status) == (0, 503)
    assert stopped.seconds < STOP_WITHIN_S / 2


async def test_while_it_ends_accepted_changes_are_answered_and_others_refused(
    server: ServerProcess,
) -> None:
    history = History()
    async with (
        Connection(server.port) as early,
        Connection(server.port) as open_before,
        Connection(server.port) as opened_later,
    ):
        with write_locked(server.database_url):
            accepted = history.begin("adjust", SALE)
            await early.send(as_bytes(accepted))
            await open_before.get("/livez")  # answered behind what was sent before
            server.signal(signal.SIGTERM)
            await asyncio.to_thread(_wait_for_log, server, '"event": "draining"')

            late = [await history.adjust(one, SALE) for one in (open_before, opened_later)]
            unready = await opened_later.get("/readyz")

        history.end(accepted, await early.answer())
    assert accepted.status == 200
    assert [(one.status, one.code, one.applied) for one in late] == [(503, "draining", "no")] * 2
    assert late[0].answer is not None
    assert int(late[0].answer.headers["retry-after"]) >= 1
    assert unready.status == 503
    assert await asyncio.to_thread(server.wait) == 0
    server.start()
    await audit(server, history)


async def test_open_streams_are_cut_off_in_time_and_can_be_told_from_whole_ones(
    server: ServerProcess, record_property: Callable[[str, object], None]
) -> None:
    history = History()
    async with Connection(server.port) as unread, Connection(server.port) as unsent:
        await lengthen_ledger(unread, history)
        await unread.send(request_bytes("GET", "/v1/export/movements"))
        _, exported = await unread.head()
        await unsent.send(HALF_AN_IMPORT)
        _, imported = await unsent.head()
        first = await anext(unsent.pieces(imported))

        stopped = await asyncio.to_thread(server.terminate)

        assert b'"status":"applied"' in first
        with pytest.raises(ConnectionError):
            await _read_all(unread, exported)
        with pytest.raises(ConnectionError):
            await _read_all(unsent, imported)
    assert stopped.code == 0
    assert stopped.seconds <= STOP_WITHIN_S
    server.start()
    movements = await audit(server, history)
    assert movements[-1]["reference"] == "row:1"
    record_property("ended after, s", round(stopped.seconds, 2))


async def _read_all(connection: Connection, headers: Mapping[str, str]) -> None:
    async for _ in connection.pieces(headers):
        pass


async def _trade_through_the_end(
    fleet: Fleet, history: History, signals: list[signal.Signals]
) -> float:
    """Let clients trade, send signals to one process after some answers, go on until it is gone."""
    server = fleet.servers[0]
    left = iter(range(ANSWERS_BEFORE))
    pending = list(signals)
    signalled, is_gone = asyncio.Event(), asyncio.Event()

    def goes_on(attempt: Attempt) -> bool:
        if next(left, None) is None and pending:
            server.signal(pending.pop())
            signalled.set()
        return attempt.answer is not None and not is_gone.is_set()

    trading = asyncio.create_task(
        trade(fleet.ports, history, chance=random.Random(1), clients=CLIENTS, goes_on=goes_on)
    )
    loop = asyncio.get_running_loop()
    await signalled.wait()
    began = loop.time()
    await asyncio.to_thread(server.wait)
    seconds = loop.time() - began
    is_gone.set()
    await trading
    return seconds


def _wait_for_log(server: ServerProcess, event: str) -> None:
    wait_until(lambda: event in server.log_text(), STOP_WITHIN_S, f"the log has {event}")
