"""A database of any size, of each kind, as if the service had booked every movement in it."""

import sqlite3
from contextlib import closing
from pathlib import Path

from benchmarks.seed import seed
from tests.databases import is_file, path_of, run_aside
from tests.postgres import copy_into

TABLES = ("item", "location", "operation", "movement", "level")


def fill(url: str, folder: Path, *, items: int, movements: int) -> None:
    """Fill a migrated, empty database that nobody serves; the folder is for a file in between."""
    if is_file(url):
        seed(path_of(url), items=items, movements=movements)
        return
    path = folder / "seeded.db"
    seed(path, items=items, movements=movements)
    with closing(sqlite3.connect(path, check_same_thread=False)) as file:
        for table in TABLES:
            copy_into(url, table, file.execute(f"SELECT * FROM {table}"))
        seq, recorded_at = file.execute("SELECT seq, recorded_at FROM ledger_head").fetchone()
    path.unlink()
    # A server with work does it by itself, some seconds later.
    run_aside(url, f"UPDATE ledger_head SET seq = {seq}, recorded_at = {recorded_at}", "ANALYZE")
