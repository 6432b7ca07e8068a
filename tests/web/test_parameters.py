"""What stands in a URL has one spelling, and each name stands there once."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from tests.web.small_app import client_of, small_app

CHANGE: dict[str, Any] = {"lines": [{"sku": "P001", "delta": -2}]}


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(small_app()) as client:
        yield client


def fields(response: httpx.Response) -> list[str]:
    assert response.status_code == 422, response.text
    return [error["field"] for error in response.json()["errors"]]


@pytest.mark.parametrize(
    ("query", "names"),
    [
        pytest.param("limit=1_0", ["limit"], id="underscore"),
        pytest.param("limit=%201", ["limit"], id="space"),
        pytest.param("limit=+1", ["limit"], id="plus"),
        pytest.param("limit=%2B1", ["limit"], id="encoded plus"),
        pytest.param("limit=1.0", ["limit"], id="fraction"),
        pytest.param("limit=%EF%BC%91", ["limit"], id="full-width digit"),
        pytest.param("limit=1%0A", ["limit"], id="line end"),
        pytest.param("limit=", ["limit"], id="empty"),
        pytest.param("limit=" + "9" * 5000, ["limit"], id="5,000 digits"),
        pytest.param("limit=0", ["limit"], id="below the range"),
        pytest.param("limit=1001", ["limit"], id="above the range"),
        pytest.param("dry_run=yes", ["dry_run"], id="yes"),
        pytest.param("dry_run=1", ["dry_run"], id="one"),
        pytest.param("dry_run=True", ["dry_run"], id="capital"),
        pytest.param("dryrun=true", ["dryrun"], id="unknown"),
        pytest.param("limit=1&limit=1", ["limit"], id="repeated"),
        pytest.param("limit=x&dry_run=x", ["limit", "dry_run"], id="two"),
        pytest.param("sku=%ff", ["query"], id="not UTF-8"),
        pytest.param("&".join(f"a{n}=1" for n in range(51)), ["query"], id="51 parameters"),
        pytest.param("%3Cscript%3E=1&%3Cscript%3E=2", ["(unknown)"], id="markup as a name"),
    ],
)
async def test_a_wrong_query_is_named(
    client: httpx.AsyncClient, query: str, names: list[str]
) -> None:
    response = await client.get(f"/page?{query}")

    assert fields(response) == names


async def test_a_good_query_reaches_the_endpoint(client: httpx.AsyncClient) -> None:
    given = await client.get("/page?limit=0010&dry_run=true&sku=a%2Fb+c")
    default = await client.get("/page")

    assert given.json() == {"limit": 10, "dry_run": True, "sku": "a/b c"}
    assert default.json() == {"limit": 100, "dry_run": False, "sku": None}


async def test_a_path_without_parameters_takes_none(client: httpx.AsyncClient) -> None:
    response = await client.post("/change?dry_run=true", json=CHANGE)

    assert fields(response) == ["dry_run"]


@pytest.mark.parametrize(
    ("path", "name"),
    [
        pytest.param("P001", "P001", id="plain"),
        pytest.param("%E7%AC%94", "笔", id="outside ASCII"),
        pytest.param("%EF%BF%BD", "\ufffd", id="a real replacement character"),
        pytest.param("a%0D%0Ab", "a\r\nb", id="line end is the endpoint's to judge"),
        pytest.param("a%0A", "a\n", id="trailing line end is not lost"),
    ],
)
async def test_a_part_of_the_path_reaches_the_endpoint(
    client: httpx.AsyncClient, path: str, name: str
) -> None:
    response = await client.get(f"/change/{path}")

    assert response.json()["name"] == name


@pytest.mark.parametrize("path", ["a%ff", "123456789"])
async def test_a_wrong_part_of_the_path_is_named(client: httpx.AsyncClient, path: str) -> None:
    response = await client.get(f"/change/{path}")

    assert fields(response) == ["name"]
