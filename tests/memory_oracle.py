"""What the writer remembers, held against the file."""

from inventory_api.service import Service
from inventory_api.store.snapshot import levels_of


async def assert_memory_is_true(service: Service) -> None:
    """Whatever the writer remembers of a level is what the file has, but for its last number."""
    remembered = service.committer._attempts.recent._levels
    async with service.database.reader() as session:
        committed = await levels_of(session, remembered.keys())
    assert {key: one._replace(seq=0) for key, one in remembered.items()} == {
        key: one._replace(seq=0) for key, one in committed.items()
    }
