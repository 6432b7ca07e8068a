"""Another program that has the database file open, or writes to it behind SQLite's back.

A process of its own: closing a database file in this one would drop the locks that it has on it.
"""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

_SCRIBBLE = """
import sys
path, marker = sys.argv[1], sys.argv[2].encode()
leaves = (10, 13)
with open(path, "r+b") as file:
    pages = file.read()
    hits = [
        at for at in range(4096, len(pages), 4096)
        if marker in pages[at:at + 4096] and pages[at] in leaves
    ]
    for at in hits:
        file.seek(at)
        file.write(b"\\xff" * 4096)
print(len(hits))
"""
_LOCK = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("PRAGMA locking_mode = EXCLUSIVE")
connection.execute("BEGIN EXCLUSIVE")
print("locked", flush=True)
sys.stdin.read()
"""
_SERVE = """
import sys
from pathlib import Path
from inventory_api.store.lock import ProcessLock
with ProcessLock(Path(sys.argv[1])):
    print("served", flush=True)
    sys.stdin.read()
"""


def run(code: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    """A Python program, from start to end."""
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@contextmanager
def running(code: str, *arguments: object) -> Iterator[tuple[subprocess.Popen[str], IO[str]]]:
    """A Python program and its output; killed at the end."""
    with subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as program:
        assert program.stdout is not None
        try:
            yield program, program.stdout
        finally:
            program.kill()


def break_pages(path: Path, marker: str) -> None:
    """Overwrite the pages of rows and index entries that hold a text."""
    done = run(_SCRIBBLE, path, marker)
    assert int(done.stdout) > 0, done.stderr


@contextmanager
def exclusively_locked(path: Path) -> Iterator[None]:
    """While inside, another program lets nobody else read or write the file."""
    with running(_LOCK, path) as (_, output):
        assert output.readline() == "locked\n"
        yield


@contextmanager
def served(path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that has the database of the path."""
    with running(_SERVE, path) as (program, output):
        assert output.readline() == "served\n"
        yield program
