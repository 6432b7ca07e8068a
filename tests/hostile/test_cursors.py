"""Cursors: what the service gave is taken, and nothing else is."""

import base64
import json

import pytest

from tests.web.shop import JSON, Shop, wrong_fields

LISTS = [
    "/v1/items",
    "/v1/locations",
    "/v1/stock",
    "/v1/movements",
    "/v1/api-keys",
    "/v1/suppliers",
]
POSITIONS = [
    [],
    [10**30],
    [-1],
    [2**63],
    [1.5],
    [True],
    [None],
    ["P001", 1],
    ["a", "b", "c"],
    [["a"]],
    {"a": 1},
    "P001",
    5,
    None,
    ["a\x00b"],
    ["a\x00b", "main"],
]
TEXTS = [
    "",
    "x",
    "!!!!",
    "W10=",
    "WyJQMDAxIl0=====",
    "WyJQMDAxIl0\n",
    "\uff37\uff39",
    "A" * 2_000,
    base64.urlsafe_b64encode(b'["\xff"]').decode(),
    base64.urlsafe_b64encode(b'["\\ud800"]').decode(),
    base64.urlsafe_b64encode(b'["\xed\xa0\x80"]').decode(),
    base64.urlsafe_b64encode(b'["P001"]x').decode(),
    base64.urlsafe_b64encode(b"[NaN]").decode(),
    base64.urlsafe_b64encode(b"[" * 300).decode(),
]


def cursor(position: JSON) -> str:
    return base64.urlsafe_b64encode(json.dumps(position).encode()).decode().rstrip("=")


@pytest.mark.parametrize("path", LISTS)
async def test_a_cursor_that_the_service_never_gave_is_refused_by_name(
    shop: Shop, path: str
) -> None:
    wrong = {}

    for text in [*TEXTS, *map(cursor, POSITIONS)]:
        answer = await shop.http.get(path, params={"cursor": text})
        if answer.status_code != 422 or wrong_fields(answer) != ["cursor"]:
            wrong[text] = answer.text[:100]

    assert wrong == {}


@pytest.mark.parametrize(
    ("source", "target"),
    [("/v1/movements", "/v1/items"), ("/v1/items", "/v1/stock"), ("/v1/stock", "/v1/movements")],
)
async def test_a_cursor_of_another_list_is_refused_by_name(
    shop: Shop, source: str, target: str
) -> None:
    given = (await shop.get(source, limit=2))["next_cursor"]

    answer = await shop.http.get(target, params={"cursor": given})

    assert wrong_fields(answer) == ["cursor"]


@pytest.mark.parametrize("character", ["x", "é", "键", "🖱"])
async def test_lists_of_the_longest_names_can_be_walked(shop: Shop, character: str) -> None:
    names = [character * 63 + letter for letter in "abc"]
    for name in names:
        await shop.http.post("/v1/items", json={"sku": name, "name": "long"})
        await shop.http.post("/v1/locations", json={"code": name})
        await shop.adjust({"sku": name, "location": name, "delta": 1}, reason="received")

    items = await shop.walk("/v1/items", limit=1)
    locations = await shop.walk("/v1/locations", limit=1)
    levels = await shop.walk("/v1/stock", limit=1)

    assert [one["sku"] for one in items if one["sku"] in names] == names
    assert [one["code"] for one in locations if one["code"] in names] == names
    assert [one["sku"] for one in levels if one["sku"] in names] == names
