"""Databases of each kind for tests: a new one, or a copy of one that was made once."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.postgres import Databases


@dataclass(frozen=True, slots=True)
class Files:
    """SQLite: a file in a folder of its own."""

    @contextmanager
    def fresh(self) -> Iterator[str]:
        """The URL of a database that does not exist yet, or is empty; gone afterwards."""
        with tempfile.TemporaryDirectory() as folder:
            yield url_of(Path(folder) / "inventory.db")

    @contextmanager
    def copied(self, template: str, folder: Path) -> Iterator[str]:
        """The URL of a copy, in the folder."""
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
    def copied(self, template: str, folder: Path) -> Iterator[str]:
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
    def copied(self, folder: Path) -> Iterator[str]:
        """The URL of a copy, which a file has in the folder."""
        with self.store.copied(self.url, folder) as url:
            yield url


def url_of(path: Path) -> str:
    return f"sqlite+aiosqlite:///{path}"


def path_of(url: str) -> Path:
    """The file of an SQLite URL."""
    return Path(url.removeprefix("sqlite+aiosqlite:///"))
