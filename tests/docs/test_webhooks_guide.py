"""The guide's ten lines accept what the service signs, and nothing else."""

import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from inventory_api.webhook_call import headers_of, new_secret

GUIDE = Path(__file__).parents[2] / "docs" / "webhooks.md"


def verifier() -> Callable[[str, dict[str, str], bytes], bool]:
    found = re.search(r"```python\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL)
    assert found is not None
    names: dict[str, Any] = {}  # Any: what the script defines
    exec(found[1], names)
    verify: Callable[[str, dict[str, str], bytes], bool] = names["is_genuine"]
    return verify


def test_the_guide_verifies_what_is_genuine_and_recent() -> None:
    is_genuine, (secret, other), now = verifier(), (new_secret(), new_secret()), int(time.time())

    signed = headers_of([other, secret], "evt_1_level.changed", now, b"{}")
    old = headers_of([secret], "evt_1_level.changed", now - 301, b"{}")

    assert is_genuine(secret, signed, b"{}")
    assert is_genuine(other, signed, b"{}")
    assert not is_genuine(secret, signed, b"{ }")
    assert not is_genuine(new_secret(), signed, b"{}")
    assert not is_genuine(secret, old, b"{}")
