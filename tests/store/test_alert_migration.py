"""Levels that were there before alerts get the state they are in, and nothing is told anew."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic import command
from sqlalchemy import Connection, create_engine, text

from inventory_api.store.schema import configuration, upgrade

# On hand, safety stock, reorder point; then the state and the end of the margin.
LEVELS = {
    "plenty": ((50, 0, 10), (0, 11)),
    "at_the_point": ((10, 0, 10), (1, 11)),
    "kept_back": ((30, 5, 25), (1, 28)),
    "nothing_without_a_point": ((0, 0, "NULL"), (2, None)),
    "nothing": ((3, 3, 0), (3, 1)),
    "no_point": ((1, 0, "NULL"), (0, None)),
}


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[Connection]:
    engine = create_engine(f"sqlite:///{tmp_path / 'old.db'}")
    with engine.begin() as opened:
        yield opened
    engine.dispose()


def test_levels_get_the_state_that_they_are_in(connection: Connection) -> None:
    command.upgrade(configuration(connection), "0007")
    connection.execute(
        text("INSERT INTO location VALUES ('main', 'm', 'warehouse', 1, 0, 'active', 1, 1, 1)")
    )
    for name, ((on_hand, kept, point), _) in LEVELS.items():
        connection.execute(
            text(
                "INSERT INTO item VALUES"
                f" ('{name}', 'x', NULL, NULL, NULL, '{{}}', 'active', 1, 1, 1)"
            )
        )
        connection.execute(
            text(
                f"INSERT INTO level VALUES ('{name}', 'main', {on_hand}, 0, 0, 0, 1, 1, {kept}, 0,"
                f" {point}, NULL, NULL)"
            )
        )

    upgrade(connection)

    rows = connection.execute(text("SELECT sku, alert, rearm_at FROM level")).all()
    assert {row[0]: tuple(row[1:]) for row in rows} == {
        name: wanted for name, (_, wanted) in LEVELS.items()
    }


def test_the_ledger_stays_as_it_was(connection: Connection) -> None:
    command.upgrade(configuration(connection), "0007")
    connection.execute(
        text(
            "INSERT INTO movement VALUES (1, 1, 'op', 'a', NULL, 1, 'adjust', 'P001', 'main',"
            " 1, 5, 0, 0, 0, 5, 0, 0, 0, 5, 'received', 0, NULL, NULL)"
        )
    )

    upgrade(connection)

    assert connection.execute(text("SELECT seq, alerts FROM movement")).all() == [(1, None)]
