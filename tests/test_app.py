"""The running service: how it starts, what it loads, how it stops."""

import asyncio

import pytest
from pydantic import SecretStr

from inventory_api.app import open_service
from inventory_api.preparation import DEMO, load_demo
from inventory_api.settings import Settings
from inventory_api.store.catalog import find_item, find_location
from inventory_api.store.database import DatabaseClosed
from inventory_api.store.lock import AlreadyServed
from tests.ledger_oracle import assert_sound, on_hand_of, rows_of
from tests.other_program import running
from tests.settable_clock import START, SettableClock


async def test_the_default_location_is_there_from_the_first_start(settings: Settings) -> None:
    elsewhere = settings.model_copy(update={"default_location": "depot"})
    async with open_service(elsewhere) as service, service.database.reader() as session:
        found = await find_location(session, "depot")

    assert found is not None
    assert (found.kind, found.sellable, found.status) == ("warehouse", 1, "active")


async def test_goods_under_way_have_a_place_from_the_first_start(settings: Settings) -> None:
    elsewhere = settings.model_copy(update={"transit_location": "road"})
    async with open_service(elsewhere) as service, service.database.reader() as session:
        found = await find_location(session, "road")

    assert found is not None
    assert (found.kind, found.sellable, found.status) == ("transit", 0, "active")


async def test_a_second_start_finds_the_locations_as_they_were_left(settings: Settings) -> None:
    clock = SettableClock()
    async with open_service(settings, now=clock):
        pass
    clock.move(seconds=60)

    async with open_service(settings, now=clock) as service:
        rows = await rows_of(service.database, "SELECT code, version, created_at FROM location")

    assert rows == [
        {"code": code, "version": 1, "created_at": START} for code in ("main", "transit")
    ]


async def test_the_demo_is_the_five_goods_with_their_stock_and_prices(settings: Settings) -> None:
    async with open_service(settings) as service:
        assert await load_demo(service)

        async with service.database.reader() as session:
            found = [await find_item(session, sku) for sku, *_ in DEMO]
        assert await on_hand_of(service.database) == {
            ("P001", "main"): 50,
            ("P002", "main"): 200,
            ("P003", "main"): 150,
            ("P004", "main"): 80,
            ("P005", "main"): 120,
        }
        assert [(one.name, one.amount, one.currency) for one in found if one is not None] == [
            ("笔记本电脑", "5999.00", "CNY"),
            ("无线鼠标", "89.00", "CNY"),
            ("机械键盘", "399.00", "CNY"),
            ("显示器", "1299.00", "CNY"),
            ("USB-C扩展坞", "199.00", "CNY"),
        ]
        await assert_sound(service.database)


async def test_the_demo_is_loaded_into_an_empty_database_only(settings: Settings) -> None:
    async with open_service(settings) as service:
        await load_demo(service)
        await service.adjust([{"sku": "P001", "delta": -50}], reason="sale")

        assert not await load_demo(service)

        level = await service.level("P001", "main")
        assert level is not None
        assert level.on_hand == 0


async def test_a_service_that_was_left_is_closed(settings: Settings) -> None:
    async with open_service(settings) as service:
        pass

    with pytest.raises(DatabaseClosed):
        await service.check([{"sku": "P001"}])


@pytest.mark.sqlite
async def test_one_file_has_one_service(settings: Settings) -> None:
    async with open_service(settings):
        with pytest.raises(AlreadyServed):
            await open_service(settings).__aenter__()


async def test_an_error_in_the_body_still_closes_the_file(settings: Settings) -> None:
    with pytest.raises(ValueError, match="mine"):
        async with open_service(settings) as service:
            raise ValueError("mine")

    with pytest.raises(DatabaseClosed):
        service.database.checked_out()
    async with open_service(settings):
        pass


async def test_a_cancelled_service_closes_the_file(settings: Settings) -> None:
    entered = asyncio.Event()

    async def serve() -> None:
        async with open_service(settings):
            entered.set()
            await asyncio.Event().wait()

    serving = asyncio.create_task(serve())
    await entered.wait()
    serving.cancel()
    await asyncio.gather(serving, return_exceptions=True)

    async with open_service(settings):
        pass


async def test_the_operator_s_own_key_is_known_from_the_first_start(settings: Settings) -> None:
    key = "inv_operator_0123456789abcdefghijklmnop"
    given = settings.model_copy(update={"admin_key": SecretStr(key)})

    async with open_service(given) as service:
        assert service.keyring.principal(key) is not None
    async with open_service(settings) as service:
        principal = service.keyring.principal(key)

    assert principal is not None
    assert principal.id == "operator"


@pytest.mark.parametrize(
    "key",
    ["secret", "inv_operator_short", "inv__0123456789abcdefghijklmnop", "xyz_a_" + "x" * 30],
    ids=["no_parts", "short_secret", "no_id", "another_prefix"],
)
async def test_a_key_that_is_none_is_refused_at_start(settings: Settings, key: str) -> None:
    given = settings.model_copy(update={"admin_key": SecretStr(key)})

    with pytest.raises(ValueError, match="inv_<id>_<secret>"):
        await open_service(given).__aenter__()


SELL_FOR_EVER = """
import asyncio, sys
from inventory_api.app import open_service
from inventory_api.preparation import load_demo
from inventory_api.settings import Settings
async def main():
    async with open_service(Settings(database_url=sys.argv[1])) as service:
        await load_demo(service)
        done = 0
        while True:
            await asyncio.gather(*[
                service.adjust([{"sku": "P001", "delta": 1}], key=f"k{done + n}") for n in range(20)
            ])
            done += 20
            print(done, flush=True)
asyncio.run(main())
"""


async def test_what_a_killed_process_acknowledged_is_there_after_the_restart(
    database_url: str,
) -> None:
    with running(SELL_FOR_EVER, database_url) as (victim, output):
        acknowledged = max(int(output.readline()) for _ in range(5))
        victim.kill()
        acknowledged = max([acknowledged, *map(int, output.read().splitlines())])

    async with open_service(Settings(database_url=database_url)) as service:
        on_hand = (await on_hand_of(service.database))["P001", "main"]
        await assert_sound(service.database)

    assert acknowledged <= on_hand - 50 <= acknowledged + 20
