"""What each way of being unavailable says about the change."""

import pytest

from inventory_api.domain.unavailable import Unavailable


@pytest.mark.parametrize(
    ("code", "applied"),
    [
        ("overloaded", "no"),
        ("draining", "no"),
        ("deadline", "no"),
        ("storage_busy", "no"),
        ("storage_full", "no"),
        ("storage_read_only", "no"),
        ("storage_failed", "unknown"),
        ("outcome_unknown", "unknown"),
    ],
)
def test_only_a_guarantee_is_called_one(code: str, applied: str) -> None:
    kinds = {kind.code: kind for kind in Unavailable.__subclasses__()}

    assert kinds[code].applied == applied


def test_every_kind_has_a_code_and_advice_when_to_come_back() -> None:
    for kind in Unavailable.__subclasses__():
        assert kind.code.islower()
        assert 1 <= kind.retry_after_s <= 60
