"""API keys: made, listed, revoked."""

import hashlib
import secrets
from typing import Any

import orjson
from sqlalchemy import insert, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from inventory_api.domain.catalog import rfc3339
from inventory_api.domain.outcome import Outcome
from inventory_api.domain.principal import APIKey
from inventory_api.domain.rejections import Code
from inventory_api.domain.types import Instant
from inventory_api.store.tables import API_KEY, KEYRING

_COLUMNS = tuple(API_KEY.c[name] for name in APIKey._fields)
_NEXT_VERSION = update(KEYRING).values(version=KEYRING.c.version + 1)
PREFIX = "inv"


def new_id() -> str:
    """An id for a key: 64 random bits, in letters and digits."""
    return secrets.token_hex(8)


def new_secret() -> str:
    """256 random bits as text."""
    return secrets.token_urlsafe(32)


def digest_of(secret: str) -> bytes:
    """What is kept of a secret. It is random, so a slow hash would add nothing."""
    return hashlib.sha256(secret.encode()).digest()


def show_key(key: APIKey) -> dict[str, Any]:  # Any: JSON values
    """The shape of a key in answers: everything but its secret."""
    return {
        "id": key.id,
        "name": key.name,
        "scopes": orjson.loads(key.scopes),
        "locations": None if key.locations is None else orjson.loads(key.locations),
        "created_at": rfc3339(key.created_at),
        "expires_at": None if key.expires_at is None else rfc3339(key.expires_at),
        "revoked_at": None if key.revoked_at is None else rfc3339(key.revoked_at),
    }


async def all_keys(session: AsyncSession) -> list[APIKey]:
    """Every key, also the expired and revoked ones."""
    return [APIKey._make(row) for row in await session.execute(select(*_COLUMNS))]


async def keys_version(session: AsyncSession) -> int:
    """How often a key was made or revoked, by whichever process."""
    version: int = (await session.execute(select(KEYRING.c.version))).scalar_one()
    return version


async def list_keys(session: AsyncSession, *, after: str, limit: int) -> list[APIKey]:
    """Keys by id, from the one behind `after`."""
    statement = select(*_COLUMNS).where(API_KEY.c.id > after).order_by(API_KEY.c.id).limit(limit)
    return [APIKey._make(row) for row in await session.execute(statement)]


async def create_key(session: AsyncSession, key: APIKey) -> Outcome:
    """The outcome shows the key without its secret.

    A retry is answered with this, so that a secret is stored nowhere and shown exactly once.
    """
    if await find_key(session, key.id) is not None:
        return Outcome(b"{}", Code.ALREADY_EXISTS)
    await session.execute(insert(API_KEY).values(key._asdict()))
    await session.execute(_NEXT_VERSION)
    return Outcome(orjson.dumps(show_key(key)))


async def find_key(session: AsyncSession, key_id: str, *, lock: bool = False) -> APIKey | None:
    """One key; locked, it stays as it is until the transaction ends."""
    statement = select(*_COLUMNS).where(API_KEY.c.id == key_id)
    row = (await session.execute(statement.with_for_update() if lock else statement)).first()
    return None if row is None else APIKey._make(row)


async def revoke_key(session: AsyncSession, key_id: str, now: Instant) -> Outcome:
    """Rejects: `UNKNOWN_ID`. A key that is revoked stays revoked since its first time."""
    key = await find_key(session, key_id, lock=True)
    if key is None:
        return Outcome(b"{}", Code.UNKNOWN_ID)
    if key.revoked_at is None:
        key = key._replace(revoked_at=now)
        at = update(API_KEY).where(API_KEY.c.id == key_id)
        await session.execute(at.values(revoked_at=now))
        await session.execute(_NEXT_VERSION)
    return Outcome(orjson.dumps(show_key(key)))
