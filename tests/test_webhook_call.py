"""Signatures, as Standard Webhooks has them."""

import base64
import time

import pytest
import standardwebhooks

from inventory_api.webhook_call import headers_of, new_secret, signature

BODY = '{"type":"level.changed","名":"笔记本"}'.encode()


def test_the_example_of_the_specification_is_signed_as_it_says() -> None:
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    body = b'{"test": 2432232314}'

    found = signature(secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, body)

    assert found == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_the_package_that_receivers_use_accepts_each_secret() -> None:
    secrets = [new_secret(), new_secret()]
    headers = headers_of(secrets, "evt_1_level.changed", int(time.time()), BODY)

    for secret in secrets:
        assert standardwebhooks.Webhook(secret).verify(BODY, headers)["名"] == "笔记本"


def test_a_changed_body_is_not_accepted() -> None:
    secret = new_secret()
    headers = headers_of([secret], "evt_1_level.changed", int(time.time()), BODY)

    with pytest.raises(standardwebhooks.WebhookVerificationError):
        standardwebhooks.Webhook(secret).verify(BODY + b" ", headers)


def test_secrets_are_random_and_long_enough() -> None:
    secrets = {new_secret() for _ in range(100)}

    assert len(secrets) == 100
    assert all(24 <= len(base64.b64decode(one.removeprefix("whsec_"))) <= 64 for one in secrets)
