"""What was held before there were kits is held after the migration, by plain lines."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic import command
from sqlalchemy import Connection, create_engine, text

from inventory_api.store.schema import configuration, upgrade

OLD = (
    "INSERT INTO reservation VALUES ('r', 'cart:1', 'test', 'active', 1, 2, 3)",
    "INSERT INTO allocation VALUES ('P001', 'main', 'r', 0, 5, 2, 1, 2, 3, 4, 5)",
    "INSERT INTO allocation VALUES ('P002', 'main', 'r', 1, 1, 2, 1, 0, 0, 0, 0)",
)


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[Connection]:
    engine = create_engine(f"sqlite:///{tmp_path / 'old.db'}")
    with engine.begin() as opened:
        yield opened
    engine.dispose()


def test_allocations_are_carried_over_as_plain_ones(connection: Connection) -> None:
    command.upgrade(configuration(connection), "0002")
    for statement in OLD:
        connection.execute(text(statement))

    upgrade(connection)

    rows = connection.execute(text("SELECT * FROM allocation ORDER BY sku")).all()
    assert [tuple(row) for row in rows] == [
        ("P001", "main", "r", 0, 5, 2, 1, 2, 3, 4, 5, "", 1),
        ("P002", "main", "r", 1, 1, 2, 1, 0, 0, 0, 0, "", 1),
    ]
    left = connection.scalar(text("SELECT count(*) FROM sqlite_master WHERE name LIKE '%aside%'"))
    assert left == 0
