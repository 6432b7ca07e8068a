"""Every field of a schema, and a whole body in which one of them can be replaced."""

import copy
import json
from collections.abc import Iterator
from typing import Any, NamedTuple

from tests.web.document import resolved

JSON = Any  # Any: a parsed document of unknown shape
Steps = tuple[str | int, ...]

# What a field holds unless it is the one under test; the demo has it, or does not have it yet.
GOOD: dict[str, Any] = {
    "sku": "P001",
    "location": "main",
    "from": "main",
    "to": "store-1",
    "via": "transit",
    "code": "north",
    "reason": "sale",
    "amount": "1.00",
    "price": "1.00",
    "currency": "CNY",
    "expected_on_hand": 50,
    "url": "https://feeds.example.com/stock",
    "env": "INVENTORY_SUPPLIER_SECRET_ACME",
    "after": 0,
}
GOOD_TIME = "2030-01-01T00:00:00Z"
HERE = '"@@here@@"'


class Field(NamedTuple):
    """One value in a body, and the schema that it has to fulfil."""

    steps: Steps
    schema: JSON

    @property
    def name(self) -> str:
        """The innermost name: `lines[0].sku` is a `sku`."""
        names = [step for step in self.steps if isinstance(step, str)]
        return names[-1] if names else ""

    @property
    def path(self) -> str:
        """As a refusal names it."""
        text = "".join(f"[{one}]" if isinstance(one, int) else f".{one}" for one in self.steps)
        return text.removeprefix(".") or "body"


def whole(schema: JSON, name: str = "") -> JSON:
    """A good value with every member that the schema knows."""
    schema = chosen(schema)
    if "enum" in schema:
        return schema["enum"][0]
    match schema["type"]:
        case "object":
            members = schema.get("properties") or {"colour": schema["additionalProperties"]}
            return {member: whole(part, member) for member, part in members.items()}
        case "array":
            return [whole(schema["items"], name.removesuffix("s"))]
        case "integer":
            return GOOD.get(name, max(1, int(schema.get("minimum", 1))))
        case "boolean":
            return True
        case _:
            return GOOD_TIME if schema.get("format") == "date-time" else GOOD.get(name, "text")


def fields(schema: JSON, steps: Steps = ()) -> Iterator[Field]:
    """The whole, its members, and theirs, in the order of `whole`."""
    yield Field(steps, schema)
    schema = chosen(schema)
    if schema.get("type") == "object":
        members = schema.get("properties") or {"colour": schema["additionalProperties"]}
        for name, part in members.items():
            yield from fields(part, (*steps, name))
    if schema.get("type") == "array":
        yield from fields(schema["items"], (*steps, 0))


def alternatives(schema: JSON) -> list[JSON]:
    """The schemas of which one has to be fulfilled."""
    schema = resolved(schema)
    return [resolved(part) for part in schema.get("anyOf", [schema])]


def chosen(schema: JSON) -> JSON:
    """The first alternative that is not null."""
    return next(part for part in alternatives(schema) if part.get("type") != "null")


def with_literal(body: JSON, steps: Steps, literal: str) -> bytes:
    """The body as JSON in which a literal, which need not be JSON, stands at one place."""
    marked = replaced(body, steps, json.loads(HERE))
    return json.dumps(marked).replace(HERE, literal, 1).encode("utf-8", "surrogatepass")


def replaced(body: JSON, steps: Steps, value: JSON) -> JSON:
    if not steps:
        return value
    inside = copy.deepcopy(body)
    parent = at(inside, steps[:-1])
    parent[steps[-1]] = value
    return inside


def without(body: JSON, steps: Steps) -> JSON:
    """The body in which one member is missing."""
    inside = copy.deepcopy(body)
    del at(inside, steps[:-1])[steps[-1]]
    return inside


def at(body: JSON, steps: Steps) -> JSON:
    for step in steps:
        body = body[step]
    return body
