"""SIGKILL in the middle of every verb of inbounds, transfers, counts and kits."""

import asyncio
import random
import signal
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field

import pytest

from tests.battery import faults
from tests.battery.clerk import (
    SKUS,
    STOCK,
    Asked,
    Clerk,
    Document,
    Units,
    add,
    ask_again,
    each,
    prepare,
    total,
)
from tests.battery.client import Connection
from tests.battery.documents import audit_documents
from tests.battery.fleet import Fleet, spread
from tests.battery.holds import told
from tests.ledger_oracle import BALANCES, Row
from tests.server import ServerProcess

KILLS = 100
KILLS_SAMPLED = 3
CLIENTS = 24
ANSWERS_MAX = 300  # of one life
ANSWERS_SAMPLED_MAX = 60
ANSWERS_AFTERWARDS = 60  # of the processes that were not killed
DELAY_MAX_S = 0.02  # a few batches: the kill may come at any moment of one
# One life after the other: as it is; most of it between the first write of a batch and the last,
# so that what is killed is lost; most of it between the last one and the answer, so that it is not.
DISKS: tuple[list[str], ...] = (
    [],
    faults.slow("pwrite64", ms=1),
    faults.slow("fdatasync", ms=10),
)


class Enough(Exception):
    """The end of a clerk whose process goes on."""


@dataclass(slots=True)
class Told:
    """What the clients were told in all lives; `unanswered` are verbs, and what became of them."""

    asked: list[Asked] = field(default_factory=list)
    answers: Counter[str] = field(default_factory=Counter)
    unanswered: Counter[str] = field(default_factory=Counter)


@pytest.mark.timeout(1_800)
@pytest.mark.parametrize(
    ("kills", "answers_max"),
    [
        pytest.param(KILLS_SAMPLED, ANSWERS_SAMPLED_MAX, id="sample"),
        pytest.param(KILLS, ANSWERS_MAX, id="full", marks=pytest.mark.slow),
    ],
)
async def test_a_killed_server_has_done_each_change_of_a_document_once_or_not_at_all(
    fleet: Fleet,
    kills: int,
    answers_max: int,
    record_property: Callable[[str, object], None],
) -> None:
    chance, everything = random.Random(kills), Told()
    async with Connection(fleet.ports[0]) as connection:
        await prepare(connection)

    for number in range(kills):
        left = chance.randint(CLIENTS, answers_max)
        victims = fleet.victims(number)
        documents = await _work_until_killed(fleet, victims, chance, left, f"life:{number}")
        answers = [(one, one.answer) for document in documents for one in document.asked]
        everything.answers.update(f"{one.name} {told(it)}" for one, it in answers if it is not None)
        disk = DISKS[(number + 1) % len(DISKS)]
        if not fleet.ports:
            await asyncio.to_thread(fleet.start, wrapper=disk)
        # At the others, if there are any, before whoever was killed is there again.
        everything.unanswered += await _resolve(fleet, documents)
        await asyncio.to_thread(fleet.start, wrapper=disk)
        everything.asked += [one for one, _ in answers]
        _assert_told_truly(everything.asked, *await audit_documents(fleet))

    assert everything.unanswered
    record_property("answers", dict(sorted(everything.answers.items())))
    record_property("killed in, and done or lost", dict(sorted(everything.unanswered.items())))


async def _work_until_killed(
    fleet: Fleet,
    victims: Sequence[ServerProcess],
    chance: random.Random,
    left: int,
    name: str,
) -> list[Document]:
    """Let clerks work until so many answers, and kill a moment later; their documents.

    The clerks of the others go on for a while.
    """
    delay_s = chance.uniform(0, DELAY_MAX_S)
    left_afterwards = ANSWERS_AFTERWARDS
    is_over = False

    def kill() -> None:
        nonlocal is_over
        is_over = True
        for server in victims:
            server.signal(signal.SIGKILL)

    def answered() -> None:
        nonlocal left, left_afterwards
        left -= 1
        left_afterwards -= is_over
        if left == 0:
            asyncio.get_running_loop().call_later(delay_s, kill)
        if left_afterwards <= 0:
            raise Enough

    async def work(clerk: Clerk) -> None:
        with suppress(ConnectionError, Enough):
            await clerk.work()

    async with AsyncExitStack() as exits:
        connections = [
            await exits.enter_async_context(Connection(port))
            for port in spread(fleet.ports, CLIENTS)
        ]
        clerks = [
            Clerk(connection, chance, f"{name}:{number}", answered)
            for number, connection in enumerate(connections)
        ]
        await asyncio.gather(*map(work, clerks))
    for server in victims:
        assert await asyncio.to_thread(server.wait) == -signal.SIGKILL
    return [document for clerk in clerks for document in clerk.documents]


async def _resolve(fleet: Fleet, documents: list[Document]) -> Counter[str]:
    """Retry every change of a life, and look at each document; which verbs had no answer."""
    found: Counter[str] = Counter()
    left = iter(documents)

    async def client(port: int) -> None:
        async with Connection(port) as connection:
            for document in left:
                found.update(await ask_again(connection, document))
                if document.path:
                    await _assert_shown(connection, document)

    await asyncio.gather(*map(client, spread(fleet.ports, CLIENTS)))
    return found


async def _assert_shown(connection: Connection, document: Document) -> None:
    """A document is as the last change of it left it, down to its version."""
    path = f"{document.path}/{document.shown['id']}"
    answer = await connection.get(path)
    assert answer.status == 200, (document, answer)
    now = answer.json()
    assert now == {name: document.shown[name] for name in now}, (document, answer)


def _assert_told_truly(
    asked: list[Asked], movements: list[Row], operations: list[Row], levels: list[Row]
) -> None:
    """Each change that was told as applied is in the ledger once and as it was meant, no other."""
    moved: dict[str, Units] = defaultdict(Units)
    for row in movements:
        deltas = {name: row[f"d_{name}"] for name in BALANCES}
        moved[row["operation_id"]].update(each([row["sku"]], row["location"], **deltas))
    keys = [operation["key"] for operation in operations]
    assert len(keys) == len(set(keys)), "applied twice"
    by_key = {operation["key"]: moved[operation["id"]] for operation in operations}
    for one in asked:
        meant = one.effect if one.is_applied else Units()
        assert by_key.pop(one.key, Units()) == meant, one
    assert not by_key, "the ledger has changes nobody asked for"

    now = add(
        each([row["sku"]], row["location"], **{name: row[name] for name in BALANCES})
        for row in levels
    )
    assert now == add([each(SKUS, "main", on_hand=STOCK), total(asked)])
