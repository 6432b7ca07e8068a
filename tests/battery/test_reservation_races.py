"""Two want something of one hold, or of the last unit, at the same moment: one outcome."""

import asyncio
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from datetime import datetime

import pytest

from tests.battery.client import Answer, Connection
from tests.battery.fleet import Fleet, spread
from tests.battery.holds import audit_stopped, count, declare, level, reserve, settle, told

SKUS = ("P001", "P002", "P003", "P004", "P005")
PAYERS = 20
AROUND_S = 0.1
UNITS = 3
ROUNDS = pytest.mark.parametrize(
    "rounds",
    [
        pytest.param(2, id="sample"),
        pytest.param(200, id="full", marks=[pytest.mark.slow, pytest.mark.timeout(900)]),
    ],
)
Record = Callable[[str, object], None]


@pytest.fixture
async def connections(fleet: Fleet) -> AsyncIterator[list[Connection]]:
    """Connections that stand ready, enough for a race on each of the five goods."""
    async with AsyncExitStack() as exits:
        ready = [
            await exits.enter_async_context(Connection(port))
            for port in spread(fleet.ports, len(SKUS) * (PAYERS + 1))
        ]
        await asyncio.gather(*(connection.open() for connection in ready))
        yield ready


@ROUNDS
async def test_a_hold_confirmed_by_20_around_its_end_is_paid_once_or_goes_to_the_next_buyer(
    fleet: Fleet, connections: list[Connection], rounds: int, record_property: Record
) -> None:
    """All units are held; a late payment takes them again unless somebody else was quicker."""
    chance = random.Random(rounds)
    outcomes: Counter[str] = Counter()

    for _ in range(0, rounds, len(SKUS)):
        races = (
            _pay_around_the_end(sku, connections[at :: len(SKUS)], chance)
            for at, sku in enumerate(SKUS)
        )
        outcomes.update(await asyncio.gather(*races))

    record_property("outcomes", dict(outcomes))
    assert len(outcomes) == 3 or rounds < 200, "an outcome was never reached"
    await audit_stopped(fleet)


async def _pay_around_the_end(
    sku: str, connections: list[Connection], chance: random.Random
) -> str:
    """One round; what has become of the units: paid in time, recovered, or sold to another."""
    rival, *payers = connections
    await count(rival, sku, UNITS)
    held = (await reserve(rival, sku, UNITS, ttl_s=1)).json()
    ends_at = datetime.fromisoformat(held["expires_at"]).timestamp()

    # Of 20 one nearly always comes in time, unless all begin a little late now and then.
    begin_s = chance.uniform(-AROUND_S, AROUND_S)

    async def at_some_time() -> None:
        moment = ends_at + chance.uniform(begin_s, AROUND_S)
        await asyncio.sleep(max(0.0, moment - time.time()))

    async def buy() -> Answer:
        await at_some_time()
        return await reserve(rival, sku, UNITS, ttl_s=600)

    async def pay(payer: Connection) -> Answer:
        await at_some_time()
        return await settle(payer, held["id"], "confirm")

    bought, *paid = await asyncio.gather(buy(), *(pay(payer) for payer in payers))

    winners = [one for one in paid if one.status == 200]
    assert len(winners) + (bought.status == 201) == 1, (bought, Counter(map(told, paid)))
    assert {told(one) for one in paid if one.status != 200} <= {
        "409 reservation_not_active",
        "409 reservation_expired",
        "410 reservation_expired",
    }
    now = await level(rival, sku)
    expected = (UNITS, 0) if bought.status == 201 else (0, UNITS)
    assert (now["reserved"], now["committed"], now["available"]) == (*expected, 0)
    won = (winners or [bought])[0].json()
    # The promises go, so that the next round begins with a free shelf.
    assert (await settle(rival, won["id"], "release")).status == 200
    if not winners:
        return "sold to another"
    return "recovered" if won.get("recovered") else "paid in time"


@ROUNDS
async def test_of_two_declarations_of_one_cart_the_hold_is_one_of_them(
    fleet: Fleet, connections: list[Connection], rounds: int
) -> None:
    chance = random.Random(rounds)

    for number in range(rounds):
        # Every fifth round continues a cart that has a hold already.
        reference = f"cart:{number - number % 5}"
        wanted = chance.sample(range(1, 10), 2)
        answers = await asyncio.gather(
            *(
                declare(connection, reference, "P001", quantity)
                for connection, quantity in zip(connections, wanted, strict=False)
            )
        )

        assert sorted(one.status for one in answers) == [200, 200 if number % 5 else 201]
        newest = max((one.json() for one in answers), key=lambda hold: hold["version"])
        shown = (await connections[0].get(f"/v1/reservations/by-reference/{reference}")).json()
        assert shown["lines"][0]["held"] == newest["lines"][0]["held"]
        assert shown["lines"][0]["held"] in wanted
        assert (await level(connections[0], "P001"))["reserved"] == shown["lines"][0]["held"]
        if number % 5 == 4:
            assert (await settle(connections[0], shown["id"], "release")).status == 200

    await audit_stopped(fleet)


@ROUNDS
async def test_the_last_unit_is_either_reserved_or_transferred(
    fleet: Fleet, connections: list[Connection], rounds: int, record_property: Record
) -> None:
    buyer, keeper = connections[:2]
    place = {"code": "annex", "kind": "warehouse", "sellable": False}
    assert (await buyer.post("/v1/locations", place)).status == 201
    move = {"lines": [{"sku": "P001", "from": "main", "to": "annex", "quantity": 1}]}
    outcomes: Counter[str] = Counter()

    for number in range(rounds):
        await count(buyer, "P001", 1)
        asked = [reserve(buyer, "P001"), keeper.post("/v1/stock/transfer", move)]
        # Whoever is sent first mostly wins: both take turns.
        turned = asked if number % 2 else asked[::-1]
        answers = await asyncio.gather(*turned)

        assert sorted(told(one).partition(" ")[2] for one in answers) == ["", "insufficient_stock"]
        (won,) = [one for one in answers if one.status < 300]
        is_reserved = won.status == 201
        outcomes["reserved" if is_reserved else "transferred"] += 1
        now = await level(buyer, "P001")
        assert (now["on_hand"], now["reserved"]) == ((1, 1) if is_reserved else (0, 0))
        assert now["available"] == 0
        if is_reserved:
            assert (await settle(buyer, won.json()["id"], "release")).status == 200

    record_property("outcomes", dict(outcomes))
    movements = await audit_stopped(fleet)
    annex = [row["on_hand"] for row in movements if row["location"] == "annex"]
    assert annex == list(range(1, outcomes["transferred"] + 1))


@ROUNDS
async def test_what_five_ship_at_once_leaves_the_shelf_once(
    fleet: Fleet, connections: list[Connection], rounds: int
) -> None:
    await count(connections[0], "P002", rounds * UNITS + 1)

    for number in range(1, rounds + 1):
        held = (await reserve(connections[0], "P002", UNITS)).json()
        assert (await settle(connections[0], held["id"], "confirm")).status == 200
        answers = await asyncio.gather(
            *(settle(one, held["id"], "fulfill") for one in connections[:5])
        )

        assert sorted(map(told, answers)) == ["200", *["409 reservation_not_active"] * 4]
        now = await level(connections[0], "P002")
        assert now["on_hand"] == (rounds - number) * UNITS + 1
        assert (now["reserved"], now["committed"]) == (0, 0)

    await audit_stopped(fleet)
