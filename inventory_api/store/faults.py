"""What an error of the database means for the caller."""

import sqlite3

from sqlalchemy.exc import DBAPIError

from inventory_api.domain.unavailable import (
    StorageBusy,
    StorageConflict,
    StorageFailed,
    StorageFull,
    StorageRace,
    StorageReadOnly,
    StorageUnreachable,
    Unavailable,
)

_SQLITE: dict[int, type[Unavailable]] = {
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
# By SQLSTATE, and by its class of two characters where all of a class means the same.
_POSTGRES: dict[str, type[Unavailable]] = {
    "40001": StorageConflict,  # serialization_failure
    "40P01": StorageConflict,  # deadlock_detected
    "23505": StorageRace,  # unique_violation
    "55P03": StorageBusy,  # lock_not_available: the lock timeout
    "57014": StorageBusy,  # query_canceled: the statement timeout
    "25006": StorageReadOnly,  # read_only_sql_transaction
    "42501": StorageReadOnly,  # insufficient_privilege
    "53100": StorageFull,  # disk_full
    "53": StorageBusy,  # too many connections, out of memory
    "08": StorageUnreachable,  # connection exceptions
    "28": StorageUnreachable,  # the user or the password is not accepted
    "3D": StorageUnreachable,  # the server has no such database
    "57": StorageUnreachable,  # the server is stopping, starting, or was ended
    "25P03": StorageUnreachable,  # idle_in_transaction_session_timeout
    "58": StorageFailed,  # system and I/O errors
    "XX": StorageFailed,  # corruption and internal errors
}


def fault_of(error: BaseException) -> type[Unavailable] | None:
    """The storage's fault behind an error; None if the error is not the storage's."""
    if isinstance(error, DBAPIError):
        return _sqlite_fault(error.orig) or _postgres_fault(error)
    # A server that can't be reached at all is told by the driver's or the system's own error: it
    # refuses, its name is not known, its socket is gone.
    if isinstance(error, OSError) or _sqlstate(error):
        return _POSTGRES.get(_sqlstate(error)) or _by_class(error) or StorageUnreachable
    return None


def _sqlite_fault(error: BaseException | None) -> type[Unavailable] | None:
    if not isinstance(error, sqlite3.Error):
        return None
    code = getattr(error, "sqlite_errorcode", None)
    # The low byte is the primary code; the others say which system call it was.
    return None if code is None else _SQLITE.get(code & 0xFF)


def _postgres_fault(error: DBAPIError) -> type[Unavailable] | None:
    if error.orig is None or isinstance(error.orig, sqlite3.Error):
        return None
    if error.connection_invalidated:
        return StorageUnreachable
    return _POSTGRES.get(_sqlstate(error.orig)) or _by_class(error.orig)


def _sqlstate(error: BaseException) -> str:
    return getattr(error, "sqlstate", None) or ""


def _by_class(error: BaseException) -> type[Unavailable] | None:
    return _POSTGRES.get(_sqlstate(error)[:2])
