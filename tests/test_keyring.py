"""Who a presented key belongs to."""

import pytest

from inventory_api.domain.principal import APIKey, Principal, Scope
from inventory_api.domain.types import Instant
from inventory_api.keyring import Keyring
from inventory_api.store.keys import digest_of
from tests.settable_clock import START, SettableClock

SECRET = "abcdefghijklmnopqrstuv_with-an_underscore"
ALL = {Scope.READ, Scope.WRITE, Scope.ADMIN}


def api_key(
    key_id: str = "k1",
    *,
    scopes: str = '["write"]',
    locations: str | None = None,
    expires_at: int | None = None,
    revoked_at: int | None = None,
) -> APIKey:
    ends = None if expires_at is None else Instant(expires_at)
    revoked = None if revoked_at is None else Instant(revoked_at)
    digest = digest_of(SECRET)
    return APIKey(key_id, "till", digest, scopes, locations, Instant(1), ends, revoked)


def keyring(*keys: APIKey, is_open: bool = False, clock: SettableClock | None = None) -> Keyring:
    ring = Keyring(clock=clock or SettableClock(), is_open=is_open)
    ring.replace(keys)
    return ring


def test_a_key_is_its_owner_s() -> None:
    principal = keyring(api_key(locations='["main"]')).principal(f"inv_k1_{SECRET}")

    assert principal == Principal("k1", frozenset({Scope.READ, Scope.WRITE}), frozenset({"main"}))


@pytest.mark.parametrize(
    ("scopes", "granted"),
    [
        ("[]", set()),
        ('["read"]', {Scope.READ}),
        ('["write"]', {Scope.READ, Scope.WRITE}),
        ('["read","write"]', {Scope.READ, Scope.WRITE}),
        ('["admin"]', ALL),
    ],
)
def test_a_scope_includes_the_ones_before_it(scopes: str, granted: set[Scope]) -> None:
    principal = keyring(api_key(scopes=scopes)).principal(f"inv_k1_{SECRET}")

    assert principal is not None
    assert principal.scopes == granted


@pytest.mark.parametrize(
    "presented",
    [
        pytest.param("", id="nothing"),
        pytest.param("inv", id="prefix_only"),
        pytest.param("inv_k1", id="no_secret"),
        pytest.param("inv_k1_", id="empty_secret"),
        pytest.param(f"inv_k2_{SECRET}", id="another_id"),
        pytest.param(f"INV_k1_{SECRET}", id="another_prefix"),
        pytest.param(f"inv_k1_{SECRET}x", id="longer_secret"),
        pytest.param(f"inv_k1_{SECRET[:-1]}", id="shorter_secret"),
        pytest.param(f" inv_k1_{SECRET}", id="leading_space"),
        pytest.param(f"inv_k1_{SECRET}\n", id="trailing_line_feed"),
        pytest.param(f"inv_k1_{SECRET}\u00e9", id="not_ascii"),
        pytest.param("inv_k1_\ud800", id="half_a_character"),
        pytest.param("inv_k1_" + "x" * 10_000, id="very_long"),
    ],
)
def test_anything_else_is_nobody_s(presented: str) -> None:
    assert keyring(api_key()).principal(presented) is None


def test_a_key_ends_at_its_time_to_the_microsecond() -> None:
    clock = SettableClock()
    ring = keyring(api_key(expires_at=START + 1), clock=clock)
    presented = f"inv_k1_{SECRET}"

    assert ring.principal(presented) is not None
    clock.now = Instant(START + 1)
    assert ring.principal(presented) is None


def test_a_revoked_key_is_nobody_s_from_the_next_request_on() -> None:
    ring = keyring(api_key())
    presented = f"inv_k1_{SECRET}"
    assert ring.principal(presented) is not None

    ring.put(api_key(revoked_at=START))

    assert ring.principal(presented) is None


def test_a_key_that_was_put_is_known_beside_the_others() -> None:
    ring = keyring(api_key("k1"))

    ring.put(api_key("k2"))

    assert ring.principal(f"inv_k1_{SECRET}") is not None
    assert ring.principal(f"inv_k2_{SECRET}") is not None


def test_everybody_may_do_everything_while_an_open_ring_is_empty() -> None:
    ring = keyring(is_open=True)

    assert ring.is_empty
    assert ring.anonymous == Principal("local", frozenset(ALL))


def test_nobody_is_anonymous_as_soon_as_there_is_a_key_even_a_revoked_one() -> None:
    ring = keyring(api_key(revoked_at=1), is_open=True)

    assert not ring.is_empty
    assert ring.anonymous is None


def test_nobody_is_anonymous_where_the_service_is_not_open() -> None:
    assert keyring(is_open=False).anonymous is None
