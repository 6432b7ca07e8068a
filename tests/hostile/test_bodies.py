"""Bad values in every field of every body: refused by name, and nothing is stored."""

import json
import re
from collections.abc import Iterator
from itertools import islice

import httpx
import pytest

from tests.hostile.fields import Field, at, chosen, fields, whole, with_literal, without
from tests.hostile.values import (
    LITERALS,
    MALFORMED,
    TEXTS,
    Literal,
    every_so_many,
    is_legal,
    literals,
)
from tests.web.document import OPERATIONS, Operation
from tests.web.shop import JSON, Shop

BODIES = [operation for operation in OPERATIONS if operation.body is not None]
every_body = pytest.mark.parametrize("operation", BODIES, ids=[one.id for one in BODIES])
# An item has to be new when the whole body is good.
NEW = {"create_an_item": {"sku": "P900"}, "create_a_supplier": {"location": "acme"}}


# What they are about is made by chance, so nothing is found; all of their body may be left out.
SETTLING = {f"{verb}_a_reservation" for verb in ("confirm", "fulfill", "release", "extend")}
SETTLING |= {f"{verb}_a_transfer" for verb in ("receive", "cancel", "reschedule")}
SETTLING |= {f"{verb}_an_inbound" for verb in ("receive", "cancel", "reschedule")}
# The demo has no supplier, and no webhook.
BY_CHANCE = {
    *SETTLING,
    "record_a_count",
    "change_a_supplier",
    "put_the_codes",
    "pull_a_supplier",
    "change_a_webhook",
    "replay_the_events",
}
ALL_LEFT_OUT = {*SETTLING, "open_a_count", "pull_a_supplier"}
# What is good by itself and not beside the rest of the good body: units are missing for a reason.
DEPENDENT = {
    ("receive_a_transfer", "lines[0].reason"),
    # Whether a URL may be called, and whether the ledger has such a number, no schema tells.
    ("create_a_webhook", "url"),
    ("change_a_webhook", "url"),
    ("create_a_webhook", "after"),
    ("replay_the_events", "after"),
}

# With `components` too: the item has stock, so it becomes no kit.
REFUSED = {"change_an_item": 409}


def good_body(operation: Operation) -> JSON:
    body: JSON = whole(operation.body["schema"])
    return {**body, **NEW.get(operation.id, {})}


async def send(shop: Shop, operation: Operation, content: bytes) -> httpx.Response:
    headers = {"Content-Type": "application/json"}
    return await shop.http.request(
        operation.method, operation.url(), content=content, headers=headers
    )


async def stored(shop: Shop) -> JSON:
    """Everything that a request could have changed."""
    lists = ("stock", "items", "locations", "counts", "api-keys", "suppliers")
    head = (await shop.get("/v1/movements", limit=1))["head"]
    return [head, *[await shop.walk(f"/v1/{name}", limit=1000) for name in lists]]


def faults(answer: httpx.Response, *, path: str | None) -> str:
    """What is wrong with a refusal that has to name `path`, or what is inside; None: no JSON."""
    if answer.status_code != (400 if path is None else 422):
        return f"{answer.status_code} {answer.text[:200]}"
    told = answer.json()
    if answer.headers["content-type"] != "application/problem+json" or told["applied"] != "no":
        return answer.text[:200]
    if path is None:
        return "" if told["code"] == "malformed_json" else told["code"]
    named = {error["field"] for error in told["errors"]}
    inside = (f"{path}.", f"{path}[")
    is_right = path == "body" or all(one == path or one.startswith(inside) for one in named)
    return "" if named and is_right else f"names {sorted(named)}"


def bad_literals(field: Field) -> Iterator[Literal]:
    return (literal for literal in literals() if not is_legal(field, literal.value))


@every_body
async def test_a_body_whose_every_field_is_good_is_taken(shop: Shop, operation: Operation) -> None:
    body = json.dumps(good_body(operation)).encode()

    answer = await send(shop, operation, body)

    refused = 404 if operation.id in BY_CHANCE else REFUSED.get(operation.id)
    assert answer.is_success or answer.status_code == refused


@every_body
@every_so_many
async def test_a_bad_value_is_refused_and_its_field_is_named(
    shop: Shop, operation: Operation, every: int
) -> None:
    before, body = await stored(shop), good_body(operation)
    wrong = {}

    for number, field in enumerate(fields(operation.body["schema"])):
        for literal in islice(bad_literals(field), number % every, None, every):
            if operation.id in ALL_LEFT_OUT and not field.steps and literal.value == {}:
                continue
            answer = await send(shop, operation, with_literal(body, field.steps, literal.text))
            if fault := faults(answer, path=field.path):
                wrong[f"{field.path} = {literal.label}"] = fault

    assert wrong == {}
    assert await stored(shop) == before


@every_body
async def test_what_is_no_json_is_refused_as_the_whole_and_inside(
    shop: Shop, operation: Operation
) -> None:
    before, body = await stored(shop), good_body(operation)
    described, wrong = list(fields(operation.body["schema"])), {}

    for field in (described[0], described[-1]):
        for label, literal in MALFORMED.items():
            answer = await send(shop, operation, with_literal(body, field.steps, literal))
            if fault := faults(answer, path=None):
                wrong[f"{field.path} = {label}"] = fault

    assert wrong == {}
    assert await stored(shop) == before


@every_body
async def test_a_good_value_of_an_odd_kind_is_never_an_internal_error(
    shop: Shop, operation: Operation
) -> None:
    body, wrong = good_body(operation), {}

    for field in fields(operation.body["schema"]):
        if (operation.id, field.path) in DEPENDENT:
            continue
        for literal in literals():
            if is_legal(field, literal.value):
                answer = await send(shop, operation, with_literal(body, field.steps, literal.text))
                if answer.status_code >= 500 or answer.status_code in (400, 422):
                    wrong[f"{field.path} = {literal.label}"] = answer.text[:200]

    assert wrong == {}


@every_body
async def test_an_unknown_member_is_refused_by_name(shop: Shop, operation: Operation) -> None:
    before, body, wrong = await stored(shop), good_body(operation), {}

    for field in closed_objects(operation):
        path = f"{field.path}.extra" if field.steps else "extra"
        literal = with_member(body, field, '"extra":1')
        if fault := faults(await send(shop, operation, literal), path=path):
            wrong[path] = fault

    assert wrong == {}
    assert await stored(shop) == before


@every_body
async def test_the_name_of_an_unknown_member_is_shown_only_if_it_is_harmless(
    shop: Shop, operation: Operation
) -> None:
    body = good_body(operation)

    for name in ("\\ud800", "\\u0000", "\\r\\nX-Evil: 1", "<script>", "a" * 1000, "键", ""):
        for field in closed_objects(operation):
            answer = await send(shop, operation, with_member(body, field, f'"{name}":1'))
            (error,) = answer.json()["errors"]
            assert re.fullmatch(r"[\w.()\[\]]{1,100}", error["field"], re.ASCII)


@every_body
async def test_a_member_that_stands_twice_is_refused(shop: Shop, operation: Operation) -> None:
    before, body, wrong = await stored(shop), good_body(operation), {}

    for field in objects(operation):
        name, value = next(iter(at(body, field.steps).items()))
        repeated = f'"{name}":{json.dumps(value)}'
        answer = await send(shop, operation, with_member(body, field, repeated))
        if fault := faults(answer, path=None):
            wrong[field.path] = fault

    assert wrong == {}
    assert await stored(shop) == before


@every_body
async def test_a_missing_member_is_named(shop: Shop, operation: Operation) -> None:
    before, body, wrong = await stored(shop), good_body(operation), {}

    for field in required(operation):
        content = json.dumps(without(body, field.steps)).encode()
        if fault := faults(await send(shop, operation, content), path=field.path):
            wrong[field.path] = fault

    assert wrong == {}
    assert await stored(shop) == before


def objects(operation: Operation) -> list[Field]:
    described = fields(operation.body["schema"])
    return [field for field in described if chosen(field.schema).get("type") == "object"]


def closed_objects(operation: Operation) -> list[Field]:
    """Those whose members are all known."""
    return [field for field in objects(operation) if "properties" in chosen(field.schema)]


def required(operation: Operation) -> list[Field]:
    """The members that must not be missing."""
    named = {
        (*field.steps, name)
        for field in objects(operation)
        for name in chosen(field.schema).get("required", ())
    }
    return [field for field in fields(operation.body["schema"]) if field.steps in named]


def with_member(body: JSON, field: Field, member: str) -> bytes:
    """The body in which an object has one more member."""
    whole_object = json.dumps(at(body, field.steps))
    return with_literal(body, field.steps, f"{whole_object[:-1]},{member}}}")


def test_the_corpus_has_no_label_twice() -> None:
    assert len(literals()) == len(LITERALS) + len(TEXTS)
    assert len({one.text for one in literals()}) == len(literals())
