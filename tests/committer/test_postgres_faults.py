"""What becomes of changes when a PostgreSQL does not play along: nothing needs a new process."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress

import pytest

from inventory_api.app import open_service
from inventory_api.domain.outcome import IdempotencyKey, Outcome
from inventory_api.domain.types import Instant
from inventory_api.domain.unavailable import (
    DeadlineExpired,
    OutcomeUnknown,
    StorageBusy,
    StorageFull,
    StorageReadOnly,
    StorageUnreachable,
)
from inventory_api.service import Service
from inventory_api.settings import Settings
from inventory_api.store.database import Session
from tests.committer.broken_commit import break_commits_about, fail_at_commit
from tests.committer.test_isolation import POISONS
from tests.committer.writer_gate import held, locked, outcomes, queued, send, taken
from tests.cutting_proxy import CuttingProxy, When, cutting
from tests.databases import Template, other_connection, run_aside
from tests.ledger_oracle import assert_sound, on_hand_of, rows_of
from tests.polling import until_told
from tests.postgres import PostgresServer
from tests.stock_factory import adjust, command, open_shop

pytestmark = pytest.mark.postgres
WRITERS = (
    "FROM pg_stat_activity WHERE application_name = 'inventory-api'"
    " AND datname = current_database() AND wait_event_type = 'Lock'"
)


@pytest.fixture
def database_url(migrated_postgres: Template) -> Iterator[str]:
    with migrated_postgres.copied() as url:
        yield url


@pytest.fixture
async def patient(settings: Settings) -> AsyncIterator[Service]:
    """A service that waits long for a foreign lock."""
    async with open_service(settings.model_copy(update={"busy_timeout_s": 30})) as service:
        await open_shop(service)
        yield service


@contextmanager
def failing(service: Service, code: str) -> Iterator[None]:
    """While inside, no movement can be inserted, for a reason that the server gives."""
    url = service.database.options.url
    run_aside(
        url,
        "CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS"
        f" $$ BEGIN RAISE EXCEPTION 'some words' USING ERRCODE = '{code}'; END $$",
        "CREATE TRIGGER fail BEFORE INSERT ON movement EXECUTE FUNCTION fail()",
    )
    yield
    run_aside(url, "DROP FUNCTION fail CASCADE")


@pytest.mark.parametrize(
    ("code", "fault"),
    [("53100", StorageFull), ("53200", StorageBusy), ("25006", StorageReadOnly)],
    ids=["disk_full", "out_of_memory", "read_only"],
)
async def test_a_batch_that_can_not_be_written_is_refused_whole_and_the_next_one_is_not(
    service: Service, code: str, fault: type[Exception]
) -> None:
    await send(service, command(adjust(7)), key="before")
    with failing(service, code):
        async with held(service):
            tasks = [send(service, command(adjust(1)), key=f"k{n}") for n in range(10)]
            await queued(service, 10)
        found = await outcomes(tasks)
        assert (await service.check([{"sku": "P001", "location": "main"}]))["results"][0][
            "on_hand"
        ] == 7

    again = await asyncio.gather(
        *(send(service, command(adjust(1)), key=f"k{n}") for n in range(10))
    )

    assert {type(one) for one in found} == {fault}
    assert not any(one.replayed for one in again)
    assert await on_hand_of(service.database) == {("P001", "main"): 17}
    assert len(await assert_sound(service.database)) == 11


async def test_a_commit_that_the_server_refuses_is_unknown_and_the_writer_goes_on(
    service: Service,
) -> None:
    async with held(service):
        failing = asyncio.create_task(service.transact(fail_at_commit, actor="test"))
        await queued(service, 1)
        behind = send(service, command(adjust(1)))
        await queued(service, 2)
    failed, done = await outcomes([failing, behind])

    assert isinstance(failed, OutcomeUnknown)
    assert isinstance(done, Outcome)
    assert service.committer.is_open
    assert not service.committer.failed.is_set()
    assert await on_hand_of(service.database) == {("P001", "main"): 1}


async def test_a_commit_that_failed_leaves_no_open_transaction_behind(service: Service) -> None:
    with pytest.raises(OutcomeUnknown):
        await service.transact(fail_at_commit, actor="test")

    idle = "SELECT count(*) FROM pg_stat_activity WHERE state LIKE 'idle in transaction%'"
    assert run_aside(service.database.options.url, f"{idle} AND datname = current_database()") == [
        (0,)
    ]


async def test_of_an_isolated_batch_only_what_fails_to_commit_is_unknown(
    service: Service,
) -> None:
    async def break_commits(session: Session, now: Instant) -> Outcome:
        await break_commits_about(session, "broken")
        return Outcome(b"{}")

    await service.transact(break_commits, actor="test")
    async with held(service):
        tasks = [
            send(service, command(adjust(1), reference="before")),
            send(service, command(adjust(2), reference="broken")),
            send(service, POISONS["half_a_character_in_a_sku"]),
            send(service, command(adjust(4), reference="after")),
        ]
        await queued(service, 4)
    before, broken, poisoned, after = await outcomes(tasks)

    assert isinstance(before, Outcome)
    assert isinstance(broken, OutcomeUnknown)
    assert isinstance(poisoned, Exception)
    assert isinstance(after, Outcome)
    rows = await rows_of(service.database, "SELECT reference FROM operation ORDER BY first_seq")
    assert [row["reference"] for row in rows] == ["before", "after"]


async def test_a_connection_lost_before_the_commit_is_replaced_and_the_batch_applied_once(
    patient: Service,
) -> None:
    url = patient.database.options.url
    with other_connection(url) as other:

        async def is_waiting() -> bool:
            return other(f"SELECT count(*) {WRITERS}") == [(1,)]

        with locked(patient.database):
            tasks = [send(patient, command(adjust(1)), key=f"k{n}") for n in range(5)]
            await taken(patient)
            await until_told(is_waiting)
            other(f"SELECT pg_terminate_backend(pid, 5000) {WRITERS}")
            await until_told(is_waiting)
        told = await asyncio.gather(*tasks)

    assert not any(one.replayed or one.refused for one in told)
    assert await on_hand_of(patient.database) == {("P001", "main"): 5}
    assert len(await assert_sound(patient.database)) == 5
    retries = patient.metrics.registry.get_sample_value(
        "inventory_batch_retries_total", {"code": "storage_unreachable"}
    )
    assert retries == 1


@pytest.fixture
async def proxied(settings: Settings) -> AsyncIterator[tuple[Service, CuttingProxy]]:
    """A service whose connections can be cut."""
    async with cutting(settings.database_url) as (proxy, url):
        chosen = settings.model_copy(update={"database_url": url})
        async with open_service(chosen) as service:
            await open_shop(service)
            yield service, proxy


@pytest.mark.parametrize(("when", "is_applied"), [("before", False), ("after", True)])
async def test_a_connection_lost_during_the_commit_is_unknown_until_it_is_asked_again(
    proxied: tuple[Service, CuttingProxy], when: When, is_applied: bool
) -> None:
    service, proxy = proxied
    proxy.cut(when, marker="order:cut")

    with pytest.raises(OutcomeUnknown):
        await send(service, command(adjust(3), reference="order:cut"), key="k")
    is_open = service.committer.is_open
    other = await send(service, command(adjust(10)), key="other")
    again = await send(service, command(adjust(3), reference="order:cut"), key="k")
    once_more = await send(service, command(adjust(3), reference="order:cut"), key="k")

    assert proxy.cuts == 1
    assert is_open
    assert (other.replayed, again.replayed, once_more.replayed) == (False, is_applied, True)
    assert again.answer == once_more.answer
    assert await on_hand_of(service.database) == {("P001", "main"): 13}
    assert len(await assert_sound(service.database)) == 2


@pytest.mark.parametrize(("when", "is_applied"), [("before", False), ("after", True)])
async def test_a_batch_cut_at_its_commit_is_unknown_to_each_and_resolved_for_each(
    proxied: tuple[Service, CuttingProxy], when: When, is_applied: bool
) -> None:
    service, proxy = proxied
    async with held(service):
        asked = command(adjust(1), reference="order:cut")
        tasks = [send(service, asked, key=f"k{n}") for n in range(20)]
        await queued(service, 20)
        proxy.cut(when, marker="order:cut")
    cut = await outcomes(tasks)

    again = await asyncio.gather(*(send(service, asked, key=f"k{n}") for n in range(20)))

    assert {type(one) for one in cut} == {OutcomeUnknown}
    assert {one.replayed for one in again} == {is_applied}
    assert await on_hand_of(service.database) == {("P001", "main"): 20}


@pytest.mark.parametrize("mode", ["immediate", "fast"])
async def test_a_server_that_restarts_has_what_was_acknowledged_and_is_used_again(
    settings: Settings, mode: str
) -> None:
    server = await asyncio.to_thread(PostgresServer, is_durable=True)
    try:
        url = server.url.render_as_string(hide_password=False)
        chosen = settings.model_copy(update={"database_url": url, "migrate_at_start": True})
        async with open_service(chosen) as service:
            await open_shop(service)
            acknowledged: set[str] = set()
            ending = asyncio.Event()

            async def sell(client: int) -> None:
                number = 0
                while not ending.is_set():
                    number += 1
                    key = f"{client}:{number}"
                    await _until_told(service, key)
                    acknowledged.add(key)

            clients = [asyncio.create_task(sell(client)) for client in range(4)]
            for _ in range(3):
                wanted = len(acknowledged) + 20
                while len(acknowledged) < wanted:  # noqa: ASYNC110 - nobody tells
                    await asyncio.sleep(0.01)
                await asyncio.to_thread(server.stop, mode)
                await asyncio.to_thread(server.start)
            ending.set()
            await asyncio.gather(*clients)

            movements = await assert_sound(service.database)
        references = [row["reference"] for row in movements]
        assert sorted(references) == sorted(acknowledged)
    finally:
        await asyncio.to_thread(server.remove)


async def _until_told(service: Service, key: str) -> None:
    """Ask under one key until there is an answer."""
    while True:
        try:
            asked = command(adjust(1), reference=key)
            await service.submit(asked, actor="test", key=IdempotencyKey(key, b"body"))
        except (OutcomeUnknown, StorageUnreachable, StorageBusy):
            await asyncio.sleep(0.01)
        else:
            return


async def test_a_connection_that_falls_silent_is_left_for_another_one(
    settings: Settings, database_url: str
) -> None:
    """As behind an address that moved, or a machine that lost its power: nobody says goodbye."""
    limits = {"statement_timeout_s": 0.5, "check_deadline_s": 30.0, "change_deadline_s": 30.0}
    async with cutting(database_url) as (proxy, url):
        chosen = settings.model_copy(update={"database_url": url, **limits})
        async with open_service(chosen) as service:
            await open_shop(service)
            await service.adjust([{"sku": "P001", "delta": 1, "reason": "received"}])
            before = await service.level("P001", "main")
            proxy.silence()

            await service.adjust([{"sku": "P001", "delta": 1, "reason": "received"}])
            # A change is tried again; each connection that is lost costs one read.
            for _ in range(chosen.reader_connections):
                with suppress(StorageUnreachable):
                    await service.level("P001", "main")
            after = await service.level("P001", "main")

    assert before is not None
    assert after is not None
    assert after.on_hand == before.on_hand + 1


async def test_what_waits_for_a_silent_connection_is_not_waited_for_at_the_end(
    settings: Settings, database_url: str
) -> None:
    chosen_s = 1_000.0
    limits = {"statement_timeout_s": chosen_s, "drain_deadline_s": 0.1, "check_deadline_s": 0.1}
    async with cutting(database_url) as (proxy, url):
        chosen = settings.model_copy(update={"database_url": url, **limits})
        async with asyncio.timeout(10):
            async with open_service(chosen) as service:
                await open_shop(service)
                proxy.silence()
                with pytest.raises(DeadlineExpired):
                    await service.level("P001", "main")


async def test_a_batch_that_nobody_waits_for_any_more_is_not_tried_again(
    settings: Settings,
) -> None:
    limits = {"batch_retry_pause_s": 0.5, "batch_retries_max": 8}
    async with open_service(settings.model_copy(update=limits)) as service:
        await open_shop(service)

        async def look(_: Session, __: Instant) -> Outcome:
            return Outcome(b"{}")

        with failing(service, "40001"):
            with pytest.raises(OutcomeUnknown):
                await send(service, command(adjust(1)), deadline_s=0.2)
            # All its retries would take two minutes, and the one behind it has a few seconds.
            behind = await service.committer.transact(look, actor="test", deadline_s=5)

    assert behind.refused is None
