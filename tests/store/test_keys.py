"""API keys in the database."""

import hashlib

import orjson

from inventory_api.domain.outcome import Outcome
from inventory_api.domain.principal import APIKey
from inventory_api.domain.rejections import Code
from inventory_api.domain.types import Instant
from inventory_api.service import Service
from inventory_api.store.database import Session
from inventory_api.store.keys import (
    all_keys,
    create_key,
    digest_of,
    find_key,
    list_keys,
    new_id,
    new_secret,
    revoke_key,
)
from tests.ledger_oracle import rows_of
from tests.settable_clock import SettableClock


def api_key(key_id: str, *, locations: str | None = None) -> APIKey:
    digest = digest_of("a secret of some length")
    return APIKey(key_id, "till", digest, '["write"]', locations, Instant(1), None, None)


async def create(service: Service, key: APIKey) -> Outcome:
    async def work(session: Session, now: Instant) -> Outcome:
        return await create_key(session, key)

    return await service.transact(work, actor="test")


async def revoke(service: Service, key_id: str) -> Outcome:
    async def work(session: Session, now: Instant) -> Outcome:
        return await revoke_key(session, key_id, now)

    return await service.transact(work, actor="test")


async def test_a_key_is_kept_without_its_secret(service: Service) -> None:
    outcome = await create(service, api_key("k1", locations='["main"]'))

    assert orjson.loads(outcome.answer) == {
        "id": "k1",
        "name": "till",
        "scopes": ["write"],
        "locations": ["main"],
        "created_at": "1970-01-01T00:00:00.000001Z",
        "expires_at": None,
        "revoked_at": None,
    }
    (row,) = await rows_of(service.database, "SELECT * FROM api_key")
    assert row["secret_sha256"] == hashlib.sha256(b"a secret of some length").digest()
    assert "a secret of some length" not in str(row)


async def test_an_id_is_given_once(service: Service) -> None:
    await create(service, api_key("k1"))

    assert (await create(service, api_key("k1"))).refused is Code.ALREADY_EXISTS


async def test_keys_are_listed_by_id(service: Service) -> None:
    for key_id in ("k3", "k1", "k2"):
        await create(service, api_key(key_id))

    async with service.database.reader() as session:
        page = await list_keys(session, after="k1", limit=1)
        every = await all_keys(session)

    assert [key.id for key in page] == ["k2"]
    assert sorted(key.id for key in every) == ["k1", "k2", "k3"]


async def test_a_revoked_key_stays_revoked_since_the_first_time(
    service: Service, clock: SettableClock
) -> None:
    await create(service, api_key("k1"))
    first = await revoke(service, "k1")
    clock.move(seconds=60)
    second = await revoke(service, "k1")

    assert first.answer == second.answer
    async with service.database.reader() as session:
        found = await find_key(session, "k1")
    assert found is not None
    assert found.revoked_at == clock.now - 60_000_000


async def test_an_unknown_key_cannot_be_revoked(service: Service) -> None:
    assert (await revoke(service, "nope")).refused is Code.UNKNOWN_ID


def test_ids_and_secrets_are_never_the_same_twice() -> None:
    assert len({new_id() for _ in range(1000)}) == 1000
    assert len({new_secret() for _ in range(1000)}) == 1000


def test_a_secret_has_more_than_128_random_bits_and_goes_into_a_header() -> None:
    secret = new_secret()

    assert len(secret) * 6 >= 256
    assert secret.isascii()
    assert secret.isprintable()
    assert " " not in secret


def test_an_id_has_no_underscore_which_separates_it_from_the_secret() -> None:
    assert all(new_id().isalnum() for _ in range(100))
