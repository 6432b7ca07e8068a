"""SIGKILL in the middle of every verb of a reservation: what was acknowledged is there."""

import asyncio
import random
import signal
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import pytest

from tests.battery import faults
from tests.battery.client import JSON, Answer, Connection
from tests.battery.fleet import Fleet, spread
from tests.battery.holds import UNITS, audit_running, count, declare, reserve, settle, told
from tests.databases import other_connection
from tests.polling import until_told
from tests.server import ServerProcess

KILLS = 100
KILLS_SAMPLED = 3
CLIENTS = 24
ANSWERS_MAX = 300  # of one life
ANSWERS_AFTERWARDS = 60  # of the processes that were not killed
DELAY_MAX_S = 0.02  # a few batches: the kill may come at any moment of one
WRITE_MS = 2
SKUS = ("P001", "P002", "P003")
STOCK = 100_000
LONG_S = 24 * 3600  # no hold ends within the test but the brief ones, and those at once
BRIEF_S = 3600  # between the two
# A killed process's jobs are taken over after a lease; short, since every audit waits for them.
SETTINGS = {"INVENTORY_LEASE_S": "1", "INVENTORY_RESERVATION_TTL_S": str(LONG_S)}
VERBS = ("confirm", "fulfill", "release", "extend")
REFUSALS = {"reservation_not_active", "reservation_expired", "insufficient_stock", "not_open"}


@dataclass(slots=True)
class Cart:
    """A client's reservation as its last answer showed it.

    `asked` is the verb that was sent last, while it has no answer.
    """

    shown: JSON
    asked: str | None = None


@dataclass(slots=True)
class Life:
    """What the clients of one life of the server know."""

    carts: dict[str, Cart] = field(default_factory=dict)
    answers: Counter[str] = field(default_factory=Counter)
    unknown: Counter[str] = field(default_factory=Counter)
    left: int = 0

    def note(self, cart: Cart, verb: str, answer: Answer) -> None:
        """Keep what an answer to a verb says."""
        self.left -= 1
        self.answers[f"{verb} {told(answer)}"] += 1
        cart.asked = None
        if answer.status < 300:
            cart.shown = answer.json()
        else:
            assert answer.json()["code"] in REFUSALS, answer


@pytest.mark.timeout(1_800)
@pytest.mark.parametrize(
    "kills",
    [
        pytest.param(KILLS_SAMPLED, id="sample"),
        pytest.param(KILLS, id="full", marks=pytest.mark.slow),
    ],
)
async def test_a_killed_server_has_every_acknowledged_state_of_every_hold(
    stopped_fleet: Fleet, kills: int, record_property: Callable[[str, object], None]
) -> None:
    chance = random.Random(kills)
    answers: Counter[str] = Counter()
    unknown: Counter[str] = Counter()
    fleet = stopped_fleet
    fleet.start(environment=SETTINGS)
    async with Connection(fleet.ports[0]) as connection:
        for sku in SKUS:
            await count(connection, sku, STOCK)

    for number in range(kills):
        life = Life(left=chance.randint(CLIENTS, ANSWERS_MAX))
        await _shop_until_killed(fleet, fleet.victims(number), life, chance, f"life:{number}")
        # On a slow disk most of a life is spent between the first write of a batch and the last.
        disk = faults.slow("pwrite64", ms=WRITE_MS) if number % 2 == 0 else []
        if fleet.ports:
            # The others know, before whoever was killed is there again.
            await _assert_kept(fleet, life)
        await asyncio.to_thread(fleet.start, wrapper=disk, environment=SETTINGS)
        await _assert_kept(fleet, life)
        await _until_tidied_up(fleet.database_url)
        await audit_running(fleet)
        answers += life.answers
        unknown += life.unknown

    assert unknown
    record_property("answers", dict(sorted(answers.items())))
    record_property("killed in", dict(unknown))


async def _shop_until_killed(
    fleet: Fleet,
    victims: Sequence[ServerProcess],
    life: Life,
    chance: random.Random,
    name: str,
) -> None:
    """Let clients hold, pay, ship and give back until a random answer; kill a moment later.

    The clients of the others go on for a while.
    """
    delay_s = chance.uniform(0, DELAY_MAX_S)
    loop = asyncio.get_running_loop()
    is_doomed = is_over = False

    def kill() -> None:
        nonlocal is_over
        is_over, life.left = True, ANSWERS_AFTERWARDS
        for server in victims:
            server.signal(signal.SIGKILL)

    async def client(number: int, port: int) -> None:
        nonlocal is_doomed
        async with Connection(port) as connection:
            turn = 0
            while await _one_step(connection, life, chance, f"{name}:{number}:{turn}"):
                turn += 1
                if life.left <= 0 and is_over:
                    return
                if life.left <= 0 and not is_doomed:
                    is_doomed = True
                    loop.call_later(delay_s, kill)

    await asyncio.gather(*(client(*one) for one in enumerate(spread(fleet.ports, CLIENTS))))
    for server in victims:
        assert await asyncio.to_thread(server.wait) == -signal.SIGKILL


async def _one_step(
    connection: Connection, life: Life, chance: random.Random, reference: str
) -> bool:
    """Begin a cart and take it through some verbs; whether the server is alive still."""
    cart = life.carts[reference] = Cart(None, "reserve")
    sku = chance.choice(SKUS)
    steps = [chance.choice(("declare", *VERBS)) for _ in range(chance.randint(0, 4))]
    try:
        # A fifth of the holds ends within the life of the server, or while it is down.
        ttl_s = 1 if chance.random() < 0.2 else LONG_S
        asked = {"reference": reference, "ttl_s": ttl_s}
        answer = await reserve(connection, sku, chance.randint(1, 5), **asked)
        life.note(cart, "reserve", answer)
        for verb in steps:
            cart.asked = verb
            if verb == "declare":
                answer = await declare(connection, reference, sku, chance.randint(1, 5))
                if answer.status == 201:
                    # The hold before it is over: this one is another.
                    life.carts[f"{reference}:over"] = Cart(cart.shown)
            else:
                answer = await settle(connection, cart.shown["id"], verb)
            life.note(cart, verb, answer)
    except ConnectionError:
        life.unknown[cart.asked or "between"] += 1
        return False
    return True


async def _until_tidied_up(url: str) -> None:
    """Wait for the end of the brief holds: an audit reads one table after the other."""
    with other_connection(url) as run:

        async def are_over() -> bool:
            soon = (time.time_ns() // 1_000) + BRIEF_S * 1_000_000
            brief = f"SELECT count(*) FROM allocation WHERE held > 0 AND expires_at < {soon}"
            return run(brief) == [(0,)]

        await until_told(are_over)


async def _assert_kept(fleet: Fleet, life: Life) -> None:
    """Each hold is as it was shown last, but for its end and for what nobody was told."""
    async with Connection(fleet.ports[-1]) as connection:
        for cart in life.carts.values():
            if cart.shown is None:
                continue
            answer = await connection.get(f"/v1/reservations/{cart.shown['id']}")
            assert answer.status == 200, (cart, answer)
            _assert_not_behind(cart, answer.json())


def _assert_not_behind(cart: Cart, now: JSON) -> None:
    """The version tells how many changes there were: the end of a hold, a verb without answer."""
    more = now["version"] - cart.shown["version"]
    assert 0 <= more <= (1 if cart.asked is None else 2), (cart, now)
    if cart.asked is None or not more:
        before, after = _units(cart.shown), _units(now)
        ended = {**before, "held": 0, "expired": before["expired"] + before["held"]}
        assert after in ([ended] if more else [before, ended]), (cart, now)


def _units(shown: JSON) -> dict[str, int]:
    return {name: sum(line[name] for line in shown["lines"]) for name in UNITS}
