"""Cursors: where a list goes on, opaque to the caller."""

import base64
import binascii
from collections.abc import Collection, Sequence
from typing import Any

import orjson

from inventory_api.domain.types import is_visible
from inventory_api.web.problems import invalid

SEQ_MAX = 2**63 - 1


def cursor_after(*position: str | int) -> str:
    """The cursor behind a position."""
    return base64.urlsafe_b64encode(orjson.dumps(position)).decode("ascii").rstrip("=")


def position_of(cursor: str | None, *start: str | int) -> tuple[Any, ...]:  # Any: as in `start`
    """The position that a cursor stands for; `start` for no cursor.

    Raises:
        Invalid: it is not a cursor of this list.
    """
    if cursor is None:
        return start
    try:
        padded = cursor.encode("ascii") + b"=" * (-len(cursor) % 4)
        position = orjson.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
    except (ValueError, binascii.Error):
        position = None
    kinds = [type(part) for part in start]
    if (
        not isinstance(position, list)
        or [type(part) for part in position] != kinds
        or not all(map(_is_sound, position))
    ):
        raise invalid("cursor", "must be a next_cursor of this list", "必须是此列表的 next_cursor")
    return tuple(position)


def _is_sound(part: object) -> bool:
    """Whether a list can have had such a position."""
    if isinstance(part, int):
        return 0 <= part <= SEQ_MAX
    return isinstance(part, str) and is_visible(part)


def page(items: list[Any], limit: int, cursor: str | None) -> dict[str, Any]:  # Any: JSON values
    """The shape of a list; `cursor` is given only if the page is full."""
    return {"items": items, "next_cursor": cursor if len(items) == limit else None}


def partly_shown(
    items: list[Any],  # Any: JSON values
    *,
    asked: Sequence[str],
    looked_at: Collection[str],
    limit: int,
) -> dict[str, Any]:
    """A list of documents of which not all that were looked at are shown.

    `asked` are the ids that were found, at most `limit`; those that were `looked_at` are their
    beginning. The list goes on behind the last of these.
    """
    ends = len(looked_at) == len(asked) < limit
    cursor = None if ends else cursor_after(asked[len(looked_at) - 1])
    return {"items": items, "next_cursor": cursor}
