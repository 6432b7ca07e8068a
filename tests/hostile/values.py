"""Values that nobody should send, and which of them a field has to accept all the same."""

import json
import math
import re
import unicodedata
from typing import Any, NamedTuple

import pytest

from tests.hostile.fields import Field, alternatives

JSON = Any  # Any: a schema

NAMES = frozenset({"sku", "skus", "location", "locations", "from", "to", "via", "code", "supplier"})
UNSEEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}

TEXTS = {
    "empty": "",
    "number": "1",
    "null-character": "a\x00b",
    "bell": "a\x07",
    "line-feed": "a\nb",
    "carriage-return": "a\r\nb",
    "escape": "\x1b[31m",
    "delete": "a\x7f",
    "next-line": "a\x85b",
    "zero-width-space": "a\u200bb",
    "joiner": "a\u200db",
    "right-to-left": "a\u202eb",
    "byte-order-mark": "\ufeffa",
    "line-separator": "a\u2028b",
    "private-use": "\ue000",
    "noncharacter": "\uffff",
    "unassigned": "\u0378",
    "high-surrogate": "a\ud800",
    "low-surrogate": "\udc00a",
    "reversed-surrogates": "\udc00\ud800",
    "decomposed": "e\u0301",
    "leading-space": " a",
    "trailing-space": "a ",
    "ideographic-space": "\u3000a",
    "space": " ",
    "slash": "a/b",
    "65-characters": "x" * 65,
    "129-characters": "x" * 129,
    "256-characters": "x" * 256,
    "1001-characters": "x" * 1001,
    "arabic-digits": "\u0665\u0669",
    "fullwidth-digits": "\uff11\uff12",
    "quotes": "';DROP TABLE item;--\"",
    "template": "${7*7}{{7*7}}",
    "python": "__class__",
    "true": "true",
    "not-a-number": "NaN",
    "upper-case": "ATOMIC",
    "custom": "custom:",
    "custom-upper": "custom:ABC",
    "price-exponent": "1e3",
    "price-negative": "-1",
    "price-long": "1" * 13,
    "price-fine": "1.00001",
    "price-newline": "1.00\n",
    "time-naive": "2026-01-01T00:00:00",
    "time-date": "2026-01-01",
    "time-no-day": "2026-02-30T00:00:00Z",
    "time-leap": "2026-01-01T23:59:60Z",
    "time-before-all": "0001-01-01T00:00:00+01:00",
    "time-after-all": "9999-12-31T23:59:59-01:00",
    "time-zone": "2026-01-01T00:00:00+99:99",
    "time-seconds": "1700000000",
    "time-fine": "2026-01-01T00:00:00.1234567Z",
}
# Each is a JSON document of its own, or is meant to be none.
LITERALS = {
    "true": "true",
    "false": "false",
    "null": "null",
    "one-dot-zero": "1.0",
    "exponent": "1e3",
    "fraction": "1.5",
    "minus-one": "-1",
    "zero": "0",
    "2^63": str(2**63),
    "-2^63": str(-(2**63)),
    "2^64": str(2**64),
    "10^12+1": str(10**12 + 1),
    "-10^12-1": str(-(10**12) - 1),
    "10^400": "1" + "0" * 400,
    "nan": "NaN",
    "infinity": "Infinity",
    "minus-infinity": "-Infinity",
    "overflow": "1E400",
    "minus-overflow": "-1e999",
    "5000-digits": "1" * 5000,
    "array": "[]",
    "array-of-one": "[1]",
    "array-in-array": "[[]]",
    "object": "{}",
    "object-of-one": '{"a":1}',
}
MALFORMED = {
    "nothing": ",",
    "plus": "+1",
    "leading-zero": "01",
    "hexadecimal": "0x10",
    "single-quotes": "'a'",
    "bare-word": "sale",
    "comment": "1/**/",
    "trailing-comma": "[1,]",
    "duplicate-name": '{"a":1,"a":1}',
    "raw-control": '"a\nb"',
    "bad-escape": '"\\x41"',
    "cut-escape": '"\\ud8"',
    "unclosed": '"a',
}


# Each value is tried in one field of five, or in all of them.
every_so_many = pytest.mark.parametrize(
    "every", [pytest.param(5, id="fifth"), pytest.param(1, id="all", marks=pytest.mark.slow)]
)


class Literal(NamedTuple):
    """What stands in the body, and the value that it means."""

    label: str
    text: str
    value: JSON


def literals() -> list[Literal]:
    """Every well-formed value of the corpus."""
    plain = [Literal(label, text, _value(text)) for label, text in LITERALS.items()]
    return plain + [Literal(label, json.dumps(text), text) for label, text in TEXTS.items()]


def _value(text: str) -> JSON:
    """What a document says; a number without end where Python reads none."""
    try:
        value: JSON = json.loads(text)
    except ValueError:
        value = math.inf
    return value


def is_legal(field: Field, value: JSON) -> bool:
    """Whether a field has to take a value, by the words of the contract."""
    return any(_fulfils(field, schema, value) for schema in alternatives(field.schema))


def _fulfils(field: Field, schema: JSON, value: JSON) -> bool:
    if "enum" in schema:
        return isinstance(value, str) and value in schema["enum"]
    match schema.get("type"), value:
        case ("null", None) | ("boolean", bool()):
            return True
        case "integer", int() if not isinstance(value, bool):
            least = schema.get("minimum", schema.get("exclusiveMinimum", -(2**63)))
            return bool(least <= value <= schema.get("maximum", 2**63 - 1))
        case "string", str():
            return is_legal_text(field.name, schema, value)
        case "object", dict():
            return _fulfils_object(field, schema, value)
        case "array", list():
            return not value and schema.get("minItems", 0) == 0
        case _:
            return False


def _fulfils_object(field: Field, schema: JSON, value: dict[str, JSON]) -> bool:
    if "properties" in schema:
        return not value and not schema.get("required") and field.steps != ()
    return len(value) <= int(schema["maxProperties"])


def is_legal_text(name: str, schema: JSON, text: str) -> bool:
    """Whether a text may stand in a field of this name and schema."""
    if not schema.get("minLength", 0) <= len(text) <= schema.get("maxLength", 10**9):
        return False
    if "pattern" in schema:
        return re.search(schema["pattern"].replace("$", r"\Z"), text, re.ASCII) is not None
    if schema.get("format") == "date-time":
        return False  # none of the corpus is one
    if any(unicodedata.category(character) in UNSEEN for character in text):
        return False
    if name == "reason":
        return False  # likewise
    if name == "code" and not text.strip():
        return False  # spaces around a code are no part of it
    # A reservation's reference stands in a path, others do not; their lengths tell them apart, and
    # names of ours from those that suppliers gave.
    is_ours = name in NAMES and schema.get("maxLength") == 64
    is_in_path = name.endswith("reference") and schema.get("maxLength") == 128
    return not (is_ours or is_in_path) or _is_name(text)


def _is_name(text: str) -> bool:
    is_trimmed = text == text.strip() and text not in (".", "..")
    return is_trimmed and "/" not in text and unicodedata.is_normalized("NFC", text)
