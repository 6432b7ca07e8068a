"""What a database needs to know to be opened."""

from dataclasses import dataclass
from pathlib import Path

from inventory_api.store.tls import TLS


class DatabaseDamaged(RuntimeError):
    """The file is not a sound database; it is left as it is."""


class DatabaseUnsafe(RuntimeError):
    """The database would lose acknowledged changes, or takes none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseOptions:
    """Meaning and units as in settings.py.

    Attributes:
        migrate_at_start: None leaves it to the kind of database.
        read_only: open nothing that writes: beside a running service.
    """

    url: str
    migrate_at_start: bool | None = None
    reader_connections: int = 2
    busy_timeout_s: float = 2.0
    cache_kib: int = 16_384
    wal_checkpoint_pages: int = 4_000
    statement_timeout_s: float = 10.0
    connect_timeout_s: float = 5.0
    migration_lock_s: float = 60.0
    password_file: Path | None = None
    tls: TLS = "prefer"
    tls_ca_file: Path | None = None
    unsafe_allowed: bool = False
    read_only: bool = False
