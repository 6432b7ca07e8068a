"""What a refused line is told of other places and times, and what a batch of refusals costs."""

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest

from inventory_api.domain.commands import Mode
from inventory_api.domain.decide import Decision, Refused, Snapshot, decide
from inventory_api.domain.draft import Stamp
from inventory_api.domain.judge import judge
from inventory_api.domain.prospects import Next, Prospects
from inventory_api.domain.reservation import Reserve, ReserveLine
from inventory_api.domain.sourcing import Place
from inventory_api.domain.types import SKU, Instant, LocationCode, Recipe
from tests.stock_factory import MAIN, P001, STORE, adjust, command, level, snapshot

KIT = SKU("KIT")
LINES = 200


def steps_of(work: Callable[[], object]) -> int:
    """Instructions of the interpreter: a measure that no other load on the machine changes."""
    count = 0

    def step(frame: FrameType, event: str, argument: Any) -> Any:
        nonlocal count
        frame.f_trace_opcodes = True
        count += event == "opcode"
        return step

    before = sys.gettrace()
    sys.settrace(step)
    try:
        work()
    finally:
        sys.settrace(before)
    return count


def shop(count: int) -> Snapshot:
    """So many items with one unit at main, and as many kits of two of each."""
    found = snapshot(*(level(1, f"S{number}") for number in range(count)))
    found.places.update({MAIN: Place(True, 0), STORE: Place(True, 1)})
    return found


def adjusted(count: int) -> Decision:
    lines = [adjust(-2, f"S{number}") for number in range(count)]
    return decide(command(*lines, mode=Mode.INDEPENDENT), shop(count))


def reserved(count: int, location: LocationCode | None = None) -> Decision:
    lines = [ReserveLine(SKU(f"S{number}"), location, 2) for number in range(count)]
    return judge(Reserve(lines=tuple(lines), ttl_us=1), shop(count), Stamp("r", "a", Instant(0)))


def reserved_as_kits(count: int) -> Decision:
    found = shop(count)
    found.kits.update({SKU(f"K{one}"): ((SKU(f"S{one}"), 2),) for one in range(count)})
    lines = [ReserveLine(SKU(f"K{number}"), MAIN, 1) for number in range(count)]
    return judge(Reserve(lines=tuple(lines), ttl_us=1), found, Stamp("r", "a", Instant(0)))


def of_one_item(count: int) -> Decision:
    lines = [adjust(-2, "S0") for _ in range(count)]
    return decide(command(*lines, mode=Mode.INDEPENDENT), shop(1))


def of_one_kit(count: int) -> Decision:
    found = shop(1)
    found.kits[KIT] = ((SKU("S0"), 2),)
    lines = tuple(ReserveLine(KIT, MAIN, 1) for _ in range(count))
    return judge(Reserve(lines=lines, ttl_us=1), found, Stamp("r", "a", Instant(0)))


def told(decision: Decision, count: int) -> None:
    """Explain all lines by levels that each promise something: one of each item, and many of one."""
    codes = [LocationCode(f"L{number}") for number in range(count)]
    keys = [(SKU(f"S{number}"), MAIN) for number in range(count)]
    keys += [(SKU("S0"), code) for code in codes]
    nexts = [Next(*key, 1, Instant(5), None) for key in keys]
    prospects = Prospects([(*key, 1) for key in keys], nexts, {})
    for result in decision.results:
        assert isinstance(result, Refused)
        prospects.tell(result, None)
    assert len(decision.results) == count


@pytest.mark.parametrize(
    "asked",
    [adjusted, reserved, reserved_as_kits, of_one_item, of_one_kit],
    ids=lambda one: one.__name__,
)
def test_twice_the_short_lines_over_twice_the_levels_cost_twice(
    asked: Callable[[int], Decision],
) -> None:
    few = steps_of(lambda: told(asked(LINES), LINES))
    many = steps_of(lambda: told(asked(2 * LINES), 2 * LINES))

    assert many < 2.2 * few


def test_a_place_that_lacks_one_component_waits_for_no_other() -> None:
    recipe: Recipe = ((P001, 1), (SKU("P002"), 1))
    found = snapshot(level(9), level(9, "P002", "store-1"))
    found.places.update({MAIN: Place(True, 0), STORE: Place(True, 1)})
    found.kits[KIT] = recipe
    asked = Reserve(lines=(ReserveLine(KIT, None, 1),), ttl_us=1)
    (refused,) = judge(asked, found, Stamp("r", "a", Instant(0))).results
    assert isinstance(refused, Refused)

    Prospects([], [Next(SKU("P002"), MAIN, 1, None, Instant(7))], {}).tell(refused, None)

    assert refused.rejection.facts["next_available_at"] == "1970-01-01T00:00:00.000007Z"
