"""What was sold, summed by either database: the same as by hand, whatever the history."""

from typing import Any

import pytest

from inventory_api.domain.replenishment import Demand
from inventory_api.domain.types import Instant
from inventory_api.service import Service
from inventory_api.store.demand import DAY, Window, class_borders, demand_of, window_of
from inventory_api.store.levels import list_levels
from tests.settable_clock import SettableClock
from tests.stock_factory import adjust, command, key

NOW = 1_700_000_000_000_000


def ago(days: float) -> Instant:
    return Instant(NOW - int(days * DAY))


async def sell(service: Service, days_ago: float, *lines: Any) -> None:  # Any: lines
    await service.submit(command(*lines, occurred_at=ago(days_ago)), actor="test")


async def stock_up(service: Service, days_ago: float = 100) -> None:
    opening = [adjust(1_000, sku, reason="received") for sku in ("P001", "P002", "P003")]
    await sell(service, days_ago, *opening)


async def found(service: Service, days: int) -> dict[str, Demand]:
    async with service.reading() as session:
        window = await window_of(session, Instant(NOW), days)
        levels = await list_levels(session, after=key("", ""), limit=10)
        demand = await demand_of(session, levels, window)
    return {sku: one for (sku, _), one in demand.items()}


async def test_a_day_s_sales_are_summed_before_they_are_squared(service: Service) -> None:
    await stock_up(service)
    for days_ago, units in ((0.2, 3), (0.9, 4), (1.0, 5), (2.5, 6)):
        await sell(service, days_ago, adjust(-units))

    # A day ends where the next one begins: what was exactly a day ago is of the first.
    assert await found(service, 5) == {
        "P001": Demand(5, 18, 12.0**2 + 6**2),
        "P002": Demand(5),
        "P003": Demand(5),
    }


async def test_what_is_older_than_the_days_is_left_out_however_late_it_was_told(
    service: Service,
) -> None:
    await stock_up(service)
    await sell(service, 5.0, adjust(-1))
    await sell(service, 5.1, adjust(-2))

    assert (await found(service, 5))["P001"].units == 1


async def test_only_what_was_recorded_since_the_days_began_is_read(
    service: Service, clock: SettableClock
) -> None:
    await stock_up(service)
    for _ in range(3):
        await service.submit(command(adjust(-1)), actor="test")
    clock.move(10 * 86_400)
    await service.submit(command(adjust(-2)), actor="test")
    async with service.reading() as session:
        window = await window_of(session, Instant(clock() + 1), 5)

    assert (window.after, window.seq) == (6, 7)


async def test_units_beyond_any_square_are_no_overflow(service: Service) -> None:
    await sell(service, 3, adjust(10**12, reason="received"))
    await sell(service, 1.5, adjust(-(10**12)))

    assert (await found(service, 3))["P001"] == Demand(3, 10**12, 1e24)


async def test_levels_beyond_a_short_read_are_left_for_the_next(
    service: Service,
) -> None:
    await stock_up(service)
    for _ in range(4):
        await sell(service, 1, adjust(-1), adjust(-1, "P002"))
    async with service.reading() as session:
        window = await window_of(session, Instant(NOW), 5)
        levels = await list_levels(session, after=key("", ""), limit=10)
        first = await demand_of(session, levels, window, walk_max=5)
        rest = await demand_of(session, levels[len(first) :], window, walk_max=8)

    assert [sku for sku, _ in first] == ["P001"]
    assert [sku for sku, _ in rest] == ["P002", "P003"]


@pytest.mark.parametrize(
    ("by_value", "wanted"),
    [(False, {"": (80.0, 15.0)}), (True, {"CNY": (pytest.approx(799.2), pytest.approx(149.85))})],
    ids=["units", "value"],
)
async def test_the_borders_of_classes_are_those_of_the_ranked_levels(
    service: Service, by_value: bool, wanted: dict[str, tuple[float, float]]
) -> None:
    await stock_up(service)
    for sku, units in (("P001", 80), ("P002", 15), ("P003", 5)):
        await sell(service, 1, adjust(-units, sku))
    async with service.reading() as session:
        window = await window_of(session, Instant(NOW), 5)
        borders = await class_borders(
            session, window, by_value=by_value, shares=(0.8, 0.95), locations=None
        )

    assert borders == wanted


async def test_levels_of_the_same_weight_are_in_the_same_class(service: Service) -> None:
    await stock_up(service)
    for sku in ("P001", "P002", "P003"):
        await sell(service, 1, adjust(-5, sku))
    async with service.reading() as session:
        window = Window(Instant(NOW), 5, 0, 100)
        borders = await class_borders(
            session, window, by_value=False, shares=(0.1, 0.95), locations={"main"}
        )

    assert borders == {"": (5.0, 5.0)}


async def test_a_level_that_never_moved_in_the_days_sold_nothing(service: Service) -> None:
    await stock_up(service, days_ago=2.5)

    assert (await found(service, 90))["P001"] == Demand(3)
