"""The clock that holds live by: whatever happens to the machine's clock, so much time passes."""

import pytest
from sqlalchemy import text

from inventory_api.app import open_service
from inventory_api.clock import SteadyClock
from inventory_api.domain.reservation import Reserve, ReserveLine
from inventory_api.domain.types import SKU, Instant
from inventory_api.service import Service
from inventory_api.settings import Settings
from tests.settable_clock import SettableClock
from tests.stock_factory import adjust, command, open_shop

HOUR_S = 3600
EXPIRIES = text("SELECT count(*) FROM movement WHERE type = 'expire'")


class Machine:
    """A clock on the wall, which can be set, and ticks, which only pass."""

    def __init__(self) -> None:
        self.wall = SettableClock()
        self.ticks_ns = 5_000

    def pass_time(self, seconds: float) -> None:
        self.wall.move(seconds)
        self.ticks_ns += round(seconds * 1e9)

    def boot(self, at_least: Instant = Instant(0)) -> SteadyClock:  # noqa: B008 - an integer
        return SteadyClock(at_least, wall=self.wall, ticks=lambda: self.ticks_ns)


@pytest.mark.parametrize("jump_s", [-2 * HOUR_S, 24 * HOUR_S, 400 * 24 * HOUR_S])
def test_a_jump_of_the_wall_clock_is_not_felt(jump_s: int) -> None:
    machine = Machine()
    steady = machine.boot()
    began = steady()

    machine.wall.move(jump_s)
    machine.pass_time(1.5)

    assert steady() - began == 1_500_000


def test_it_starts_with_the_wall_and_never_before_what_was_recorded() -> None:
    machine = Machine()

    assert machine.boot()() == machine.wall()
    late = Instant(machine.wall() + 7)
    assert machine.boot(at_least=late)() == late


async def hold(service: Service, seconds: int) -> None:
    lines = (ReserveLine(SKU("P001"), None, 5),)
    outcome = await service.submit(Reserve(lines=lines, ttl_us=seconds * 1_000_000), actor="test")
    assert outcome.refused is None


async def reserved(service: Service) -> int:
    level = await service.level("P001", "main")
    assert level is not None
    return level.reserved


@pytest.mark.parametrize("jump_s", [-2 * HOUR_S, 24 * HOUR_S])
async def test_a_jump_neither_frees_a_hold_nor_makes_it_immortal(
    database_url: str, jump_s: int
) -> None:
    machine = Machine()
    settings = Settings(database_url=database_url)
    async with open_service(settings, now=machine.wall, steady=machine.boot()) as service:
        await open_shop(service)
        await service.submit(command(adjust(9, reason="received")), actor="test")
        await hold(service, 60)

        machine.wall.move(jump_s)
        machine.pass_time(59.999999)
        assert await reserved(service) == 5
        machine.pass_time(0.000001)
        assert await reserved(service) == 0


async def test_what_ended_while_the_process_was_down_is_accounted_once(database_url: str) -> None:
    machine = Machine()
    settings = Settings(database_url=database_url)
    async with open_service(settings, now=machine.wall, steady=machine.boot()) as service:
        await open_shop(service)
        await service.submit(command(adjust(9, reason="received")), actor="test")
        await hold(service, 60)
    machine.pass_time(60)

    for _ in range(2):
        async with open_service(settings, now=machine.wall, steady=machine.boot()) as service:
            assert await reserved(service) == 0
            await service.submit(command(adjust(1, reason="received")), actor="test")
            async with service.reading() as session:
                (count,) = (await session.execute(EXPIRIES)).one()
            assert count == 1


async def test_a_clock_set_back_while_the_process_was_down_starts_at_the_last_record_of_a_file(
    database_url: str,
) -> None:
    """A server has a clock of its own: a machine that is ahead of it ends nobody's hold."""
    settings = Settings(database_url=database_url)
    tomorrow = SettableClock()
    tomorrow.move(400 * 365 * 24 * HOUR_S)
    async with open_service(settings, now=tomorrow, steady=tomorrow) as service:
        await open_shop(service)
        await service.submit(command(adjust(9, reason="received")), actor="test")

    async with open_service(settings) as service:
        is_file = not service.database.is_shared
        assert (service.steady_clock() >= tomorrow()) == is_file
