"""From a record of a list to a code and a quantity, or to what is wrong with it."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import orjson

from inventory_api.domain.types import LINE_ID_LENGTH_MAX, UNITS_MAX, is_visible

_DIGITS = re.compile(r"[0-9]{1,13}", re.ASCII)
_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?", re.ASCII)


class Row(NamedTuple):
    """One record of a list.

    Attributes:
        line: its number, from 1, over all pages, without headers and blank lines.
        code: the supplier's; None if nobody can tell.
        quantity: None if it can't be used.
        fault: why it can't be used: a word for reports.
    """

    line: int
    code: str | None
    quantity: int | None
    fault: str | None = None


class Parts(NamedTuple):
    """A record as it was cut out, still unread: bytes of JSON, or cells of CSV; or a fault."""

    content: bytes | Mapping[str, str] | None
    fault: str | None = None


def path_of(text: str) -> tuple[str, ...]:
    """The names of a path; none for the empty text."""
    return tuple(text.split(".")) if text else ()


def at_path(value: Any, path: Sequence[str]) -> Any:  # Any: JSON values
    """What stands at a path; None if nothing does."""
    for name in path:
        if not isinstance(value, Mapping):
            return None
        value = value.get(name)
    return value


def read_row(line: int, parts: Parts, *, sku: Sequence[str], quantity: Sequence[str]) -> Row:
    """The row that a record is; `sku` and `quantity` are paths inside it."""
    if parts.content is None:
        return Row(line, None, None, parts.fault)
    record: Any = parts.content  # Any: JSON values
    if isinstance(record, bytes):
        try:
            record = orjson.loads(record)
        except orjson.JSONDecodeError:
            return Row(line, None, None, "not_json")
    code = _code(at_path(record, sku))
    if code is None:
        return Row(line, None, None, "code")
    units = _units(at_path(record, quantity))
    if isinstance(units, str):
        return Row(line, code, None, units)
    return Row(line, code, units)


def _code(value: object) -> str | None:
    """A code is a text, or a whole number of some system that thinks of it as one."""
    if type(value) is int:
        return str(value)
    if not isinstance(value, str):
        return None
    text = value.strip()
    is_fit = 0 < len(text) <= LINE_ID_LENGTH_MAX and is_visible(text)
    return text if is_fit else None


def _units(value: object) -> int | str:
    """Whole units, or the fault: nothing is rounded, and nothing is guessed."""
    if isinstance(value, str):
        text = value.strip()
        if _DIGITS.fullmatch(text):
            value = int(text)
        elif _NUMBER.fullmatch(text):
            return _fault_of(text)
    if isinstance(value, float):
        return "negative" if value < 0 else "not_whole"
    if type(value) is not int:
        return "quantity"
    if value < 0:
        return "negative"
    return value if value <= UNITS_MAX else "too_large"


def _fault_of(text: str) -> str:
    if text.startswith("-"):
        return "negative"
    return "too_large" if text.isdigit() else "not_whole"
