"""What an error of the database means for the caller."""

import sqlite3

from sqlalchemy.exc import DBAPIError

from inventory_api.domain.unavailable import (
    StorageBusy,
    StorageFailed,
    StorageFull,
    StorageReadOnly,
    Unavailable,
)

_FAULTS: dict[int, type[Unavailable]] = {
    sqlite3.SQLITE_FULL: StorageFull,
    sqlite3.SQLITE_BUSY: StorageBusy,
    sqlite3.SQLITE_LOCKED: StorageBusy,
    sqlite3.SQLITE_READONLY: StorageReadOnly,
    sqlite3.SQLITE_PERM: StorageReadOnly,
    sqlite3.SQLITE_IOERR: StorageFailed,
    sqlite3.SQLITE_CORRUPT: StorageFailed,
    sqlite3.SQLITE_NOTADB: StorageFailed,
    sqlite3.SQLITE_CANTOPEN: StorageFailed,
    sqlite3.SQLITE_NOMEM: StorageFailed,
    sqlite3.SQLITE_PROTOCOL: StorageFailed,
}


def fault_of(error: BaseException) -> type[Unavailable] | None:
    """The storage's fault behind an error; None if the error is not the storage's."""
    if not isinstance(error, DBAPIError) or not isinstance(error.orig, sqlite3.Error):
        return None
    code = getattr(error.orig, "sqlite_errorcode", None)
    # The low byte is the primary code; the others say which system call it was.
    return None if code is None else _FAULTS.get(code & 0xFF)
