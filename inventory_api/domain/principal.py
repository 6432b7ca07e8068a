"""Who asks, and what he may."""

from enum import StrEnum
from typing import NamedTuple

from inventory_api.domain.types import Instant


class Scope(StrEnum):
    """What a key allows; each includes the ones before it."""

    READ = "read"
    WRITE = "write"
    ADMIN = "admin"


class Principal(NamedTuple):
    """A caller.

    Attributes:
        id: the key's id; the actor of operations and the scope of idempotency keys.
        locations: those that the caller may see and change; None: all.
    """

    id: str
    scopes: frozenset[Scope]
    locations: frozenset[str] | None = None


class APIKey(NamedTuple):
    """A row of the api_key table, in the order of its columns.

    `scopes` and `locations` are JSON lists; `locations` None is all.
    """

    id: str
    name: str
    secret_sha256: bytes
    scopes: str
    locations: str | None
    created_at: Instant
    expires_at: Instant | None
    revoked_at: Instant | None
