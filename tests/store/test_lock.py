"""One process per database file."""

import os
import stat
from pathlib import Path

import pytest

from inventory_api.store.database import Database
from inventory_api.store.lock import AlreadyServed, ProcessLock
from inventory_api.store.options import DatabaseOptions
from tests.other_program import run, served

pytestmark = pytest.mark.sqlite

OPEN = """
import asyncio, sys
from inventory_api.store.database import Database
from inventory_api.store.options import DatabaseOptions
async def main():
    async with Database(DatabaseOptions(url="sqlite+aiosqlite:///" + sys.argv[1])):
        print("opened")
asyncio.run(main())
"""


def url_of(path: Path) -> DatabaseOptions:
    return DatabaseOptions(url=f"sqlite+aiosqlite:///{path}")


async def test_a_second_process_is_refused_and_told_who_has_the_file(
    database: Database,
) -> None:
    second = run(OPEN, database.path)

    assert second.returncode != 0
    assert "opened" not in second.stdout
    assert f"already served by pid {os.getpid()}." in second.stderr


async def test_the_file_is_free_when_it_was_closed(database_url: str, tmp_path: Path) -> None:
    async with Database(DatabaseOptions(url=database_url)):
        pass

    second = run(OPEN, tmp_path / "inventory.db")

    assert second.returncode == 0
    assert second.stdout.endswith("opened\n")


def test_a_killed_process_leaves_the_file_free(tmp_path: Path) -> None:
    path = tmp_path / "inventory.db"
    with served(path) as holder:
        with pytest.raises(AlreadyServed, match=f"pid {holder.pid}"):
            ProcessLock(path).__enter__()
        holder.kill()
        holder.wait()

        with ProcessLock(path):
            pass


async def test_one_process_cannot_open_a_file_twice_either(database: Database) -> None:
    with pytest.raises(AlreadyServed):
        await Database(database.options).__aenter__()


@pytest.mark.parametrize("way", ["file", "folder"])
async def test_another_name_of_the_same_file_does_not_help(
    database: Database, tmp_path: Path, way: str
) -> None:
    link = tmp_path / "link"
    link.symlink_to({"file": database.path, "folder": tmp_path}[way])
    path = {"file": link, "folder": link / database.path.name}[way]

    with pytest.raises(AlreadyServed):
        await Database(url_of(path)).__aenter__()


def test_the_lock_is_beside_the_database_and_only_its_owner_s(tmp_path: Path) -> None:
    with ProcessLock(tmp_path / "inventory.db"):
        lock = tmp_path / "inventory.db.lock"

        assert stat.S_IMODE(lock.stat().st_mode) == 0o600
        assert lock.read_text() == f"{os.getpid()}\n"
        assert not (tmp_path / "inventory.db").exists()


def test_a_lock_with_a_longer_pid_of_the_past_is_written_over(tmp_path: Path) -> None:
    (tmp_path / "inventory.db.lock").write_text("123456789012345\n")

    with ProcessLock(tmp_path / "inventory.db"):
        assert (tmp_path / "inventory.db.lock").read_text() == f"{os.getpid()}\n"


async def test_a_read_only_database_needs_no_lock(database: Database) -> None:
    options = DatabaseOptions(url=database.options.url, read_only=True)

    async with Database(options) as second:
        await second.check_schema()
