"""A secret goes to its supplier, and to nobody else."""

import json
from pathlib import Path

import pytest

from tests.databases import Template, run_aside
from tests.suppliers.feed_server import FeedServer, Told, listed
from tests.suppliers.feeds import PRIVATE, SECRET, SHAPE, add_supplier, pull
from tests.web.shop import Shop, open_demo, wrong_fields

ENV = "INVENTORY_SUPPLIER_SECRET_ACME"
HEADER = {"secret": {"header": "X-Api-Key", "env": ENV}}


async def test_the_secret_is_sent_and_shown_nowhere(
    shop: Shop, server: FeedServer, caplog: pytest.LogCaptureFixture
) -> None:
    made = await add_supplier(shop, server, **HEADER)
    run = await pull(shop)
    server.answer = lambda asked: Told(json.dumps(asked.headers).encode(), status=401)
    failed = await pull(shop)

    assert server.asked[0].headers["x-api-key"] == SECRET
    assert run["status"] == "complete"
    runs = await shop.get("/v1/suppliers/acme/runs")
    shown = json.dumps([made, run, failed, runs, await shop.get("/v1/suppliers")])
    assert SECRET not in shown + caplog.text
    url = shop.service.database.options.url
    assert SECRET not in str(run_aside(url, "SELECT * FROM supplier", "SELECT * FROM supplier_run"))


async def test_no_other_variable_of_the_environment_can_be_sent(
    shop: Shop, server: FeedServer
) -> None:
    await add_supplier(shop, server)

    for name in (
        "PATH",
        "INVENTORY_ADMIN_KEY",
        "INVENTORY_SUPPLIER_SECRET_",
        f"x{ENV}",
        f"{ENV}\n",
    ):
        secret = {"header": "X-Api-Key", "env": name}
        answer = await shop.http.patch("/v1/suppliers/acme", json={"secret": secret})
        assert wrong_fields(answer) == ["secret.env"]


@pytest.mark.parametrize("header", ["Host", "Content-Length", "Transfer-Encoding", "X Y", "a:b"])
async def test_a_header_that_says_how_to_send_is_refused(
    shop: Shop, server: FeedServer, header: str
) -> None:
    await add_supplier(shop, server)

    secret = {"header": header, "env": ENV}
    answer = await shop.http.patch("/v1/suppliers/acme", json={"secret": secret})

    assert wrong_fields(answer) == ["secret.header"]


async def test_a_secret_that_is_missing_or_no_header_is_told_without_its_value(
    demo: Template, tmp_path: Path, server: FeedServer
) -> None:
    environment = {ENV: f"{SECRET}\r\nX-Evil: 1"}
    async with open_demo(demo, tmp_path, environment, **PRIVATE) as shop:
        await add_supplier(shop, server, **HEADER)
        broken = await pull(shop)
        other = {"secret": {"header": "X-Api-Key", "env": f"{ENV}2"}}
        await shop.http.patch("/v1/suppliers/acme", json=other)
        missing = await pull(shop)

    assert (broken["error"], missing["error"]) == ("secret", "secret")
    assert SECRET not in json.dumps(broken)
    assert server.asked == []


@pytest.mark.parametrize(
    "following",
    [
        "http://127.0.0.1:1/stock",
        "//127.0.0.2/stock",
        "https://127.0.0.1/stock",
        "http://169.254.169.254/latest/meta-data",
        "http://user@127.0.0.1/",
        "file:///etc/passwd",
        "http://[::1]/",
        "\\\\evil\\x",
        "//[::1",
        "http://[zz]/",
    ],
)
async def test_a_link_to_another_server_is_not_followed(
    shop: Shop, server: FeedServer, following: str
) -> None:
    shape = {**SHAPE, "next": "next"}
    await add_supplier(shop, server, paging={"kind": "next"}, shape=shape, **HEADER)
    body = {"items": [{"sku": "P001", "quantity": 1}], "next": following}
    server.answer = lambda _: Told(json.dumps(body).encode())

    run = await pull(shop)

    assert (run["error"], run["applied"]) == ("foreign_next", False)
    assert len(server.asked) == 1


async def test_a_redirect_is_not_followed(shop: Shop, server: FeedServer) -> None:
    async with FeedServer(lambda _: listed({"P001": 1})) as other:
        await add_supplier(shop, server, **HEADER)
        server.answer = lambda _: Told(status=307, headers={"location": other.url})

        assert (await pull(shop))["error"] == "redirected"
        assert other.asked == []


@pytest.mark.parametrize(
    "url",
    [
        "http://feeds.example.com/stock",
        "https://localhost/stock",
        "https://10.0.0.1/stock",
        "https://user:pass@feeds.example.com/",
        "https://feeds.example.com/#x",
        "https://feeds.example.com:22/",
        "https://2130706433/",
    ],
)
async def test_a_url_that_may_not_be_called_is_refused(shop: Shop, url: str) -> None:
    body = {"code": "x", "url": url, "format": "json"}

    assert wrong_fields(await shop.http.post("/v1/suppliers", json=body)) == ["url"]
