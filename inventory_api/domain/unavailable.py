"""The reasons for which the service cannot answer now; each says what became of the change."""

from typing import ClassVar, Literal

Applied = Literal["no", "unknown"]


class Unavailable(Exception):
    """The service cannot do this now.

    Attributes:
        code: the word the caller sees.
        applied: "no" is a guarantee that the change never happens; "unknown" asks for a retry
            with the same idempotency key, which returns the one true outcome.
        retry_after_s: seconds after which a retry is worth it.
    """

    def __str__(self) -> str:
        return (type(self).__doc__ or self.code).partition("\n")[0]

    code: ClassVar[str]
    applied: ClassVar[Applied] = "no"
    retry_after_s: ClassVar[int] = 1


class Overloaded(Unavailable):
    """The queue of changes, or of streams, is full."""

    code = "overloaded"


class Draining(Unavailable):
    """The process is stopping; another one, or this one after its restart, will answer."""

    code = "draining"
    retry_after_s = 5


class DeadlineExpired(Unavailable):
    """The deadline passed before the writer took the command, which will therefore never run."""

    code = "deadline"


class StorageBusy(Unavailable):
    """Another process held the database's write lock for longer than the busy timeout."""

    code = "storage_busy"


class StorageConflict(StorageBusy):
    """Another process was faster: what was decided no longer holds, and is decided again."""


class StorageRace(StorageConflict):
    """Another process wrote the same key first: the next attempt sees it, unless it is a defect."""


class StorageUnreachable(Unavailable):
    """The database server can't be reached, or left before anything was committed."""

    code = "storage_unreachable"


class StorageFull(Unavailable):
    """No space left; the transaction is known to be rolled back."""

    code = "storage_full"
    retry_after_s = 30


class StorageReadOnly(Unavailable):
    """The database file or its file system cannot be written, or this user may not write it."""

    code = "storage_read_only"
    retry_after_s = 60


class StorageFailed(Unavailable):
    """The storage failed; this process stops writing and asks its supervisor for a restart."""

    code = "storage_failed"
    applied = "unknown"
    retry_after_s = 5


class OutcomeUnknown(Unavailable):
    """The change was taken, but whether it was applied is not known yet."""

    code = "outcome_unknown"
    applied = "unknown"
