"""What was logged, as the events that the code gave."""

from typing import Any

import pytest

Event = dict[str, Any]  # Any: whatever an event tells


def events(caplog: pytest.LogCaptureFixture, level: str) -> list[Event]:
    """The events of one level, in order."""
    return [
        record.msg
        for record in caplog.records
        if record.levelname == level.upper() and isinstance(record.msg, dict)
    ]
