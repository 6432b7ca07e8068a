"""Many at once: one winner for the last unit, and no change lost or made up."""

import asyncio
import random
from collections import Counter

import pytest

from inventory_api.domain.outcome import IdempotencyKey, Outcome
from inventory_api.domain.unavailable import Unavailable
from inventory_api.service import Service
from tests.ledger_oracle import assert_sound, head_of, on_hand_of
from tests.stock_factory import adjust, command, count

BUYERS = 300
ROUNDS = 30


async def buy(service: Service) -> bool:
    outcome = await service.submit(command(adjust(-1)), actor="test")
    return outcome.refused is None


async def test_the_last_unit_has_one_buyer_out_of_three_hundred_thirty_times(
    service: Service,
) -> None:
    for _ in range(ROUNDS):
        await service.submit(command(count(1)), actor="test")

        winners = await asyncio.gather(*[buy(service) for _ in range(BUYERS)])

        assert sum(winners) == 1
    assert await on_hand_of(service.database) == {("P001", "main"): 0}
    assert len(await assert_sound(service.database)) == 2 * ROUNDS


async def test_five_hundred_units_have_five_hundred_of_two_thousand_buyers(
    service: Service,
) -> None:
    await service.adjust([{"sku": "P001", "delta": 500}])
    queue = iter(range(2_000))

    async def shop() -> list[bool]:
        return [await buy(service) for _ in queue]

    bought = await asyncio.gather(*[shop() for _ in range(64)])

    assert Counter(one for shopper in bought for one in shopper) == {True: 500, False: 1_500}
    assert await on_hand_of(service.database) == {("P001", "main"): 0}
    assert len(await assert_sound(service.database)) == 501


async def test_an_atomic_batch_of_fifty_with_one_bad_line_changes_nothing(
    service: Service,
) -> None:
    await service.adjust([{"sku": sku, "delta": 50} for sku in ("P001", "P002")])
    lines = [adjust(-1) for _ in range(49)]
    lines.insert(30, adjust(-51, "P002"))

    outcome = await service.submit(command(*lines), actor="test")

    assert outcome.refused == "insufficient_stock"
    assert b'"index":30' in outcome.answer
    assert await head_of(service.database) == 2


class Torture:
    """Changes whose senders leave at any moment, and what each was told."""

    def __init__(self, service: Service, *, seed: int) -> None:
        self.service = service
        self.chance = random.Random(seed)
        self.told: dict[str, str] = {}

    async def change(self, name: str) -> None:
        """Send one change; leave after 0 to 30 ms, or set a deadline of 1 to 20 ms, or wait."""
        way = self.chance.choice(("leave", "leave", "hurry", "hurry", "wait"))
        deadline_s = self.chance.uniform(0.001, 0.020) if way == "hurry" else 60
        task = asyncio.create_task(self._send(name, deadline_s))
        if way == "leave":
            asyncio.get_running_loop().call_later(self.chance.uniform(0, 0.030), task.cancel)
        try:
            await task
        except asyncio.CancelledError:
            self.told[name] = "unknown"
        except Unavailable as unavailable:
            self.told[name] = unavailable.applied
        else:
            self.told[name] = "yes"

    async def retry(self, name: str) -> bool:
        """Send a change again; whether it turned out to be applied before."""
        outcome = await self._send(name, 30)
        assert outcome.refused is None
        return outcome.replayed

    async def _send(self, name: str, deadline_s: float) -> Outcome:
        return await self.service.committer.submit(
            command(adjust(1), adjust(1, "P002"), reference=name),
            actor="test",
            key=IdempotencyKey(name, b"body"),
            deadline_s=deadline_s,
        )


async def torture(service: Service, *, changes: int, at_once: int, seed: int) -> Torture:
    battery = Torture(service, seed=seed)
    names = iter([f"change:{number}" for number in range(changes)])

    async def client() -> None:
        for name in names:
            await battery.change(name)

    await asyncio.gather(*[client() for _ in range(at_once)])
    return battery


async def references_of(service: Service) -> Counter[str]:
    """How many movements each change made."""
    return Counter(row["reference"] for row in await assert_sound(service.database))


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_senders_that_leave_at_any_moment_lose_nothing_and_make_nothing_up(
    service: Service, seed: int
) -> None:
    tasks_before = len(asyncio.all_tasks())

    battery = await torture(service, changes=1_000, at_once=100, seed=seed)
    await service.submit(command(adjust(1, "P003"), reference="last"), actor="test")

    applied = await references_of(service)
    told = battery.told
    assert len(told) == 1_000
    assert {name for name in told if told[name] == "yes"} <= set(applied)
    assert not {name for name in told if told[name] == "no"} & set(applied)
    assert set(applied) <= {name for name in told if told[name] != "no"} | {"last"}
    assert set(applied.values()) <= {1, 2}
    assert service.database.checked_out() == 0
    assert len(asyncio.all_tasks()) == tasks_before

    unknown = [name for name in told if told[name] == "unknown"]
    replayed = await asyncio.gather(*[battery.retry(name) for name in unknown])

    assert {name for name, was in zip(unknown, replayed, strict=True) if was} == (
        set(unknown) & set(applied)
    )
    final = await references_of(service)
    final.pop("last")
    assert final == dict.fromkeys([name for name in told if told[name] != "no"], 2)
    assert {"yes", "no", "unknown"} <= set(told.values())
