"""Who a presented key belongs to."""

import hmac
from collections.abc import Callable, Iterable

import orjson

from inventory_api.domain.principal import APIKey, Principal, Scope
from inventory_api.domain.types import Instant
from inventory_api.store.keys import PREFIX, digest_of

# Longer ones are not ours; bounds the work on a guess.
PRESENTED_LENGTH_MAX = 256
EVERYTHING = frozenset(Scope)
_INCLUDED = {
    Scope.READ: frozenset({Scope.READ}),
    Scope.WRITE: frozenset({Scope.READ, Scope.WRITE}),
    Scope.ADMIN: EVERYTHING,
}


class Keyring:
    """The keys of a database, in memory, as they were at a version of the keyring.

    Args:
        clock: microseconds since 1970, for expiry.
        is_open: whether everybody may do everything while no key exists.
    """

    def __init__(self, *, clock: Callable[[], Instant], is_open: bool) -> None:
        self._clock = clock
        self._is_open = is_open
        self._keys: dict[str, tuple[APIKey, Principal]] = {}
        self.version = 0

    def replace(self, keys: Iterable[APIKey], version: int = 0) -> None:
        """Know exactly these keys from now on."""
        self.version = version
        self._keys = {key.id: (key, principal_of(key)) for key in keys}

    def put(self, key: APIKey) -> None:
        """Know a key, or its new state."""
        self._keys[key.id] = (key, principal_of(key))

    @property
    def is_empty(self) -> bool:
        """Whether there never was a key."""
        return not self._keys

    @property
    def anonymous(self) -> Principal | None:
        """Who acts without a key; nobody, as soon as one key exists, even a revoked one."""
        return Principal("local", EVERYTHING) if self._is_open and not self._keys else None

    def principal(self, presented: str) -> Principal | None:
        """The owner of `inv_<id>_<secret>`; None if it is unknown, wrong, expired or revoked."""
        if len(presented) > PRESENTED_LENGTH_MAX:
            return None
        prefix, _, rest = presented.partition("_")
        key_id, _, secret = rest.partition("_")
        found = self._keys.get(key_id)
        if prefix != PREFIX or found is None:
            return None
        key, principal = found
        try:
            digest = digest_of(secret)
        except UnicodeEncodeError:
            return None
        if not hmac.compare_digest(digest, key.secret_sha256):
            return None
        is_over = key.expires_at is not None and key.expires_at <= self._clock()
        return None if is_over or key.revoked_at is not None else principal


def principal_of(key: APIKey) -> Principal:
    """What a key allows."""
    scopes = frozenset().union(*(_INCLUDED[Scope(scope)] for scope in orjson.loads(key.scopes)))
    locations = None if key.locations is None else frozenset(orjson.loads(key.locations))
    return Principal(key.id, scopes, locations)
