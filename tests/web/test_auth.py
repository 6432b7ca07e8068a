"""Who may: every documented operation, with every kind of credential."""

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from starlette.routing import BaseRoute, Mount, Route as StarletteRoute

from inventory_api.app import NoKeyError, create_app, open_service
from inventory_api.settings import Settings
from inventory_api.web.routing import Route
from tests.databases import Template
from tests.server import ServerProcess
from tests.settable_clock import SettableClock
from tests.web.document import OPERATIONS, PROBLEM, Operation
from tests.web.shop import JSON, Shop, http_client, open_demo, problem

every_operation = pytest.mark.parametrize(
    "operation", OPERATIONS, ids=[operation.id for operation in OPERATIONS]
)
SCOPES = ("read", "write", "admin")
# The paths that anyone may see, and that no document lists.
OPEN_PATHS = {"/docs", "/docs/start.js", "/docs/assets", "/openapi.json"}


@dataclass(frozen=True, slots=True)
class Keys:
    """A shop that has keys: good ones by scope, and spent ones by what is wrong with them."""

    shop: Shop
    good: Mapping[str, str]
    spent: Mapping[str, str]

    def as_(self, scope: str) -> Shop:
        """The shop as a key sees it from now on."""
        self.shop.http.headers["Authorization"] = f"Bearer {self.good[scope]}"
        return self.shop


@dataclass(frozen=True, slots=True)
class Keyed:
    """A database with keys, made once and copied for each test."""

    template: Template
    good: Mapping[str, str]
    spent: Mapping[str, str]


@pytest.fixture(scope="module")
def keyed(demo: Template, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Keyed]:
    async def work(url: str) -> Keyed:
        settings = Settings(database_url=url)
        clock = SettableClock()
        async with open_service(settings, now=clock) as service, http_client(service) as http:
            shop = Shop(service, http, clock)
            admin = await make_key(shop, "", "admin")
            good = {scope: await make_key(shop, admin, scope) for scope in SCOPES}
            expired = await make_key(shop, admin, "admin", expires_at="2023-11-14T22:13:21Z")
            revoked = await make_key(shop, admin, "admin")
            name = revoked.split("_")[1]
            await shop.http.delete(f"/v1/api-keys/{name}", headers=bearer(admin))
        template = Template(demo.store, url)
        return Keyed(template, good, {"expired": expired, "revoked": revoked})

    with demo.copied(tmp_path_factory.mktemp("keyed")) as url:
        yield asyncio.run(work(url))


@pytest.fixture
async def keys(keyed: Keyed, tmp_path: Path) -> AsyncIterator[Keys]:
    settings = {"failed_auth_per_minute": 1_000_000}
    async with open_demo(keyed.template, tmp_path, **settings) as shop:
        shop.clock.move(60)
        yield Keys(shop, keyed.good, keyed.spent)


async def make_key(shop: Shop, admin: str, scope: str, **fields: JSON) -> str:
    body = {"name": scope, "scopes": [scope], **fields}
    answer = await shop.http.post("/v1/api-keys", json=body, headers=bearer(admin) if admin else {})
    key: str = answer.json()["key"]
    return key


def bearer(key: str | bytes) -> dict[bytes, bytes]:
    return {b"Authorization": b"Bearer " + (key if isinstance(key, bytes) else key.encode())}


def unusable(keys: Keys) -> dict[str, dict[bytes, bytes]]:
    """Headers that must not open anything, by what is wrong with them."""
    good = keys.good["admin"].encode()
    name, secret = good.split(b"_", 2)[1:]
    values = {
        "no-secret": b"inv_" + name,
        "empty-secret": b"inv_" + name + b"_",
        "cut-secret": good[:-1],
        "longer-secret": good + b"A",
        "other-case": b"inv_" + name + b"_" + secret.swapcase(),
        "wrong-secret": b"inv_" + name + b"_" + b"A" * len(secret),
        "unknown-id": b"inv_0123456789abcdef_" + secret,
        "other-prefix": b"xyz" + good[3:],
        "secret-only": secret,
        "non-ascii": b"inv_" + name + b"_\xff\xfe\xc3\xa9",
        "utf-8": "inv_密钥_秘密".encode(),
        "surrogate": b"inv_" + name + b"_\xed\xa0\x80",
        "long": b"inv_" + b"x" * 8_000,
        "expired": keys.spent["expired"].encode(),
        "revoked": keys.spent["revoked"].encode(),
        "anonymous": b"local",
    }
    as_bearer = {name: bearer(value) for name, value in values.items()}
    as_header = {f"x-{name}": {b"X-API-Key": value} for name, value in values.items()}
    malformed = {
        "nothing": {},
        "empty": {b"Authorization": b""},
        "empty-x": {b"X-API-Key": b""},
        "scheme-only": {b"Authorization": b"Bearer"},
        "no-scheme": {b"Authorization": good},
        "basic": {b"Authorization": b"Basic " + good},
        "both": {**bearer(good), b"X-API-Key": good},
        "cookie": {b"Cookie": b"api_key=" + good},
    }
    return as_bearer | as_header | malformed


async def call(
    http: httpx.AsyncClient, operation: Operation, headers: Mapping[bytes, bytes], query: str = ""
) -> httpx.Response:
    """Send what the document shows."""
    sent = operation.example()
    own = {name.encode(): value.encode() for name, value in sent.pop("headers", {}).items()}
    url = operation.url() + query
    return await http.request(operation.method, url, headers={**own, **headers}, **sent)


@pytest.mark.sqlite  # whom a route lets in is declared, and no business of the database
@every_operation
async def test_an_operation_is_closed_to_every_credential_but_a_good_key(
    keys: Keys, operation: Operation
) -> None:
    answers = {
        name: await call(keys.shop.http, operation, headers)
        for name, headers in unusable(keys).items()
    }

    wanted = 200 if operation.scope == "public" else 401
    assert {
        name: one.status_code for name, one in answers.items() if one.status_code != wanted
    } == {}
    refused = [one for one in answers.values() if one.status_code == 401]
    assert {one.headers["www-authenticate"] for one in refused} <= {"Bearer"}
    # Nothing tells an expired key from an unknown one.
    assert len({(one.json()["title"], one.json()["detail"]) for one in refused}) <= 1


@pytest.mark.sqlite  # whom a route lets in is declared, and no business of the database
@every_operation
async def test_an_operation_is_open_from_its_scope_upwards(
    keys: Keys, operation: Operation
) -> None:
    answers = {
        scope: await call(keys.shop.http, operation, bearer(keys.good[scope])) for scope in SCOPES
    }

    lowest = 0 if operation.scope == "public" else SCOPES.index(operation.scope)
    for scope in SCOPES[:lowest]:
        told = problem(answers[scope], 403)
        assert (told["code"], told["needs"]) == ("forbidden", operation.scope)
    for scope in SCOPES[lowest:]:
        assert answers[scope].status_code < 500
        assert answers[scope].status_code not in (401, 403)


@pytest.mark.sqlite  # whom a route lets in is declared, and no business of the database
@every_operation
async def test_a_key_in_the_url_opens_nothing(keys: Keys, operation: Operation) -> None:
    key = keys.good["admin"]

    for name in ("api_key", "access_token", "X-API-Key"):
        answer = await call(keys.shop.http, operation, {}, query=f"?{name}={key}")
        assert answer.status_code == 401 or operation.scope == "public"
        assert key not in answer.text


@pytest.mark.sqlite  # whom a route lets in is declared, and no business of the database
@every_operation
async def test_everything_is_open_while_no_key_exists(shop: Shop, operation: Operation) -> None:
    answer = await call(shop.http, operation, {})

    assert answer.status_code not in (401, 403)
    assert answer.status_code < 500


async def test_the_first_key_closes_the_service(shop: Shop) -> None:
    assert (await shop.http.get("/v1/items")).status_code == 200

    key = await make_key(shop, "", "admin")

    problem(await shop.http.get("/v1/items"), 401)
    assert (await shop.http.get("/v1/items", headers=bearer(key))).status_code == 200


async def test_a_revoked_last_key_does_not_open_the_service_again(shop: Shop) -> None:
    key = await make_key(shop, "", "admin")

    await shop.http.delete(f"/v1/api-keys/{key.split('_')[1]}", headers=bearer(key))

    problem(await shop.http.get("/v1/items"), 401)


async def test_a_refused_caller_changes_nothing(keys: Keys) -> None:
    body = {"lines": [{"sku": "P001", "delta": -1}]}
    nobody = await keys.shop.http.post("/v1/stock/adjust", json=body)
    reader = await keys.as_("read").adjust(*body["lines"])

    assert (nobody.status_code, reader.status_code) == (401, 403)
    assert await keys.as_("read").on_hand() == 50


def test_every_route_declares_its_scope_or_is_open_on_purpose(keys: Keys) -> None:
    routes = create_app(keys.shop.service).router.routes

    declared = {route.path: route.needs for route in routes if isinstance(route, Route)}
    others = {path_of(route) for route in routes if not isinstance(route, Route)}

    documented = {operation.path for operation in OPERATIONS}
    public = {path for path, needs in declared.items() if needs == "public"}
    assert declared.keys() - documented <= OPEN_PATHS
    assert others <= OPEN_PATHS
    assert public - OPEN_PATHS == {"/livez", "/readyz"}


def path_of(route: BaseRoute) -> str:
    assert isinstance(route, StarletteRoute | Mount)
    return route.path


async def test_too_many_wrong_keys_are_told_to_wait_and_good_ones_are_not(
    demo: Template, tmp_path: Path
) -> None:
    async with open_demo(demo, tmp_path, failed_auth_per_minute=5) as shop:
        good = await make_key(shop, "", "admin")

        wrong = [await shop.http.get("/v1/items", headers=bearer("inv_a_b")) for _ in range(8)]
        right = await shop.http.get("/v1/items", headers=bearer(good))

    assert [answer.status_code for answer in wrong] == [401] * 5 + [429] * 3
    assert int(wrong[-1].headers["retry-after"]) >= 1
    assert wrong[-1].headers["content-type"] == PROBLEM
    assert right.status_code == 200


async def test_a_key_that_asks_too_often_is_told_to_wait(demo: Template, tmp_path: Path) -> None:
    async with open_demo(demo, tmp_path, requests_per_s=3) as shop:
        answers = [await shop.http.get("/livez") for _ in range(10)]
        answers += [await shop.http.get("/v1/items/P001") for _ in range(10)]

    refused = problem(answers[-1], 429)
    assert (refused["code"], refused["retryable"]) == ("rate_limited", True)
    assert answers[-1].headers["retry-after"] == "1"
    assert "ratelimit" in answers[-1].headers
    assert "ratelimit-policy" in answers[-1].headers
    assert {answer.status_code for answer in answers[:13]} == {200}


async def test_a_service_open_to_other_machines_needs_a_key(demo: Template, tmp_path: Path) -> None:
    with pytest.raises(NoKeyError, match="inventory-api keys create"):
        async with open_demo(demo, tmp_path, host="0.0.0.0"):
            pass


def run_cli(folder: Path, *arguments: str, **given: str) -> "subprocess.CompletedProcess[str]":
    environment = {name: value for name, value in os.environ.items() if "INVENTORY_" not in name}
    database = f"sqlite+aiosqlite:///{folder / 'inventory.db'}"
    return subprocess.run(
        [sys.executable, "-m", "inventory_api", *arguments],
        env={**environment, "INVENTORY_DATABASE_URL": database, **given},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_process_open_to_other_machines_starts_only_with_a_key(tmp_path: Path) -> None:
    refused = run_cli(tmp_path, "serve", "--host", "127.0.0.2", "--port", "0")
    assert refused.returncode != 0
    assert "No API key exists" in refused.stderr
    assert "Traceback" not in refused.stderr

    made = run_cli(tmp_path, "keys", "create", "--name", "shop")
    assert made.returncode == 0, made.stderr
    key = made.stdout.strip()

    with ServerProcess(tmp_path, demo=False) as server:
        assert httpx.get(f"{server.url}/v1/items").status_code == 401
        answer = httpx.get(f"{server.url}/v1/api-keys", headers={"X-API-Key": key})
        assert [one["name"] for one in answer.json()["items"]] == ["shop"]
        busy = run_cli(tmp_path, "keys", "create")
        assert busy.returncode != 0
        assert f"already served by pid {server.pid}" in busy.stderr
        assert key not in server.log_text()


@pytest.mark.parametrize("given", ["hunter2", "inv_a_short"])
def test_an_operators_own_key_that_is_none_stops_the_start(tmp_path: Path, given: str) -> None:
    ended = run_cli(tmp_path, "serve", "--port", "0", INVENTORY_ADMIN_KEY=given)

    assert ended.returncode != 0
    assert "inv_<id>_<secret>" in ended.stderr
    assert given not in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1", 200),
        ("127.0.0.1:8000", 200),
        ("localhost:8000", 200),
        ("[::1]:8000", 200),
        ("rebound.example", 421),
        ("127.0.0.1.rebound.example", 421),
    ],
)
async def test_an_open_service_answers_only_for_this_machine(
    shop: Shop, host: str, status: int
) -> None:
    # A page in a browser can give its own name the address 127.0.0.1, and then read the answers.
    answer = await shop.http.get("/v1/items", headers={"Host": host})

    assert answer.status_code == status
