"""Odd paths: each names the one resource that it spells, or is refused."""

from urllib.parse import quote

import pytest

from tests.hostile.values import TEXTS, is_legal_text
from tests.web.document import OPERATIONS, Operation
from tests.web.shop import Shop, problem, wrong_fields

PLACES = [
    (operation, parameter["name"])
    for operation in OPERATIONS
    for parameter in operation.parameters("path")
]
every_place = pytest.mark.parametrize(
    ("operation", "name"), PLACES, ids=[f"{operation.id}:{name}" for operation, name in PLACES]
)
RAW = ["%ff", "%e5%95", "%c0%af", "%ed%a0%80", "P001%ff", "%fe%ff"]
IDS = {"operation_id", "key_id", "reservation_id", "count_id", "inbound_id", "transfer_id"}


async def status_of(shop: Shop, operation: Operation, name: str, encoded: str) -> int:
    url = operation.url(**{name: encoded})
    answer = await shop.http.request(operation.method, url, **operation.example())
    if answer.status_code == 422:
        assert wrong_fields(answer) == [name]
    return answer.status_code


@every_place
async def test_a_bad_part_of_a_path_is_refused_by_name(
    shop: Shop, operation: Operation, name: str
) -> None:
    (parameter,) = (one for one in operation.parameters("path") if one["name"] == name)
    wrong = {}

    for label, text in TEXTS.items():
        encoded = quote(text, safe="", errors="surrogatepass")
        status = await status_of(shop, operation, name, encoded)
        is_legal = name not in IDS and is_legal_text(name, parameter["schema"], text)
        # A slash, even an encoded one, ends the part: then there is another path, or none.
        allowed = {404} if is_legal else {404, 422} if name in IDS or text in ("", "a/b") else {422}
        if name == "reference" and is_legal and status in (200, 201, 409):
            continue  # a declared reservation makes what it names
        if status not in allowed:
            wrong[label] = status

    assert wrong == {}


@every_place
async def test_bytes_that_are_no_text_are_refused(
    shop: Shop, operation: Operation, name: str
) -> None:
    statuses = {encoded: await status_of(shop, operation, name, encoded) for encoded in RAW}

    assert {encoded for encoded, status in statuses.items() if status not in (404, 422)} == set()


@pytest.mark.parametrize(
    "path",
    [
        "/v1/stock/P001%2Fmain",
        "/v1/stock/P001%2fmain",
        "/v1/stock/P001%2Fexplain",
        "/v1%2Fstock/P001",
        "/v1/items%2FP001",
        "/v1/export%2Flevels",
    ],
)
async def test_an_encoded_slash_is_no_separator(shop: Shop, path: str) -> None:
    answer = await shop.http.get(path)

    assert answer.status_code in (404, 422)


async def test_an_encoded_slash_changes_nothing(shop: Shop) -> None:
    answer = await shop.http.patch("/v1/stock/P001%2Fmain", json={"safety_stock": 50})

    assert answer.status_code in (404, 405, 422)
    assert (await shop.get("/v1/stock/P001/main"))["safety_stock"] == 0


@pytest.mark.parametrize(
    "path",
    [
        "/v1/items/",
        "//v1/items",
        "/v1//items",
        "/V1/items",
        "/v1/items/P001/",
        "/v1/items/P001%20",
        "/v1/items/%20P001",
        "/v1/items/P001%00",
        "/v1/items/P001%0d%0a",
        "/v1/items/P001%E2%80%8B",
        "/v1/items/p001",
        "/v1/items/%EF%BC%B0001",
        "/v1/items;a=b",
        "/docs/assets/..%2f..%2fpyproject.toml",
        "/docs/assets/%2e%2e/%2e%2e/cli.py",
        "/docs/assets/%00",
        "/docs/assets/",
        "/docs/../livez%00",
        "/*",
    ],
)
async def test_what_only_looks_like_a_resource_is_none(shop: Shop, path: str) -> None:
    answer = await shop.http.get(path)

    assert answer.status_code in (404, 422)
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("name", [".", ".."])
async def test_a_name_that_no_client_can_send_in_a_path_can_not_be_given(
    shop: Shop, name: str
) -> None:
    item = await shop.http.post("/v1/items", json={"sku": name, "name": "dots"})
    location = await shop.http.post("/v1/locations", json={"code": name})

    assert (wrong_fields(item), wrong_fields(location)) == (["sku"], ["code"])


async def test_a_location_whose_level_can_not_be_addressed_can_not_be_made(shop: Shop) -> None:
    answer = await shop.http.post("/v1/locations", json={"code": "explain"})

    assert wrong_fields(answer) == ["code"]


@pytest.mark.parametrize("sku", ["check", "adjust", "set", "transfer", "explain", "levels"])
async def test_an_item_named_like_a_path_has_its_stock(shop: Shop, sku: str) -> None:
    await shop.http.post("/v1/items", json={"sku": sku, "name": "word"})

    assert (await shop.get(f"/v1/stock/{sku}"))["sku"] == sku
    assert (await shop.get(f"/v1/stock/{sku}/main"))["sku"] == sku


@pytest.mark.parametrize("method", ["TRACE", "OPTIONS", "CONNECT", "PROPFIND", "BREW"])
@pytest.mark.parametrize("path", ["/v1/items", "/v1/stock/P001/main", "/livez", "/docs"])
async def test_another_method_is_told_the_allowed_ones(shop: Shop, method: str, path: str) -> None:
    answer = await shop.http.request(method, path)

    assert problem(answer, 405)["code"] == "method_not_allowed"
    assert "GET" in answer.headers["allow"]
