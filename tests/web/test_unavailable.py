"""What a caller is told when the service can not do it now, and what became of the change."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from inventory_api.domain.outcome import Outcome
from inventory_api.domain.types import Instant
from inventory_api.store.database import Session
from tests.databases import Template
from tests.web.shop import JSON, Shop, foreign_lock, open_demo, problem

# A server's disk is not filled for a test: a trigger says the same with the same code.
FULL = (
    "CREATE FUNCTION no_space() RETURNS trigger LANGUAGE plpgsql AS"
    " $$ BEGIN RAISE EXCEPTION 'no space left' USING ERRCODE = 'disk_full'; END $$",
    "CREATE TRIGGER no_space BEFORE INSERT ON movement EXECUTE FUNCTION no_space()",
)
SALE = {"sku": "P001", "delta": -1}


async def tell(shop: Shop, *, sqlite: str, postgres: Sequence[str]) -> None:
    """Run statements on the connection that writes."""
    told = postgres if shop.service.database.is_shared else [sqlite]

    async def work(session: Session, now: Instant) -> Outcome:
        for statement in told:
            await (await session.connection()).exec_driver_sql(statement)
        return Outcome(b"{}")

    await shop.service.transact(work, actor="test")


def told_to_retry(answer: JSON, status: int, code: str, applied: str) -> bool:
    """Whether a problem says all that a caller needs for his next step."""
    told = problem(answer, status)
    said = (told["code"], told["applied"], told["retryable"])
    return said == (code, applied, True) and int(answer.headers["retry-after"]) >= 1


async def test_a_database_that_another_program_holds_is_busy_until_it_lets_go(
    demo: Template, tmp_path: Path
) -> None:
    async with open_demo(demo, tmp_path, busy_timeout_s=0.1) as shop:
        with foreign_lock(shop):
            held = await shop.adjust(SALE, key="key")
            read = await shop.http.get("/v1/stock/P001")

        again = await shop.adjust(SALE, key="key")

        assert told_to_retry(held, 503, "storage_busy", "no")
        assert read.status_code == 200
        assert again.status_code == 200
        assert "idempotent-replayed" not in again.headers


async def test_a_change_that_was_taken_when_its_deadline_passed_is_unknown_until_retried(
    demo: Template, tmp_path: Path
) -> None:
    settings = {"busy_timeout_s": 60, "change_deadline_s": 0.5, "batch_commands_max": 1}
    async with open_demo(demo, tmp_path, **settings) as shop:
        with foreign_lock(shop):
            taken, queued = await asyncio.gather(
                shop.adjust(SALE, key="taken"), shop.adjust(SALE, key="queued")
            )

        retried = await shop.adjust(SALE, key="taken")

        assert told_to_retry(taken, 504, "outcome_unknown", "unknown")
        assert told_to_retry(queued, 503, "deadline", "no")
        assert retried.headers["idempotent-replayed"] == "true"
        assert retried.json()["applied"] == 1
        assert await shop.on_hand() == 49


async def test_a_full_queue_is_told_at_once(demo: Template, tmp_path: Path) -> None:
    settings = {"busy_timeout_s": 60, "change_deadline_s": 2, "queue_commands_max": 3}
    async with open_demo(demo, tmp_path, **settings) as shop:
        with foreign_lock(shop):
            sent = [asyncio.create_task(shop.adjust(SALE)) for _ in range(20)]
            done, waiting = await asyncio.wait(sent, timeout=1)

        await asyncio.gather(*sent)
        refused = [task.result() for task in done]

        assert len(refused) >= 16
        assert all(told_to_retry(answer, 503, "overloaded", "no") for answer in refused)
        assert await shop.on_hand() == 50 - sum(task.result().is_success for task in waiting)


async def test_a_service_that_stops_refuses_changes_and_still_reads(shop: Shop) -> None:
    shop.service.committer.drain()

    change, read = await shop.adjust(SALE), await shop.http.get("/v1/stock/P001")

    assert told_to_retry(change, 503, "draining", "no")
    assert read.status_code == 200


async def test_a_full_disk_refuses_changes_until_there_is_space_again(shop: Shop) -> None:
    await tell(shop, sqlite="PRAGMA max_page_count = 1", postgres=FULL)
    lines = [{"sku": "P001", "delta": 1}] * 300

    full = await shop.adjust(*lines, reason="received", key="key")
    read = await shop.http.get("/v1/stock/P001")
    await tell(
        shop,
        sqlite="PRAGMA max_page_count = 1000000",
        postgres=["DROP FUNCTION no_space CASCADE"],
    )
    again = await shop.adjust(*lines, reason="received", key="key")

    assert told_to_retry(full, 507, "storage_full", "no")
    assert read.json()["on_hand"] == 50
    assert again.status_code == 200
    assert await shop.on_hand() == 350


async def test_a_database_that_can_not_be_written_refuses_changes_and_still_reads(
    shop: Shop,
) -> None:
    await tell(
        shop,
        sqlite="PRAGMA query_only = 1",
        postgres=["SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY"],
    )

    change, read = await shop.adjust(SALE), await shop.http.get("/v1/stock/P001")

    assert told_to_retry(change, 503, "storage_read_only", "no")
    assert read.json()["on_hand"] == 50


@pytest.mark.parametrize(
    "path",
    [
        "/v1/items",
        "/v1/items/P001",
        "/v1/stock",
        "/v1/stock/P001",
        "/v1/stock/P001/main",
        "/v1/stock/P001/explain",
        "/v1/movements",
        "/v1/operations/0",
        "/v1/locations",
    ],
)
async def test_a_read_that_takes_too_long_ends_at_its_deadline(shop: Shop, path: str) -> None:
    shop.service.settings = shop.service.settings.model_copy(update={"check_deadline_s": 1e-6})

    answer = await shop.http.get(path)

    assert told_to_retry(answer, 503, "deadline", "no")


async def test_a_check_that_takes_too_long_ends_at_its_deadline(shop: Shop) -> None:
    shop.service.settings = shop.service.settings.model_copy(update={"check_deadline_s": 1e-6})

    answer = await shop.http.post("/v1/stock/check", json={"lines": [{"sku": "P001"}]})

    assert told_to_retry(answer, 503, "deadline", "no")
