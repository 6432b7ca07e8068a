"""A PostgreSQL database of any size, as if the service had opened every item in it."""

import os
import subprocess
import sys

import asyncpg

from benchmarks.seed import ACTOR, BEGAN_AT, LOCATION, OPENING_LINES, OPENING_UNITS

# As `benchmarks.seed.sku_of` spells them.
SKU = "'SKU-' || lpad(n::text, 7, '0')"
OPERATION = f"'seed-' || lpad(((n - 1) / {OPENING_LINES})::text, 7, '0')"
NUMBERS = "generate_series(1, $1::bigint) AS n"

STATEMENTS = (
    f"""
    INSERT INTO item
    SELECT {SKU}, 'Goods number ' || n, NULL, '9.99', 'CNY', '{{}}', 'active', 1,
           {BEGAN_AT}, {BEGAN_AT}
    FROM {NUMBERS}
    """,  # noqa: S608 - constants, here and below
    f"""
    INSERT INTO operation
    SELECT {OPERATION}, {BEGAN_AT}, '{ACTOR}', NULL, 'adjust', 'atomic', 'opening_balance',
           NULL, NULL, {BEGAN_AT}, min(n), max(n), count(*), 0
    FROM {NUMBERS} GROUP BY 1
    """,  # noqa: S608
    f"""
    INSERT INTO movement
    SELECT n, {BEGAN_AT}, {OPERATION}, '{ACTOR}', NULL, {BEGAN_AT}, 'adjust', {SKU}, '{LOCATION}',
           1, {OPENING_UNITS}, 0, 0, 0, {OPENING_UNITS}, 0, 0, 0, {OPENING_UNITS},
           'opening_balance', 0, NULL, NULL, 0
    FROM {NUMBERS}
    """,  # noqa: S608
    f"""
    INSERT INTO level
    SELECT {SKU}, '{LOCATION}', {OPENING_UNITS}, 0, 0, 0, 1, n, 0, 0, NULL, NULL, NULL, 0, NULL
    FROM {NUMBERS}
    """,  # noqa: S608
    f"UPDATE ledger_head SET seq = $1, recorded_at = {BEGAN_AT}",  # noqa: S608
)


async def seed(url: str, *, items: int) -> None:
    """Makes the service's schema in an empty database, and `items` levels of a thousand million."""
    migrate(url)
    connection = await asyncpg.connect(plain(url))
    try:
        async with connection.transaction():
            await connection.execute(
                "INSERT INTO location VALUES ($1, $1, 'warehouse', 1, 0, 'active', 1, $2, $2)"
                " ON CONFLICT DO NOTHING",
                LOCATION,
                BEGAN_AT,
            )
            for statement in STATEMENTS:
                await connection.execute(statement, items)
        await connection.execute("ANALYZE")
    finally:
        await connection.close()


def migrate(url: str) -> None:
    """Makes the service's own schema."""
    subprocess.run(
        [sys.executable, "-m", "inventory_api", "migrate"],
        env={**os.environ, "INVENTORY_DATABASE_URL": url},
        check=True,
        capture_output=True,
    )


def plain(url: str) -> str:
    """The URL as asyncpg itself wants it."""
    return url.replace("postgresql+asyncpg://", "postgresql://", 1)
