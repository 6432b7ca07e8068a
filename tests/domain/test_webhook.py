"""What becomes of an endpoint after each attempt."""

import pytest

from inventory_api.domain.events import Event, Position
from inventory_api.domain.types import Instant
from inventory_api.domain.webhook import Attempted, Delivery, Webhook, after_attempt
from tests.webhook_receiver import webhook

SECOND = 1_000_000
NOW = Instant(1_000 * SECOND)
EVENT = Event(5, 11, "level.changed", NOW, {})


def attempted(
    before: Webhook, code: int | None, *, now: Instant = NOW, error: str | None = None
) -> tuple[Webhook, Delivery]:
    made = Attempted(code, error, 12)
    return after_attempt(before, EVENT, made, now=now, pause_us=7 * SECOND, give_up_us=100 * SECOND)


@pytest.mark.parametrize("code", [200, 201, 204, 299])
def test_any_2xx_moves_the_endpoint_on(code: int) -> None:
    after, delivery = attempted(webhook("a", "https://a.example/", cursor_seq=4), code)

    assert after.position == Position(5, 11)
    assert (after.attempts, after.deliveries, after.next_attempt_at) == (0, 1, None)
    assert (delivery.number, delivery.status, delivery.attempts) == (1, "delivered", 1)


@pytest.mark.parametrize("code", [None, 100, 199, 300, 302, 304, 400, 409, 429, 500, 503])
def test_anything_else_is_tried_again_as_the_same_delivery(code: int | None) -> None:
    before = webhook("a", "https://a.example/", cursor_seq=4)

    failing, first = attempted(before, code)
    done, second = attempted(failing, 200, now=Instant(NOW + SECOND))

    assert failing.position == before.position
    assert failing.next_attempt_at == NOW + 7 * SECOND
    assert (first.number, second.number) == (1, 1)
    assert (second.attempts, second.status) == (2, "delivered")
    assert (done.failing_since, done.attempts) == (None, 0)


def test_410_disables_at_once() -> None:
    after, delivery = attempted(webhook("a", "https://a.example/"), 410)

    assert (after.status, after.disabled_reason, after.disabled_at) == ("disabled", "gone", NOW)
    assert delivery.status == "failed"


def test_failing_for_too_long_disables() -> None:
    failing, _ = attempted(webhook("a", "https://a.example/"), 500)
    still, _ = attempted(failing, 500, now=Instant(NOW + 99 * SECOND))
    over, delivery = attempted(still, 500, now=Instant(NOW + 100 * SECOND))

    assert still.is_active
    assert (over.status, over.disabled_reason) == ("disabled", "failing")
    assert (delivery.status, delivery.attempts) == ("failed", 3)


def test_two_secrets_sign_until_the_old_ones_end() -> None:
    rotated = webhook("a", "", secret="new", secret_before="old", secret_before_ends_at=NOW)

    assert rotated.secrets_at(Instant(NOW - 1)) == ("new", "old")
    assert rotated.secrets_at(NOW) == ("new",)


def test_filters_that_are_left_out_want_everything() -> None:
    plain = webhook("a", "")
    picky = webhook("a", "", skus=frozenset({"P001"}), locations=frozenset({"main"}))

    assert plain.touches("P002", "store-1")
    assert picky.touches("P001", "main")
    assert not picky.touches("P001", "store-1")
    assert not picky.touches("P002", "main")
