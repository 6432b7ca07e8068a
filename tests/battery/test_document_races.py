"""Two want the same rest of a shipment, or the same count, or a kit's last component, at once."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import AsyncExitStack

import pytest

from tests.battery.client import JSON, Answer, Connection
from tests.battery.documents import audit_documents
from tests.battery.fleet import Fleet, spread
from tests.battery.holds import count, level, reserve, settle, told
from tests.ledger_oracle import Row

CLIENTS = 20
UNITS = 3
SELLERS = 5
# Both kits need P002: of five units, two tables, or a table and a bench.
TABLE = {"P001": 1, "P002": 2}
BENCH = {"P003": 1, "P002": 3}
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
    """Connections that stand ready; the goods have a second place, and are parts of two kits."""
    async with AsyncExitStack() as exits:
        ready = [
            await exits.enter_async_context(Connection(port))
            for port in spread(fleet.ports, CLIENTS + 1)
        ]
        await asyncio.gather(*(connection.open() for connection in ready))
        place = {"code": "annex", "kind": "warehouse", "sellable": False}
        assert (await ready[0].post("/v1/locations", place)).status == 201
        for sku, recipe in (("TABLE", TABLE), ("BENCH", BENCH)):
            parts = [{"sku": part, "quantity": units} for part, units in recipe.items()]
            kit = {"sku": sku, "name": sku, "components": parts}
            assert (await ready[0].post("/v1/items", kit)).status == 201
        yield ready


@ROUNDS
async def test_the_open_rest_of_a_transfer_is_received_by_one_of_two(
    fleet: Fleet, connections: list[Connection], rounds: int, record_property: Record
) -> None:
    """Either without lines, or by more than half of it each."""
    outcomes: Counter[str] = Counter()
    await count(connections[0], "P001", rounds * UNITS)

    for number in range(1, rounds + 1):
        path = await _ship(connections[0])
        body: JSON = {} if number % 2 else {"lines": [{"sku": "P001", "quantity": UNITS - 1}]}
        asked = [one.post(f"{path}/receive", body) for one in connections[:2]]
        winner = _only_winner(await _at_once(asked, number), "409 not_open")
        outcomes[f"the {'second' if winner else 'first'} received"] += 1

        if body:
            await _assert_units(connections[0], number * UNITS - 1, under_way=1)
            assert (await connections[0].post(f"{path}/receive", {})).status == 200
        await _assert_units(connections[0], number * UNITS, under_way=0)

    record_property("outcomes", dict(outcomes))
    await _audit(fleet)


@ROUNDS
async def test_goods_under_way_are_either_received_or_go_back(
    fleet: Fleet, connections: list[Connection], rounds: int, record_property: Record
) -> None:
    outcomes: Counter[str] = Counter()
    await count(connections[0], "P001", rounds * UNITS)

    for number in range(1, rounds + 1):
        path = await _ship(connections[0])
        verbs = ("receive", "cancel")
        asked = [
            one.post(f"{path}/{verb}", {}) for one, verb in zip(connections, verbs, strict=False)
        ]
        outcomes[verbs[_only_winner(await _at_once(asked, number), "409 not_open")]] += 1

        await _assert_units(connections[0], outcomes["receive"] * UNITS, under_way=0)
        shelf = await level(connections[0], "P001")
        assert shelf["on_hand"] == (rounds - outcomes["receive"]) * UNITS

    record_property("outcomes", dict(outcomes))
    assert len(outcomes) == 2 or rounds < 200, "an outcome was never reached"
    await _audit(fleet)


@ROUNDS
async def test_a_count_that_two_post_is_booked_once(
    fleet: Fleet, connections: list[Connection], rounds: int
) -> None:
    await count(connections[0], "P001", rounds)

    for number in range(1, rounds + 1):
        path = await _counted(connections[0], variance=-1)
        asked = [one.post(f"{path}/post", None) for one in connections[:2]]
        _only_winner(await _at_once(asked, number), "409 count_not_open")

        assert (await level(connections[0], "P001"))["on_hand"] == rounds - number

    booked = _counts(await _audit(fleet))
    assert [row["d_on_hand"] for row in booked] == [-1] * rounds


@ROUNDS
async def test_sales_survive_a_count_that_is_posted_among_them(
    fleet: Fleet, connections: list[Connection], rounds: int, record_property: Record
) -> None:
    """Some are sold before the shelf is written down, and more while the count is posted."""
    chance = random.Random(rounds)
    start = rounds * 2 * SELLERS
    await count(connections[0], "P001", start)
    sale = {"reason": "sale", "lines": [{"sku": "P001", "location": "main", "delta": -1}]}
    poster, *sellers = connections[: SELLERS + 1]

    for number in range(1, rounds + 1):
        path = await _counted(poster, variance=1, before_recording=(sellers, sale))
        asked = [one.post("/v1/stock/adjust", sale) for one in sellers]
        asked.insert(chance.randint(0, SELLERS), poster.post(f"{path}/post", None))
        answers = await asyncio.gather(*asked)

        assert {one.status for one in answers} == {200}, answers
        sold = number * 2 * SELLERS
        assert (await level(poster, "P001"))["on_hand"] == start - sold + number

    movements = [row for row in await _audit(fleet) if row["sku"] == "P001"]
    assert [row["d_on_hand"] for row in _counts(movements)] == [1] * rounds
    record_property("sales of a round before the posting", _sales_before_posting(movements))


@ROUNDS
async def test_kits_that_share_a_scarce_component_are_held_as_often_as_it_allows(
    fleet: Fleet, connections: list[Connection], rounds: int, record_property: Record
) -> None:
    chance = random.Random(rounds)
    outcomes: Counter[str] = Counter()
    keeper, *buyers = connections
    for sku in ("P001", "P003"):
        await count(keeper, sku, 100)

    for _ in range(rounds):
        await count(keeper, "P002", 5)
        wanted = ["TABLE", "BENCH"] * (CLIENTS // 2)
        chance.shuffle(wanted)
        answers = await asyncio.gather(
            *(reserve(one, sku) for one, sku in zip(buyers, wanted, strict=True))
        )

        assert {told(one) for one in answers} == {"201", "409 insufficient_stock"}
        held = [one.json() for one in answers if one.status == 201]
        kits = Counter(hold["lines"][0]["sku"] for hold in held)
        # Who was refused a table found less than two units, and there are no more now.
        left = 5 - kits["TABLE"] * TABLE["P002"] - kits["BENCH"] * BENCH["P002"]
        assert 0 <= left < 2, kits
        outcomes[" and ".join(sorted(kits.elements()))] += 1
        for sku, reserved in (("P001", kits["TABLE"]), ("P002", 5 - left), ("P003", kits["BENCH"])):
            assert (await level(keeper, sku))["reserved"] == reserved, (sku, kits)
        for hold in held:
            assert (await settle(keeper, hold["id"], "release")).status == 200

    record_property("outcomes", dict(outcomes))
    assert len(outcomes) == 2 or rounds < 200, "an outcome was never reached"
    await _audit(fleet)


@ROUNDS
async def test_a_kit_ships_whole_or_not_at_all_when_a_component_breaks_meanwhile(
    fleet: Fleet, connections: list[Connection], rounds: int, record_property: Record
) -> None:
    """Breakage is a fact, and may take what is promised: the kit's other component stays too."""
    outcomes: Counter[str] = Counter()
    line = {"sku": "P002", "location": "main", "delta": -1}
    breakage = {"reason": "damaged", "lines": [line]}

    for number in range(rounds):
        for sku, units in TABLE.items():
            await count(connections[0], sku, units)
        hold = (await reserve(connections[0], "TABLE")).json()["id"]
        assert (await settle(connections[0], hold, "confirm")).status == 200
        asked = [
            settle(connections[0], hold, "fulfill"),
            connections[1].post("/v1/stock/adjust", breakage),
        ]
        has_broken = _only_winner(await _at_once(asked, number), "409 insufficient_stock")
        outcomes["broken" if has_broken else "shipped"] += 1

        for sku, units in TABLE.items():
            now = await level(connections[0], sku)
            kept = units - (sku == "P002") if has_broken else 0
            assert (now["on_hand"], now["committed"]) == (kept, units if has_broken else 0), now
        # The promise goes, so that the next round begins with a free shelf.
        freed = await settle(connections[0], hold, "release")
        assert told(freed) == ("200" if has_broken else "409 reservation_not_active")

    record_property("outcomes", dict(outcomes))
    assert len(outcomes) == 2 or rounds < 200, "an outcome was never reached"
    await _audit(fleet)


async def _ship(connection: Connection) -> str:
    """Goods under way from `main` to `annex`; the path of their transfer."""
    body = {"from": "main", "to": "annex", "lines": [{"sku": "P001", "quantity": UNITS}]}
    answer = await connection.post("/v1/transfers", body)
    assert answer.status == 201, answer
    return f"/v1/transfers/{answer.json()['id']}"


async def _counted(
    connection: Connection,
    *,
    variance: int,
    before_recording: tuple[Sequence[Connection], JSON] = ((), None),
) -> str:
    """A count of what was there at its opening and so many more, ready to be posted; its path."""
    opened = (await connection.post("/v1/counts", {"skus": ["P001"]})).json()
    sellers, sale = before_recording
    sold = await asyncio.gather(*(one.post("/v1/stock/adjust", sale) for one in sellers))
    assert all(one.status == 200 for one in sold), sold
    found = opened["lines"][0]["expected"] + variance
    path = f"/v1/counts/{opened['id']}"
    body = {"lines": [{"sku": "P001", "counted": found}]}
    assert (await connection.post(f"{path}/lines", body)).status == 200
    return path


async def _at_once(asked: list[Coroutine[None, None, Answer]], number: int) -> list[Answer]:
    """Two answers; whoever is sent first mostly wins, so that both take turns."""
    first, second = asked
    if number % 2:
        return list(await asyncio.gather(first, second))
    return list(await asyncio.gather(second, first))[::-1]


def _only_winner(answers: list[Answer], refusal: str) -> int:
    """Which of two answers is the success; the other one has to be the refusal."""
    winner = 0 if answers[0].status == 200 else 1
    assert (answers[winner].status, told(answers[1 - winner])) == (200, refusal), answers
    return winner


async def _assert_units(connection: Connection, arrived: int, *, under_way: int) -> None:
    annex, transit = [await level(connection, "P001", code) for code in ("annex", "transit")]
    assert (annex["on_hand"], annex["incoming"]) == (arrived, under_way)
    assert transit["on_hand"] == under_way


async def _audit(fleet: Fleet) -> list[Row]:
    """Raise unless the books are clean and the documents agree with them; the movements."""
    movements, _, _ = await audit_documents(fleet)
    return movements


def _counts(movements: list[Row]) -> list[Row]:
    return [row for row in movements if _is_of_count(row)]


def _is_of_count(row: Row) -> bool:
    return row["reference"] is not None and row["reference"].startswith("count:")


def _sales_before_posting(movements: list[Row]) -> dict[int, int]:
    """How many rounds had so many sales between the opening of the count and its posting."""
    found: Counter[int] = Counter()
    sold = posted = 0
    for row in movements:
        sold += row["reason"] == "sale"
        if _is_of_count(row):
            found[sold - posted * 2 * SELLERS] += 1
            posted += 1
    return dict(sorted(found.items()))
