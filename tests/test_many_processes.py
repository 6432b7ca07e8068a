"""Several services on one PostgreSQL: each is a process of its own as far as the database knows."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import httpx
import orjson
import pytest
from sqlalchemy import text

from inventory_api.app import open_service
from inventory_api.clock import new_id
from inventory_api.domain.outcome import IdempotencyKey, Outcome
from inventory_api.domain.rejections import Code
from inventory_api.domain.reservation import Expire, Reserve, ReserveLine, Settle
from inventory_api.domain.types import SKU, Instant, LocationCode
from inventory_api.preparation import DEMO, add_key, load_demo
from inventory_api.service import Service
from inventory_api.settings import Settings
from inventory_api.store.database import Session
from inventory_api.store.leases import lost_fences, take_lease
from inventory_api.store.ledger import Filter, list_movements
from inventory_api.store.schema import SchemaOutdated
from inventory_api.workers.turns import Turn
from tests.databases import Template
from tests.ledger_oracle import assert_sound, on_hand_of, one_value
from tests.polling import until_told
from tests.settable_clock import SettableClock
from tests.stock_factory import adjust, command, open_shop, set_item_status, transfer
from tests.web.shop import http_client

pytestmark = pytest.mark.postgres
Services = list[Service]


@pytest.fixture
def database_url(tmp_path: Path, migrated_postgres: Template) -> Iterator[str]:
    with migrated_postgres.copied(tmp_path) as url:
        yield url


@pytest.fixture
def clock() -> SettableClock:
    return SettableClock()


@pytest.fixture
async def services(database_url: str, clock: SettableClock) -> AsyncIterator[Services]:
    settings = Settings(
        database_url=database_url,
        change_deadline_s=60,
        check_deadline_s=60,
        expiry_sweep_s=3600,
        lease_s=60,
    )
    async with AsyncExitStack() as exits:
        services = [
            await exits.enter_async_context(open_service(settings, now=clock)) for _ in range(4)
        ]
        await open_shop(services[0])
        yield services


async def submitted(service: Service, asked: object, key: str | None = None) -> Outcome:
    known = None if key is None else IdempotencyKey(key, b"body")
    return await service.submit(asked, actor="test", key=known)  # type: ignore[arg-type]


def reserve(quantity: int, reference: str | None = None, *, declared: bool = False) -> Reserve:
    line = ReserveLine(SKU("P001"), LocationCode("main"), quantity)
    return Reserve(lines=(line,), ttl_us=60_000_000, reference=reference, declared=declared)


async def test_the_last_unit_goes_to_one_process_only(services: Services) -> None:
    for round_number in range(20):
        await services[0].adjust([{"sku": "P001", "delta": 1}])

        told = await asyncio.gather(
            *(submitted(services[n % 4], command(adjust(-1))) for n in range(40))
        )

        assert sum(one.refused is None for one in told) == 1, round_number
    assert await on_hand_of(services[0].database) == {("P001", "main"): 0}
    await assert_sound(services[0].database)


async def test_processes_that_begin_with_the_demo_at_once_book_its_stock_once(
    database_url: str,
) -> None:
    settings = Settings(database_url=database_url, change_deadline_s=60, expiry_sweep_s=3600)
    async with open_service(settings) as one, open_service(settings) as other:
        await asyncio.gather(load_demo(one), load_demo(other))

        stock = await on_hand_of(one.database)
        assert stock == {(sku, "main"): units for sku, _, units, _ in DEMO}


async def test_changes_of_the_same_level_add_up_whoever_makes_them(services: Services) -> None:
    await asyncio.gather(
        *(services[n % 4].adjust([{"sku": "P001", "delta": 1}]) for n in range(200))
    )

    assert await on_hand_of(services[0].database) == {("P001", "main"): 200}
    await assert_sound(services[0].database)


async def test_transfers_in_a_circle_wait_for_each_other_and_not_in_a_circle(
    services: Services,
) -> None:
    both = [
        {"sku": sku, "location": at, "delta": 500}
        for sku in ("P001", "P002")
        for at in ("main", "store-1")
    ]
    await services[0].adjust(both)

    there = command(transfer(1, "P001"), transfer(1, "P002"))
    back = command(transfer(1, "P002", "store-1", "main"), transfer(1, "P001", "store-1", "main"))
    told = await asyncio.gather(
        *(submitted(services[n % 4], there if n % 2 else back) for n in range(200))
    )

    assert [one.refused for one in told] == [None] * 200
    assert set((await on_hand_of(services[0].database)).values()) == {500}
    assert retries_of(services) == 0
    await assert_sound(services[0].database)


def retries_of(services: Services) -> float:
    """How often batches were decided again."""
    return sum(
        sample.value
        for service in services
        for metric in service.metrics.batch_retries.collect()
        for sample in metric.samples
        if sample.name.endswith("_total")
    )


async def test_one_key_at_several_processes_has_one_effect_and_one_answer(
    services: Services,
) -> None:
    told = await asyncio.gather(
        *(submitted(services[n % 4], command(adjust(5)), key="once") for n in range(40))
    )

    assert len({one.answer for one in told}) == 1
    assert await on_hand_of(services[0].database) == {("P001", "main"): 5}
    await assert_sound(services[0].database)


async def test_two_processes_that_declare_one_cart_leave_one_hold(services: Services) -> None:
    await services[0].adjust([{"sku": "P001", "delta": 100}])

    for round_number in range(10):
        told = await asyncio.gather(
            *(
                submitted(services[n % 4], reserve(n + 1, f"cart:{round_number}", declared=True))
                for n in range(8)
            )
        )
        assert [one.refused for one in told] == [None] * 8

    open_holds = "SELECT count(*) FROM reservation WHERE status = 'active'"
    assert await one_value(services[0].database, open_holds) == 10
    held = await one_value(services[0].database, "SELECT sum(held) FROM allocation")
    assert await one_value(services[0].database, "SELECT sum(reserved) FROM level") == held
    await assert_sound(services[0].database)


async def test_a_hold_is_confirmed_or_expired_and_never_both(
    services: Services, clock: SettableClock
) -> None:
    await services[0].adjust([{"sku": "P001", "delta": 100}])
    for round_number in range(20):
        id_ = await held(services[0], f"cart:{round_number}")
        clock.move(60)

        await asyncio.gather(
            submitted(services[0], Settle(kind="confirm", id=id_)),
            submitted(services[1], Expire(keys=((SKU("P001"), LocationCode("main")),))),
            submitted(services[2], command(adjust(1))),
            submitted(services[3], Settle(kind="release", id=id_)),
        )

    for balance, units in (("reserved", "held"), ("committed", "committed")):
        promised = await one_value(services[0].database, f"SELECT sum({balance}) FROM level")
        assert promised == await one_value(
            services[0].database, f"SELECT sum({units}) FROM allocation"
        )
    await assert_sound(services[0].database)


async def held(service: Service, reference: str) -> str:
    outcome = await submitted(service, reserve(1, reference))
    assert outcome.refused is None, outcome
    id_: str = orjson.loads(outcome.answer)["id"]
    return id_


async def test_an_item_is_archived_or_gets_stock_and_never_both(services: Services) -> None:
    for sku in ("P002", "P003", "P004", "P005"):
        archived, added = await asyncio.gather(
            set_item_status(services[0], sku, "archived"),
            submitted(services[1], command(adjust(1, sku))),
        )

        assert (archived.refused, added.refused) in {
            (Code.ITEM_IN_USE, None),
            (None, Code.ITEM_ARCHIVED),
        }


async def test_a_reader_of_the_ledger_sees_every_number_once_and_in_order(
    services: Services,
) -> None:
    seen: list[int] = []
    done = asyncio.Event()

    async def read() -> None:
        while True:
            is_last = done.is_set()
            async with services[0].database.reader() as session:
                after = seen[-1] if seen else 0
                page = await list_movements(session, Filter(), after=after, limit=1000)
            seen.extend(one.seq for one in page)
            if is_last and not page:
                return

    reading = asyncio.create_task(read())
    await asyncio.gather(
        *(services[n % 4].adjust([{"sku": f"P00{n % 5 + 1}", "delta": 1}]) for n in range(1000))
    )
    done.set()
    await reading

    assert seen == list(range(1, 1001))


async def test_a_key_revoked_by_one_process_is_refused_by_the_next_request_to_another(
    services: Services,
) -> None:
    async with http_client(services[0]) as one, http_client(services[1]) as other:
        made = await one.post("/v1/api-keys", json={"name": "owner", "scopes": ["admin"]})
        owner = {"X-API-Key": made.json()["key"]}
        assert (await other.get("/v1/items")).status_code == httpx.codes.UNAUTHORIZED
        till = (
            await other.post("/v1/api-keys", json={"name": "t", "scopes": ["read"]}, headers=owner)
        ).json()
        header = {"X-API-Key": till["key"]}
        assert (await one.get("/v1/items", headers=header)).status_code == httpx.codes.OK

        await one.delete(f"/v1/api-keys/{till['id']}", headers=owner)

        assert (
            await other.get("/v1/items", headers=header)
        ).status_code == httpx.codes.UNAUTHORIZED


async def test_one_process_at_a_time_has_a_turn(services: Services) -> None:
    turns = [Turn(service, "job", new_id()) for service in services]

    mine = [(await turn.take())[0] for turn in turns]

    assert mine == [True, False, False, False]


async def test_a_turn_that_is_given_back_is_the_next_one_s_at_once(services: Services) -> None:
    first, second = Turn(services[0], "job", "a"), Turn(services[1], "job", "b")
    _, before = await first.take()
    await first.give_back()

    is_mine, after = await second.take()

    assert is_mine
    assert before is not None
    assert after is not None
    assert after.token > before.token


async def test_whoever_slept_while_his_turn_ran_out_does_nothing(
    services: Services, clock: SettableClock
) -> None:
    await services[0].adjust([{"sku": "P001", "delta": 5}])
    await submitted(services[0], reserve(1))
    slow, quick = Turn(services[0], "job", "slow"), Turn(services[1], "job", "quick")
    _, old = await slow.take()
    assert old is not None
    await slow.give_back()
    await quick.take()
    clock.move(60)
    due = ((SKU("P001"), LocationCode("main")),)

    await submitted(services[0], Expire(keys=due, fence=old))

    statuses = "SELECT status FROM reservation"
    assert await one_value(services[0].database, statuses) == "active"
    _, current = await quick.take()
    await submitted(services[1], Expire(keys=due, fence=current))
    assert await one_value(services[0].database, statuses) == "expired"


async def test_the_jobs_of_a_process_that_died_are_taken_over_when_its_lease_is_over(
    services: Services,
) -> None:
    async def work(session: Session, now: Instant) -> Outcome:
        await take_lease(session, "job", "dead", lease_us=300_000)
        return Outcome(b"{}")

    await services[0].transact(work, actor="test")
    turn = Turn(services[1], "job", "alive")

    await until_told(lambda: _is_taken(turn))


async def _is_taken(turn: Turn) -> bool:
    return (await turn.take())[0]


async def test_a_lease_is_checked_until_the_transaction_ends(services: Services) -> None:
    """Nobody takes a job over in the middle of a transaction that works under its lease."""
    turn = Turn(services[0], "job", "a")
    _, fence = await turn.take()
    assert fence is not None
    entered, leave = asyncio.Event(), asyncio.Event()

    async def work(session: Session, now: Instant) -> Outcome:
        assert await lost_fences(session, {fence}) == set()
        entered.set()
        await leave.wait()
        return Outcome(b"{}")

    working = asyncio.create_task(services[0].transact(work, actor="test"))
    await entered.wait()
    taking = asyncio.create_task(Turn(services[1], "job", "b").take())
    await until_told(lambda: _somebody_waits(services[2]))

    assert not taking.done()
    leave.set()
    await working
    await taking


async def _somebody_waits(service: Service) -> bool:
    """Whether a transaction of the database waits for a row of another one."""
    waiting = (
        "SELECT count(*) FROM pg_stat_activity"
        " WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    return bool(await one_value(service.database, waiting))


async def test_a_process_goes_on_when_the_schema_is_ahead_of_it(services: Services) -> None:
    """A release brings its migration first, and its processes one by one."""

    async def work(session: Session, now: Instant) -> Outcome:
        await session.execute(text("UPDATE alembic_version SET version_num = 'ahead'"))
        return Outcome(b"{}")

    await services[0].transact(work, actor="test")

    async with http_client(services[1]) as http:
        assert (await http.get("/readyz")).status_code == httpx.codes.OK
    await services[1].adjust([{"sku": "P001", "delta": 1}])


async def test_a_process_does_not_serve_a_schema_that_is_behind(services: Services) -> None:
    async def work(session: Session, now: Instant) -> Outcome:
        await session.execute(text("UPDATE alembic_version SET version_num = '0001'"))
        return Outcome(b"{}")

    await services[0].transact(work, actor="test")

    with pytest.raises(SchemaOutdated, match="inventory-api migrate"):
        await services[1].database.check_schema()


async def test_a_follower_at_one_process_gets_what_all_of_them_write_in_order(
    services: Services,
) -> None:
    async def follow(service: Service) -> list[int]:
        seen: list[int] = []
        async with service.feed.follow(after=0) as follower:
            while len(seen) < 400:
                seen += [one.seq for one in await follower.read()]
        return seen

    following = [asyncio.create_task(follow(services[n])) for n in (0, 1)]
    await asyncio.gather(
        *(services[n % 4].adjust([{"sku": f"P00{n % 5 + 1}", "delta": 1}]) for n in range(400))
    )

    assert await asyncio.gather(*following) == [list(range(1, 401))] * 2


async def test_what_a_stream_knows_of_the_keys_is_as_old_as_it_may_be_and_not_older(
    services: Services,
) -> None:
    one, other = services[:2]
    await other.know_keys()
    await add_key(one, "inv_till_0123456789abcdefghijklmn", name="till")

    await other.know_keys(within_s=3600)
    assert other.keyring.is_empty
    await other.know_keys(within_s=0)
    assert not other.keyring.is_empty
