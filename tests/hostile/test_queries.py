"""Bad values in every parameter of every query: refused by name."""

from itertools import islice
from urllib.parse import quote

import httpx
import pytest

from tests.hostile.fields import alternatives
from tests.hostile.values import TEXTS, every_so_many, is_legal_text
from tests.web.document import OPERATIONS, Operation
from tests.web.shop import JSON, Shop, wrong_fields

QUERIES = [operation for operation in OPERATIONS if operation.parameters("query")]
every_query = pytest.mark.parametrize("operation", QUERIES, ids=[one.id for one in QUERIES])
every_operation = pytest.mark.parametrize(
    "operation", OPERATIONS, ids=[one.id for one in OPERATIONS]
)

# More than the texts: other spellings of numbers and booleans, which lax readers take.
SPELLINGS = {
    "underscore": "1_0",
    "plus": "+1",
    "padded": " 1",
    "padded-after": "1 ",
    "dot": "1.0",
    "exponent": "1e1",
    "hexadecimal": "0x1",
    "zero": "0",
    "minus": "-1",
    "1001": "1001",
    "2^63": str(2**63),
    "10^400": "1" + "0" * 400,
    "5000-digits": "1" * 5000,
    "yes": "yes",
    "TRUE": "TRUE",
    "one": "1",
    "null": "null",
    "json": '["a"]',
    "quoted": '"1"',
}
VALUES = {**TEXTS, **SPELLINGS}
# Bytes that are no UTF-8: nothing that a text can say.
RAW = {"byte": "%ff", "cut": "%e5%95", "overlong": "%c0%af", "surrogate": "%ed%a0%80"}
# Read by the route itself, whatever their schema says.
POSITIONS = {"cursor", "as_of", "until", "columns"}
HEAD = 5


async def ask(shop: Shop, operation: Operation, query: str) -> httpx.Response:
    url = f"{operation.url()}?{query}"
    return await shop.http.request(operation.method, url, **operation.example())


def is_legal(parameter: JSON, text: str) -> bool:
    """Whether a parameter has to take a text, by the words of the contract."""
    if any("\ud800" <= character <= "\udfff" for character in text):
        return False  # as UTF-8 it is none
    name = parameter["name"]
    if name in POSITIONS:
        return name == "as_of" and text in ("0", "1")
    return any(_fulfils(name, schema, text) for schema in alternatives(parameter["schema"]))


def is_beyond(operation: Operation, name: str, text: str) -> bool:
    """Whether a stream would begin behind the end of the demo's ledger."""
    return operation.is_endless and name == "after" and int(text) > HEAD


def _fulfils(name: str, schema: JSON, text: str) -> bool:
    if "enum" in schema:
        return text in schema["enum"]
    match schema["type"]:
        case "integer":
            is_number = text.removeprefix("-").isdigit() and text.isascii() and len(text) < 30
            return is_number and schema["minimum"] <= int(text) <= schema["maximum"]
        case "boolean":
            return text in ("true", "false")
        case "string":
            return is_legal_text(name, schema, text)
        case _:
            return False


@every_query
@every_so_many
async def test_a_bad_value_is_refused_and_its_parameter_is_named(
    shop: Shop, operation: Operation, every: int
) -> None:
    wrong = {}

    for number, parameter in enumerate(operation.parameters("query")):
        name = parameter["name"]
        for label, text in islice(VALUES.items(), number % every, None, every):
            encoded = quote(text, safe="", errors="surrogatepass")
            answer = await ask(shop, operation, f"{name}={encoded}")
            if is_legal(parameter, text) and not is_beyond(operation, name, text):
                # The demo has no supplier, and no webhook.
                is_missing = "{supplier}" in operation.path or "{webhook_id}" in operation.path
                is_right = answer.status_code == (404 if is_missing else 200)
            else:
                is_right = answer.status_code == 422 and set(wrong_fields(answer)) <= {
                    name,
                    "query",
                }
            if not is_right:
                wrong[f"{name} = {label}"] = f"{answer.status_code} {answer.text[-150:]}"

    assert wrong == {}


@every_query
async def test_what_is_no_text_is_refused(shop: Shop, operation: Operation) -> None:
    for parameter in operation.parameters("query"):
        for encoded in RAW.values():
            answer = await ask(shop, operation, f"{parameter['name']}={encoded}")
            assert wrong_fields(answer)[0] in ("query", parameter["name"])


@every_query
async def test_a_parameter_that_stands_twice_is_refused_by_name(
    shop: Shop, operation: Operation
) -> None:
    for parameter in operation.parameters("query"):
        name = parameter["name"]
        for query in (f"{name}=1&{name}=1", f"{name}=1&%{ord(name[0]):02x}{name[1:]}=2"):
            assert wrong_fields(await ask(shop, operation, query)) == [name]


@every_operation
async def test_an_unknown_parameter_is_refused_by_name(shop: Shop, operation: Operation) -> None:
    answer = await ask(shop, operation, "limits=1")

    if operation.scope == "public":
        assert answer.status_code in (200, 422)
    else:
        assert wrong_fields(answer) == ["limits"]


@every_operation
async def test_a_query_of_thousands_of_parameters_is_refused(
    shop: Shop, operation: Operation
) -> None:
    answer = await ask(shop, operation, "&".join(f"p{number}=1" for number in range(1_000)))

    assert answer.status_code == 422 or operation.scope == "public"


@pytest.mark.parametrize("query", ["", "&", "&&", "=", "=&=", "%00", "%ff=1", "a;b"])
async def test_a_query_without_a_name_is_no_internal_error(shop: Shop, query: str) -> None:
    answer = await shop.http.get(f"/v1/items?{query}")

    assert answer.status_code in (200, 422)
