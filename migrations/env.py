"""How Alembic reaches the database: through the service's connection, or its own engine."""

import asyncio

from alembic import context
from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import create_async_engine

from inventory_api.settings import Settings
from inventory_api.store.tables import Table


def run(connection: Connection) -> None:
    """Run the migrations in one transaction."""
    context.configure(connection=connection, target_metadata=Table.metadata, transactional_ddl=True)
    with context.begin_transaction():
        context.run_migrations()


async def run_on_own_engine() -> None:
    """For the `alembic` command; the service hands its connection over instead."""
    engine = create_async_engine(Settings().database_url)
    async with engine.begin() as connection:
        await connection.run_sync(run)
    await engine.dispose()


given = context.config.attributes.get("connection")
if given is None:
    asyncio.run(run_on_own_engine())
else:
    run(given)
