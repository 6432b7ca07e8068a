"""Remembered outcomes."""

import pytest

from inventory_api.domain.outcome import IdempotencyKey
from inventory_api.domain.rejections import Code
from inventory_api.domain.types import Instant
from inventory_api.store.database import Database
from inventory_api.store.idempotency import (
    Remembered,
    find_outcome,
    forget_before,
    remember,
    remembered,
)
from tests.ledger_oracle import rows_of


def row(
    key: str, *, actor: str = "a", recorded_at: int = 1, refused: Code | None = None
) -> Remembered:
    code = None if refused is None else refused.value
    return Remembered(actor, key, Instant(recorded_at), b"digest", code, "7", b'{"a":1}')


async def keep(database: Database, *rows: Remembered) -> None:
    async with database.writer() as session:
        await remember(session, rows)
        await session.commit()


async def keys_left(database: Database) -> list[str]:
    rows = await rows_of(database, "SELECT key FROM idempotency ORDER BY key")
    return [one["key"] for one in rows]


async def test_known_keys_are_found_and_unknown_ones_left_out(database: Database) -> None:
    await keep(database, row("k1"), row("k2"), row("k3"))

    async with database.reader() as session:
        found = await remembered(session, [("a", "k1"), ("a", "k3"), ("a", "k9")])

    assert found == {("a", "k1"): row("k1"), ("a", "k3"): row("k3")}


async def test_the_keys_of_callers_are_their_own(database: Database) -> None:
    await keep(database, row("k", actor="a"), row("k", actor="b", recorded_at=2))

    async with database.reader() as session:
        found = await remembered(session, [("b", "k"), ("c", "k")])

    assert found == {("b", "k"): row("k", actor="b", recorded_at=2)}


@pytest.mark.parametrize("key", ['"', "\\", "a b~", "[1,2]", "%", "null", "1"])
async def test_any_visible_ascii_is_a_key(database: Database, key: str) -> None:
    await keep(database, row(key), row("other"))

    async with database.reader() as session:
        assert list(await remembered(session, [("a", key)])) == [("a", key)]


async def test_no_keys_are_no_question(database: Database) -> None:
    async with database.reader() as session:
        assert await remembered(session, []) == {}
        assert not session.in_transaction()


@pytest.mark.parametrize("refused", [None, Code.INSUFFICIENT_STOCK], ids=["success", "refusal"])
async def test_an_outcome_comes_back_as_it_was_and_says_that_it_is_old(
    database: Database, refused: Code | None
) -> None:
    await keep(database, row("k", refused=refused))

    async with database.reader() as session:
        outcome = await find_outcome(session, "a", IdempotencyKey("k", b"digest"))

    assert outcome == (b'{"a":1}', refused, "7", True)


async def test_another_request_under_a_key_is_told_so_and_a_new_key_nothing(
    database: Database,
) -> None:
    await keep(database, row("k"))

    async with database.reader() as session:
        other = await find_outcome(session, "a", IdempotencyKey("k", b"another"))
        new = await find_outcome(session, "b", IdempotencyKey("k", b"digest"))

    assert other == (b"{}", Code.IDEMPOTENCY_MISMATCH, None, False)
    assert new is None


async def test_what_is_older_than_a_moment_is_forgotten(database: Database) -> None:
    await keep(database, *[row(f"k{time}", recorded_at=time) for time in range(5)])

    async with database.writer() as session:
        removed = await forget_before(session, Instant(3), rows_max=100)
        await session.commit()

    assert removed == 3
    assert await keys_left(database) == ["k3", "k4"]


async def test_only_so_many_are_forgotten_at_once_the_oldest_first(database: Database) -> None:
    await keep(database, *[row(f"k{time}", recorded_at=9 - time) for time in range(5)])

    async with database.writer() as session:
        removed = await forget_before(session, Instant(100), rows_max=2)
        await session.commit()

    assert removed == 2
    assert await keys_left(database) == ["k0", "k1", "k2"]
