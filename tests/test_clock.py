"""Time and identity."""

import time
import uuid

from inventory_api.clock import new_id, now


def test_now_is_the_system_s_time_in_microseconds() -> None:
    before = time.time_ns() // 1_000

    assert before <= now() <= time.time_ns() // 1_000


def test_an_id_is_a_uuid_of_version_7() -> None:
    parsed = uuid.UUID(new_id())

    assert (parsed.version, parsed.variant) == (7, uuid.RFC_4122)
    assert str(parsed) == str(uuid.UUID(int=parsed.int))


def test_an_id_starts_with_its_time() -> None:
    before = time.time_ns() // 1_000_000

    milliseconds = uuid.UUID(new_id()).int >> 80

    assert before <= milliseconds <= time.time_ns() // 1_000_000


def test_ids_are_never_the_same() -> None:
    assert len({new_id() for _ in range(10_000)}) == 10_000
