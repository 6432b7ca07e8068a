"""What a batch writes."""

import pytest
from sqlalchemy.exc import IntegrityError

from inventory_api.domain.types import Instant, Level
from inventory_api.service import Service
from inventory_api.store.bulk import execute_many
from inventory_api.store.changes import (
    UPDATE_LEVELS,
    advance_head,
    insert_levels,
    insert_movements,
)
from inventory_api.store.database import Database
from inventory_api.store.snapshot import levels_of
from tests.ledger_oracle import head_of
from tests.stock_factory import key, level


async def test_the_head_hands_out_numbers_without_a_gap(database: Database) -> None:
    async with database.writer() as session:
        first = await advance_head(session, 3, Instant(10))
        second = await advance_head(session, 1, Instant(11))
        await session.commit()

    assert (first, second) == ((3, 10), (4, 11))
    assert await head_of(database) == 4


async def test_the_head_s_time_never_runs_back(database: Database) -> None:
    async with database.writer() as session:
        await advance_head(session, 1, Instant(100))
        after = await advance_head(session, 1, Instant(7))

    assert after == (2, 100)


async def test_numbers_that_were_not_committed_are_handed_out_again(database: Database) -> None:
    async with database.writer() as session:
        await advance_head(session, 3, Instant(10))

    async with database.writer() as session:
        assert await advance_head(session, 1, Instant(10)) == (1, 10)


async def test_balances_are_updated_and_policies_left_alone(service: Service) -> None:
    opened = level(5, version=1)
    policy = {"safety_stock": 2, "reorder_point": 3, "reorder_to": 9}
    async with service.database.writer() as session:
        await insert_levels(session, [opened._replace(**policy)])  # type: ignore[arg-type]
        await execute_many(session, UPDATE_LEVELS, [(7, 1, 2, 3, 2, 8, Instant(99), 1, *key())])
        found = (await levels_of(session, [key()]))[key()]

    assert found == Level(*key(), 7, 1, 2, 3, 2, 8, 2, 0, 3, 9, Instant(99), 1)


async def test_nothing_to_write_is_no_statement(database: Database) -> None:
    async with database.writer() as session:
        await insert_levels(session, [])
        await execute_many(session, UPDATE_LEVELS, [])
        await insert_movements(session, [])

        assert not session.in_transaction()


async def test_a_level_of_an_unknown_item_is_refused(database: Database) -> None:
    async with database.writer() as session:
        with pytest.raises(IntegrityError):
            await insert_levels(session, [level(5)])
