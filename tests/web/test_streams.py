"""Streams by themselves: how many, in which order, and what is left when they break."""

import asyncio
from collections.abc import AsyncGenerator

import pytest
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import Message

from inventory_api.domain.unavailable import Draining, Overloaded
from inventory_api.web.streams import (
    NDJSON,
    PIECE_BYTES,
    SPOOL_MEMORY_BYTES,
    DuplexReply,
    OpenStreams,
    Spool,
    StreamReply,
)
from tests.polling import until


class Client:
    """One end of a request: what is sent to it, and what it says."""

    def __init__(self, method: str = "GET") -> None:
        self.scope = {"type": "http", "method": method}
        self.sent: list[Message] = []
        self.gone = asyncio.Event()

    async def receive(self) -> Message:
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        self.sent.append(message)

    @property
    def body(self) -> bytes:
        return b"".join(message.get("body", b"") for message in self.sent)

    @property
    def has_whole_answer(self) -> bool:
        last = self.sent[-1]
        return last["type"] == "http.response.body" and not last.get("more_body", False)


def stream(
    pieces: AsyncGenerator[bytes, None], streams: OpenStreams, *, stall_s: float = 60
) -> StreamReply:
    return StreamReply(pieces, headers=[NDJSON], streams=streams, caller="key", stall_s=stall_s)


async def numbers(until: int, *, fails_at: int = -1) -> AsyncGenerator[bytes, None]:
    for number in range(until):
        if number == fails_at:
            raise ZeroDivisionError
        yield b"%d\n" % number


async def test_a_caller_has_only_so_many_streams_and_the_others_have_theirs() -> None:
    streams = OpenStreams(limit=2)

    with streams.opened("a"), streams.opened("a"), streams.opened("b"):
        with pytest.raises(Overloaded), streams.opened("a"):
            pass
        assert streams.count() == 3

    assert streams.count() == 0


async def test_an_answer_is_whole_when_its_pieces_end() -> None:
    client, streams = Client(), OpenStreams()

    await stream(numbers(3), streams)(client.scope, client.receive, client.send)

    assert client.body == b"0\n1\n2\n"
    assert client.has_whole_answer
    assert streams.count() == 0


async def test_what_fails_before_the_first_piece_has_not_begun_an_answer() -> None:
    client, streams = Client(), OpenStreams()

    with pytest.raises(ZeroDivisionError):
        await stream(numbers(3, fails_at=0), streams)(client.scope, client.receive, client.send)

    assert client.sent == []
    assert streams.count() == 0


async def test_an_answer_that_fails_later_is_never_ended() -> None:
    client, streams = Client(), OpenStreams()

    with pytest.raises(ZeroDivisionError):
        await stream(numbers(3, fails_at=2), streams)(client.scope, client.receive, client.send)

    assert client.body == b"0\n1\n"
    assert not client.has_whole_answer
    assert streams.count() == 0


async def test_a_client_that_has_gone_ends_the_making_of_its_answer() -> None:
    client, streams = Client(), OpenStreams()
    client.gone.set()
    pieces = numbers(1000)

    with pytest.raises(ClientDisconnect):
        await stream(pieces, streams)(client.scope, client.receive, client.send)

    assert client.body.count(b"\n") < 5
    with pytest.raises(StopAsyncIteration):
        await anext(pieces)


async def test_head_tells_what_get_would_and_makes_one_piece() -> None:
    client, streams = Client("HEAD"), OpenStreams()
    pieces = numbers(1000)

    await stream(pieces, streams)(client.scope, client.receive, client.send)

    assert client.body == b""
    assert client.sent[0]["status"] == 200
    assert client.has_whole_answer


async def test_too_many_streams_are_refused_before_they_begin() -> None:
    client, streams = Client(), OpenStreams(limit=1)

    with streams.opened("key"), pytest.raises(Overloaded):
        await stream(numbers(3), streams)(client.scope, client.receive, client.send)

    assert client.sent == []


@pytest.mark.parametrize("size", [10, SPOOL_MEMORY_BYTES * 2], ids=["in-memory", "in-a-file"])
async def test_a_spool_gives_back_what_was_written_whoever_is_faster(size: int) -> None:
    spool = Spool()
    written = [bytes([number]) * size for number in range(3)]
    read = b""

    spool.write(written[0])
    read += await spool.read()
    for data in written[1:]:
        spool.write(data)
    spool.complete()
    while piece := await spool.read():
        read += piece

    assert read == b"".join(written)
    spool.close()


async def test_a_reader_of_a_spool_waits_for_the_writer() -> None:
    spool = Spool()
    reading = asyncio.create_task(spool.read())
    await asyncio.sleep(0)
    assert not reading.done()

    spool.write(b"news")

    assert await reading == b"news"
    spool.close()


def duplex(
    spooled: list[bytes], streams: OpenStreams, *, fails: bool = False, stall_s: float = 60
) -> DuplexReply:
    async def make(spool: Spool) -> None:
        for data in spooled:
            spool.write(data)
        await asyncio.sleep(0)
        if fails:
            raise ZeroDivisionError

    return DuplexReply(make, headers=[NDJSON], streams=streams, caller="key", stall_s=stall_s)


async def test_a_duplex_answer_has_all_that_was_made_and_then_its_end() -> None:
    client, streams = Client(), OpenStreams()

    await duplex([b"a", b"b"], streams)(client.scope, client.receive, client.send)

    assert client.body == b"ab"
    assert client.has_whole_answer
    assert streams.count() == 0


async def test_a_duplex_answer_whose_making_fails_is_never_ended() -> None:
    client, streams = Client(), OpenStreams()

    with pytest.raises(ZeroDivisionError):
        await duplex([b"a"], streams, fails=True)(client.scope, client.receive, client.send)

    assert client.body == b"a"
    assert not client.has_whole_answer
    assert streams.count() == 0


class Unmoved(Client):
    """A client that takes the head of its answer, some pieces, and nothing else."""

    def __init__(self, *, takes: int = 0) -> None:
        super().__init__()
        self.takes = takes
        self.is_stuck = asyncio.Event()

    async def send(self, message: Message) -> None:
        await super().send(message)
        if len(self.sent) > 1 + self.takes:
            self.is_stuck.set()
            await asyncio.get_running_loop().create_future()


@pytest.mark.parametrize("takes", [0, 5], ids=["at-once", "later"])
@pytest.mark.parametrize("kind", ["one-way", "duplex"])
async def test_a_client_that_takes_nothing_any_more_is_given_up(kind: str, takes: int) -> None:
    client, streams = Unmoved(takes=takes), OpenStreams()
    if kind == "duplex":
        reply: Response = duplex([b"a" * PIECE_BYTES] * 10, streams, stall_s=0.01)
    else:
        reply = stream(numbers(10), streams, stall_s=0.01)

    with pytest.raises(TimeoutError):
        await reply(client.scope, client.receive, client.send)

    assert not client.has_whole_answer
    assert streams.count() == 0


async def test_a_client_may_leave_results_unread_as_long_as_it_sends() -> None:
    client, streams = Unmoved(), OpenStreams()
    is_all_sent = asyncio.Event()

    async def make(spool: Spool) -> None:
        spool.write(b"a")
        await is_all_sent.wait()

    reply = DuplexReply(make, headers=[NDJSON], streams=streams, caller="key", stall_s=0.01)
    answering = asyncio.create_task(reply(client.scope, client.receive, client.send))
    await client.is_stuck.wait()
    done, _ = await asyncio.wait([answering], timeout=0.1)
    assert not done

    is_all_sent.set()

    with pytest.raises(TimeoutError):
        await answering


@pytest.mark.parametrize("kind", ["one-way", "duplex"])
async def test_a_stream_that_is_cut_is_never_ended(kind: str) -> None:
    client, streams = Unmoved(), OpenStreams()
    reply = duplex([b"a"], streams) if kind == "duplex" else stream(numbers(3), streams)
    before = asyncio.all_tasks()
    answering = asyncio.create_task(reply(client.scope, client.receive, client.send))
    await client.is_stuck.wait()

    streams.cut()
    (ended,) = await asyncio.gather(answering, return_exceptions=True)

    assert isinstance(ended, Draining)
    assert not client.has_whole_answer
    assert streams.count() == 0
    assert asyncio.all_tasks() == before


async def test_what_begins_to_wait_for_a_client_after_the_cut_does_not() -> None:
    client, streams = Unmoved(), OpenStreams()
    streams.cut()

    with pytest.raises(Draining):
        await stream(numbers(3), streams)(client.scope, client.receive, client.send)

    assert streams.count() == 0


async def test_a_server_that_cancels_an_answer_takes_its_making_along() -> None:
    client, streams = Client(), OpenStreams()
    begun = asyncio.Event()

    async def make(spool: Spool) -> None:
        begun.set()
        await asyncio.get_running_loop().create_future()

    before = asyncio.all_tasks()
    reply = DuplexReply(make, headers=[NDJSON], streams=streams, caller="key")
    answering = asyncio.create_task(reply(client.scope, client.receive, client.send))
    await begun.wait()

    answering.cancel()
    await asyncio.wait([answering])

    assert answering.cancelled()
    assert asyncio.all_tasks() == before
    assert streams.count() == 0


async def test_a_stream_with_a_farewell_may_end_by_itself_when_all_are_cut() -> None:
    client, streams = Client(), OpenStreams()
    is_ending = asyncio.Event()

    async def waiting() -> AsyncGenerator[bytes, None]:
        yield b"first"
        await is_ending.wait()
        yield b"last"

    reply = StreamReply(
        waiting(), headers=[NDJSON], streams=streams, caller="key", farewell=is_ending.set
    )
    answering = asyncio.create_task(reply(client.scope, client.receive, client.send))
    await until(lambda: client.body == b"first")

    streams.cut()
    await answering

    assert client.body == b"firstlast"
    assert client.has_whole_answer
    with pytest.raises(Draining), streams.opened("key"):
        pass


async def test_a_making_that_ends_already_is_broken_off_once_and_waited_for() -> None:
    client, streams = Client(), OpenStreams()
    begun, may_end, has_ended = asyncio.Event(), asyncio.Event(), asyncio.Event()
    makings = list[asyncio.Task[object]]()

    async def make(_: Spool) -> None:
        making = asyncio.current_task()
        assert making is not None
        makings.append(making)
        try:
            begun.set()
            await asyncio.get_running_loop().create_future()
        finally:
            await may_end.wait()
            has_ended.set()

    def farewell() -> None:
        makings[0].cancel()

    reply = DuplexReply(make, headers=[NDJSON], streams=streams, caller="key", farewell=farewell)
    answering = asyncio.create_task(reply(client.scope, client.receive, client.send))
    await begun.wait()

    streams.cut()
    answering.cancel()
    await asyncio.sleep(0)
    may_end.set()
    await asyncio.wait([answering])

    assert has_ended.is_set()
    assert isinstance(answering.exception(), Draining)
