"""Sends the invoices, many at a time, and keeps what was answered."""

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from time import perf_counter
from typing import NamedTuple

from benchmarks.replay.forecast import Key
from benchmarks.replay.service import Answer, Service
from benchmarks.replay.shop import Invoice


class Outcome(NamedTuple):
    """The final answer to an invoice.

    `seqs` are the acknowledged movements, one per line; `refused` the indexes of the refused lines
    with their codes. A refusal of the whole request has the index -1. Of a cart there are the
    reservation, its last state and the end of its life; its answers name no movements.
    """

    operation_id: str | None
    seqs: tuple[int, ...]
    refused: tuple[tuple[int, str], ...]
    reservation_id: str | None = None
    state: str | None = None
    expires_at: str | None = None


@dataclass(slots=True)
class Run:
    """What came back."""

    outcomes: dict[str, Outcome] = field(default_factory=dict)
    wait_s: list[float] = field(default_factory=list)
    seconds: float = 0.0
    lines: int = 0
    retries: int = 0
    replayed: int = 0
    refusals: Counter[str] = field(default_factory=Counter)

    def note(self, invoice: Invoice, answer: Answer, wait_s: float) -> None:
        outcome = _outcome(answer)
        self.outcomes[invoice.number] = outcome
        self.wait_s.append(wait_s)
        self.lines += len(invoice.lines)
        self.retries += answer.attempts - 1
        self.replayed += answer.is_replayed
        self.refusals.update({code for _, code in outcome.refused})

    def wait_ms(self, share: float) -> float:
        """The time within which this share of the invoices was answered, in milliseconds."""
        ordered = sorted(self.wait_s)
        return 1000 * ordered[min(int(share * len(ordered)), len(ordered) - 1)]


class Queue:
    """Lets an invoice go when those before it that share a level with it are answered."""

    def __init__(self) -> None:
        self.last: dict[Key, asyncio.Event] = {}

    def enter(self, invoice: Invoice, done: asyncio.Event) -> set[asyncio.Event]:
        """What the invoice has to wait for; later ones wait for `done`."""
        keys = {(line.sku, line.location) for line in invoice.lines}
        before = {self.last[key] for key in keys if key in self.last}
        self.last.update(dict.fromkeys(keys, done))
        return before


async def send(
    invoices: list[Invoice],
    service: Service,
    *,
    in_flight: int,
    ordered: bool,
    advance: Callable[[int], None],
) -> Run:
    """Send every invoice; at most `in_flight` are on their way or wait for their turn.

    Args:
        invoices: in order of the file.
        service: where to.
        in_flight: upper bound.
        ordered: keep the file's order wherever two invoices share a level.
        advance: told the number of lines that have been answered.

    Raises:
        ReplayError: an invoice got no answer; the others under way are abandoned.
    """
    run, queue, room = Run(), Queue(), asyncio.Semaphore(in_flight)

    async def one(invoice: Invoice, before: set[asyncio.Event], done: asyncio.Event) -> None:
        for event in before:
            await event.wait()
        sent_at = perf_counter()
        answer = await service.book(invoice)
        run.note(invoice, answer, perf_counter() - sent_at)
        advance(len(invoice.lines))
        room.release()
        # What is held for a moment still stands in the way of those behind it, if they count.
        if ordered:
            await asyncio.sleep(service.held_for_s(invoice))
        done.set()

    started_at = perf_counter()
    try:
        async with asyncio.TaskGroup() as tasks:
            for invoice in invoices:
                await room.acquire()
                done = asyncio.Event()
                before = queue.enter(invoice, done) if ordered else set()
                tasks.create_task(one(invoice, before, done))
    except ExceptionGroup as group:
        raise group.exceptions[0] from group
    run.seconds = perf_counter() - started_at
    return run


def _outcome(answer: Answer) -> Outcome:
    body = answer.body
    if "expires_at" in body:
        return Outcome(None, (), (), body["id"], body["status"], body["expires_at"])
    if answer.status == 200:
        results = sorted(body["results"], key=lambda result: result["index"])
        return Outcome(body["operation_id"], tuple(result["seq"] for result in results), ())
    lines = body.get("lines", [])
    refused = tuple((line["index"], line["error"]["code"]) for line in lines)
    return Outcome(None, (), refused or ((-1, str(body.get("code", answer.status))),))
