"""Databases of each kind for tests: a new one, or a copy of one that was made once."""

import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy.engine import make_url

from tests.postgres import Databases, Row, Run, to_server


@dataclass(frozen=True, slots=True)
class Files:
    """SQLite: a file in a folder of its own."""

    @contextmanager
    def fresh(self) -> Iterator[str]:
        """The URL of a database that does not exist yet, or is empty; gone afterwards."""
        with tempfile.TemporaryDirectory() as folder:
            yield url_of(Path(folder) / "inventory.db")

    @contextmanager
    def copied(self, template: str, folder: Path | None) -> Iterator[str]:
        """The URL of a copy, in the folder, or in one of its own."""
        if folder is None:
            with tempfile.TemporaryDirectory() as own, self.copied(template, Path(own)) as url:
                yield url
            return
        path = folder / "inventory.db"
        shutil.copyfile(path_of(template), path)
        path.chmod(0o600)
        yield url_of(path)


@dataclass(frozen=True, slots=True)
class Server:
    """PostgreSQL: a database on a server."""

    databases: Databases

    @contextmanager
    def fresh(self) -> Iterator[str]:
        """As `Files.fresh`."""
        with self.databases.lent() as url:
            yield url

    @contextmanager
    def copied(self, template: str, folder: Path | None) -> Iterator[str]:
        """The URL of a copy."""
        with self.databases.lent(template) as url:
            yield url


Store = Files | Server


@dataclass(frozen=True, slots=True)
class Template:
    """A database that was made once, and where copies of it go."""

    store: Store
    url: str

    @contextmanager
    def copied(self, folder: Path | None = None) -> Iterator[str]:
        """The URL of a copy, which a file has in the folder."""
        with self.store.copied(self.url, folder) as url:
            yield url


@contextmanager
def other_connection(url: str) -> Iterator[Run]:
    """What runs a statement on a connection of its own, each at once, and gives its rows."""
    if not is_file(url):
        with to_server(url) as run:
            yield run
        return
    with closing(sqlite3.connect(path_of(url), isolation_level=None)) as other:
        yield lambda statement: other.execute(statement).fetchall()


def run_aside(url: str, *statements: str) -> list[Row]:
    """Run statements on another connection; the rows of all of them."""
    with other_connection(url) as run:
        return [row for statement in statements for row in run(statement)]


@contextmanager
def write_locked(url: str) -> Iterator[None]:
    """While inside, another connection lets nobody else write; reads go on."""
    with other_connection(url) as run:
        if is_file(url):
            run("BEGIN IMMEDIATE")
        else:
            tables = run("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
            run("BEGIN")
            run(f"LOCK TABLE {', '.join(name for (name,) in tables)} IN EXCLUSIVE MODE")
        yield
        run("ROLLBACK")


def url_as(url: str, role: str, password: str) -> str:
    """The URL of a server's database for another role."""
    other = make_url(url).set(username=role, password=password)
    return other.render_as_string(hide_password=False)


def is_file(url: str) -> bool:
    """Whether it is of SQLite."""
    return url.startswith("sqlite")


def url_of(path: Path) -> str:
    return f"sqlite+aiosqlite:///{path}"


def path_of(url: str) -> Path:
    """The file of an SQLite URL."""
    return Path(url.removeprefix("sqlite+aiosqlite:///"))
