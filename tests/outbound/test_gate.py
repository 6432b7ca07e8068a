"""A host's gate: order, slots, rate, pauses, and bounded waits."""

import asyncio
from dataclasses import replace
from itertools import combinations

import pytest
from hypothesis import given, strategies as st

from inventory_api.outbound.errors import Busy
from inventory_api.outbound.gate import Gate
from inventory_api.outbound.limits import HostLimits
from tests.outbound.peer import Still


def gate_of(
    time: Still,
    limits: HostLimits,
    *,
    total: int = 100,
    waiting_max: int = 100,
    wait_max_s: float = 30,
) -> Gate:
    return Gate(
        limits,
        asyncio.Semaphore(total),
        time.pace,
        waiting_max=waiting_max,
        wait_max_s=wait_max_s,
    )


async def starts(time: Still, gate: Gate, count: int) -> list[float]:
    """When so many short calls begin that all come at once."""
    began: list[float] = []

    async def call() -> None:
        await gate.enter()
        began.append(time.now_s)
        gate.leave()

    async with asyncio.TaskGroup() as calls:
        for _ in range(count):
            calls.create_task(call())
    return began


@pytest.mark.parametrize(("rate", "burst"), [(20.0, 1), (20.0, 5), (0.5, 3), (3.0, 2)])
async def test_no_stretch_of_time_sees_more_than_the_burst_and_the_rate(
    rate: float, burst: int
) -> None:
    time = Still()
    gate = gate_of(time, HostLimits(5, rate, burst), wait_max_s=1000)

    began = await starts(time, gate, 50)

    assert len(began) == 50
    for first, last in combinations(range(50), 2):
        span_s = began[last] - began[first]
        assert last - first + 1 <= burst + rate * span_s + 1e-3
    assert began[-1] - began[0] == pytest.approx((50 - burst) / rate)


@given(
    quiet=st.lists(st.floats(0, 10), min_size=1, max_size=40),
    rate=st.floats(0.1, 1000),
    burst=st.integers(1, 20),
)
def test_quiet_times_save_no_more_than_a_burst(quiet: list[float], rate: float, burst: int) -> None:
    async def run() -> list[float]:
        time = Still()
        gate = gate_of(time, HostLimits(1, rate, burst), wait_max_s=1000)
        began = []
        for seconds in quiet:
            time.now_s += seconds
            began += await starts(time, gate, 3)
        return began

    began = asyncio.run(run())

    for first, last in combinations(range(len(began)), 2):
        assert last - first + 1 <= burst + rate * (began[last] - began[first]) + 1e-3


async def test_never_more_are_open_than_the_host_can_bear_and_all_come_in_order() -> None:
    gate = gate_of(Still(), HostLimits(3, 1000, 100))
    order: list[int] = []
    is_open = 0
    most = 0

    async def call(number: int) -> None:
        nonlocal is_open, most
        await gate.enter()
        order.append(number)
        is_open += 1
        most = max(most, is_open)
        await asyncio.sleep(0)
        is_open -= 1
        gate.leave()

    await asyncio.gather(*(call(number) for number in range(30)))

    assert most == 3
    assert order == list(range(30))


async def test_a_pause_holds_everybody_and_ends_without_a_rush() -> None:
    time = Still()
    gate = gate_of(time, HostLimits(10, 10, 1))
    gate.pause(5)
    gate.pause(1)

    began = await starts(time, gate, 3)

    assert began == pytest.approx([1005, 1005.1, 1005.2])


async def test_who_cannot_outlast_a_pause_is_told_at_once_how_long_it_is() -> None:
    time = Still()
    gate = gate_of(time, HostLimits(1, 10, 1), wait_max_s=30)
    gate.pause(60)

    with pytest.raises(Busy) as refused:
        await gate.enter()

    assert refused.value.retry_after_s == 60
    assert time.slept == []


async def test_a_full_waiting_room_refuses_at_once() -> None:
    gate = gate_of(Still(), HostLimits(1, 1000, 100), waiting_max=2)
    await gate.enter()
    waiting = [asyncio.create_task(gate.enter()) for _ in range(2)]
    await asyncio.sleep(0)

    with pytest.raises(Busy, match="2 calls wait"):
        await gate.enter()

    for task in waiting:
        gate.leave()
        await task


async def test_nobody_waits_for_a_slot_for_ever() -> None:
    gate = gate_of(Still(), HostLimits(1, 1000, 100), wait_max_s=0.01)
    await gate.enter()

    with pytest.raises(Busy, match="no slot"):
        await gate.enter()

    gate.leave()
    await gate.enter()


async def test_all_hosts_together_have_a_bound_too() -> None:
    total = asyncio.Semaphore(1)
    limits = HostLimits(5, 1000, 100)
    first, second = (
        Gate(limits, total, Still().pace, waiting_max=9, wait_max_s=30) for _ in range(2)
    )
    await first.enter()
    other = asyncio.create_task(second.enter())
    await asyncio.sleep(0)
    assert not other.done()

    first.leave()

    await other


async def test_a_paused_host_holds_none_of_the_slots_that_all_share() -> None:
    total = asyncio.Semaphore(1)
    asleep = asyncio.Event()

    async def sleep(seconds: float) -> None:
        asleep.set()
        await asyncio.Event().wait()

    pace = replace(Still().pace, sleep=sleep)
    limits = HostLimits(5, 1000, 100)
    paused, other = (Gate(limits, total, pace, waiting_max=9, wait_max_s=30) for _ in range(2))
    paused.pause(5)
    waiting = asyncio.create_task(paused.enter())
    await asleep.wait()

    await other.enter()

    other.leave()
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)


async def test_a_pause_that_is_asked_for_while_a_shared_slot_is_awaited_is_kept() -> None:
    time = Still()
    total = asyncio.Semaphore(1)
    limits = HostLimits(5, 1000, 100)
    other, paused = (Gate(limits, total, time.pace, waiting_max=9, wait_max_s=30) for _ in range(2))
    await other.enter()
    waiting = asyncio.create_task(starts(time, paused, 1))
    await asyncio.sleep(0)
    await asyncio.sleep(0)

    paused.pause(5)
    other.leave()

    assert await waiting == [1005]


async def test_who_stops_waiting_takes_no_slot_along() -> None:
    gate = gate_of(Still(), HostLimits(1, 1000, 100), total=1)
    await gate.enter()
    gone = asyncio.create_task(gate.enter())
    await asyncio.sleep(0)
    gone.cancel()
    await asyncio.gather(gone, return_exceptions=True)

    gate.leave()

    await asyncio.wait_for(gate.enter(), 5)


@pytest.mark.parametrize("limits", [(0, 1.0, 1), (1, 0.0, 1), (1, 1.0, 0)])
def test_limits_that_let_nothing_through_are_refused(limits: tuple[int, float, int]) -> None:
    with pytest.raises(ValueError, match="nothing"):
        HostLimits(*limits)
