"""Faults planted in a copy of a database, and what verification finds there."""

import shutil
import sqlite3
from collections.abc import Sequence
from pathlib import Path

from inventory_api.store.database import Database
from inventory_api.store.findings import Finding
from inventory_api.store.options import DatabaseOptions
from inventory_api.store.verify import Verification

# Any number of 64 bits instead; what may be NULL still may.
WITHOUT_BOUNDS = (
    "UPDATE sqlite_master SET sql ="
    " replace(replace(sql, ' >= 0', ' >= -9000000000000000000'), 'BETWEEN 0 AND 1000000000000',"
    " 'BETWEEN -9000000000000000000 AND 9000000000000000000')"
)


def url_of(path: Path) -> str:
    return f"sqlite+aiosqlite:///{path}"


async def findings_in(path: Path) -> list[Finding]:
    """What is found in pages of one row, which must be what is found in one page."""
    found = []
    async with Database(DatabaseOptions(url=url_of(path), read_only=True)) as database:
        for page_rows in (1, 1000):
            pages = Verification(database.reader, page_rows=page_rows).pages()
            found.append([finding async for page in pages for finding in page])
    assert found[0] == found[1]
    return found[0]


def planted(sound_file: Path, folder: Path, statements: Sequence[str]) -> Path:
    """A copy with faults that the schema would have refused, guarded again as before."""
    path = folder / "faulty.db"
    shutil.copyfile(sound_file, path)
    triggers = execute(path, ["SELECT name, sql FROM sqlite_master WHERE type = 'trigger'"])
    lifted = [f"DROP TRIGGER {name}" for name, _ in triggers]
    # Not only ignored: opening the file would find a row that breaks a constraint.
    execute(path, ["PRAGMA writable_schema = ON", WITHOUT_BOUNDS, *lifted])
    execute(path, statements)
    execute(path, [sql for _, sql in triggers])
    return path


def execute(path: Path, statements: Sequence[str]) -> list[tuple[str, str]]:
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        return [row for statement in statements for row in connection.execute(statement)]
    finally:
        connection.close()
