"""API keys over HTTP."""

from pathlib import Path

import httpx
import pytest

from inventory_api.domain.outcome import Outcome
from inventory_api.domain.types import Instant
from inventory_api.store.database import Session
from tests.databases import Template
from tests.web.shop import JSON, Shop, foreign_lock, http_client, open_demo, problem, wrong_fields

ADMIN = {"name": "first", "scopes": ["admin"]}


async def nothing(session: Session, now: Instant) -> Outcome:
    return Outcome(b"{}")


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


@pytest.mark.parametrize(
    "body",
    [
        {"scopes": ["write"]},
        {"scopes": ["read"], "locations": ["main"]},
        {"scopes": ["admin"], "expires_at": "2030-01-01T00:00:00Z"},
    ],
    ids=["write", "limited", "expiring"],
)
async def test_the_first_key_must_be_one_that_can_make_the_next(shop: Shop, body: JSON) -> None:
    answer = await shop.http.post("/v1/api-keys", json={"name": "first", **body})

    assert wrong_fields(answer) == ["scopes"]
    assert (await shop.http.get("/v1/stock/P001")).status_code == 200, "nobody is locked out"


async def test_a_new_key_is_shown_whole_this_once(shop: Shop) -> None:
    body = {
        "name": "till 3",
        "scopes": ["write", "read"],
        "locations": ["store-1", "main"],
        "expires_at": "2030-01-01T00:00:00Z",
    }

    admin = (await shop.http.post("/v1/api-keys", json=ADMIN)).json()["key"]
    answer = await shop.http.post("/v1/api-keys", json=body, headers=bearer(admin))

    assert answer.status_code == 201
    shown = answer.json()
    prefix, name, secret = shown.pop("key").split("_", maxsplit=2)
    assert (prefix, name) == ("inv", shown["id"])
    assert len(secret) >= 22
    assert shown == {
        "id": name,
        "name": "till 3",
        "scopes": ["read", "write"],
        "locations": ["main", "store-1"],
        "created_at": "2023-11-14T22:13:20.000000Z",
        "expires_at": "2030-01-01T00:00:00.000000Z",
        "revoked_at": None,
    }


async def test_secrets_are_neither_listed_nor_stored(shop: Shop) -> None:
    key = (await shop.http.post("/v1/api-keys", json=ADMIN)).json()["key"]
    secret = key.split("_", 2)[2]

    listed = await shop.http.get("/v1/api-keys", headers=bearer(key))

    assert listed.status_code == 200
    assert secret not in listed.text
    async with shop.service.reading() as session:
        stored = (await session.connection()).exec_driver_sql("SELECT * FROM api_key")
        assert secret not in repr((await stored).all())


async def test_a_retry_gets_the_same_key_without_its_secret(shop: Shop) -> None:
    admin = (await shop.http.post("/v1/api-keys", json=ADMIN)).json()["key"]
    headers = {"Idempotency-Key": "k", **bearer(admin)}
    body = {"name": "till", "scopes": ["read"]}

    first = await shop.http.post("/v1/api-keys", json=body, headers=headers)
    again = await shop.http.post("/v1/api-keys", json=body, headers=headers)

    assert again.headers["idempotent-replayed"] == "true"
    assert again.json() == {**first.json(), "key": None}
    assert (await shop.http.get("/v1/items", headers=bearer(first.json()["key"]))).is_success


async def test_keys_are_listed_page_by_page(shop: Shop) -> None:
    admin = (await shop.http.post("/v1/api-keys", json=ADMIN)).json()["key"]
    async with http_client(shop.service, **bearer(admin)) as http:
        for number in range(6):
            await http.post("/v1/api-keys", json={"name": f"{number}", "scopes": ["read"]})

        keys = await Shop(shop.service, http, shop.clock).walk("/v1/api-keys", limit=3)

    assert {one["name"] for one in keys} == {"first", *"012345"}
    assert len(keys) == 7


async def test_a_revoked_key_is_refused_with_its_next_request(shop: Shop) -> None:
    admin = (await shop.http.post("/v1/api-keys", json=ADMIN)).json()["key"]
    made = await shop.http.post(
        "/v1/api-keys", json={"name": "till", "scopes": ["read"]}, headers=bearer(admin)
    )
    till, name = made.json()["key"], made.json()["id"]
    assert (await shop.http.get("/v1/items", headers=bearer(till))).status_code == 200

    revoked = await shop.http.delete(f"/v1/api-keys/{name}", headers=bearer(admin))

    assert revoked.json()["revoked_at"] == "2023-11-14T22:13:20.000000Z"
    problem(await shop.http.get("/v1/items", headers=bearer(till)), 401)


async def test_a_key_stays_revoked_since_its_first_revocation(shop: Shop) -> None:
    admin = (await shop.http.post("/v1/api-keys", json=ADMIN)).json()["key"]
    body = {"name": "till", "scopes": ["read"]}
    name = (await shop.http.post("/v1/api-keys", json=body, headers=bearer(admin))).json()["id"]

    first = await shop.http.delete(f"/v1/api-keys/{name}", headers=bearer(admin))
    shop.clock.move(60)
    second = await shop.http.delete(f"/v1/api-keys/{name}", headers=bearer(admin))

    assert second.json() == first.json()


async def test_a_key_that_was_revoked_behind_a_deadline_is_refused_all_the_same(
    demo: Template, tmp_path: Path
) -> None:
    settings = {"busy_timeout_s": 60, "change_deadline_s": 0.5}
    async with open_demo(demo, tmp_path, **settings) as shop:
        admin = (await shop.http.post("/v1/api-keys", json=ADMIN)).json()["key"]
        shop.http.headers.update(bearer(admin))
        till = (await shop.http.post("/v1/api-keys", json={**ADMIN, "name": "till"})).json()

        with foreign_lock(shop):
            late = await shop.http.delete(f"/v1/api-keys/{till['id']}")
        await shop.adjust({"sku": "P001", "delta": -1})

        assert problem(late, 504)["applied"] == "unknown"
        problem(await shop.http.get("/v1/items", headers=bearer(till["key"])), 401)


async def test_a_first_key_that_was_made_behind_a_deadline_closes_the_service(
    demo: Template, tmp_path: Path
) -> None:
    settings = {"busy_timeout_s": 60, "change_deadline_s": 0.5}
    async with open_demo(demo, tmp_path, **settings) as shop:
        with foreign_lock(shop):
            late = await shop.http.post("/v1/api-keys", json=ADMIN)
        await shop.service.transact(nothing, actor="test")

        assert problem(late, 504)["applied"] == "unknown"
        problem(await shop.http.get("/v1/items"), 401)


async def test_an_unknown_key_can_not_be_revoked(http: httpx.AsyncClient) -> None:
    assert problem(await http.delete("/v1/api-keys/nobody"), 404)["code"] == "unknown_id"


async def test_a_key_is_the_actor_of_what_it_does(shop: Shop) -> None:
    made = (await shop.http.post("/v1/api-keys", json=ADMIN)).json()
    async with http_client(shop.service, **bearer(made["key"])) as http:
        own = Shop(shop.service, http, shop.clock)
        await own.adjust({"sku": "P001", "delta": -1})

        (movement,) = (await own.get("/v1/movements", after=5))["items"]

    assert movement["actor"] == made["id"]
