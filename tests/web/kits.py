"""The demo with a kit, and what a shop does with it."""

from typing import Any

import httpx

from tests.web.shop import JSON, Shop

# A laptop with two mice; the demo has 50 and 200 of them at main.
DESK = [{"sku": "P001", "quantity": 1}, {"sku": "P002", "quantity": 2}]


async def make_kit(shop: Shop, sku: str = "DESK", components: JSON = None) -> httpx.Response:
    body = {"sku": sku, "name": f"kit {sku}", "components": components or DESK}
    return await shop.http.post("/v1/items", json=body)


async def components_of(shop: Shop, sku: str) -> JSON:
    return (await shop.get(f"/v1/items/{sku}"))["components"]


async def hold(shop: Shop, *lines: JSON, **fields: JSON) -> httpx.Response:
    return await shop.http.post("/v1/reservations", json={"lines": list(lines), **fields})


async def held(shop: Shop, *lines: JSON, **fields: JSON) -> JSON:
    answer = await hold(shop, *lines, **fields)
    assert answer.status_code == 201, answer.text
    return answer.json()


async def declare(shop: Shop, reference: str, *lines: JSON, **fields: JSON) -> httpx.Response:
    path = f"/v1/reservations/by-reference/{reference}"
    return await shop.http.put(path, json={"lines": list(lines), **fields})


async def settle(shop: Shop, verb: str, hold: JSON, *lines: JSON) -> httpx.Response:
    body = {"lines": list(lines)} if lines else {}
    return await shop.http.post(f"/v1/reservations/{hold['id']}/{verb}", json=body)


async def balances(shop: Shop, sku: str, location: str = "main") -> tuple[int, int, int]:
    """On hand, reserved and committed."""
    level = await shop.get(f"/v1/stock/{sku}/{location}")
    return level["on_hand"], level["reserved"], level["committed"]


async def check(shop: Shop, sku: str, quantity: int = 1, **fields: JSON) -> JSON:
    location = fields.pop("location", None)
    line = {"sku": sku, "quantity": quantity, "location": location}
    answer = await shop.http.post("/v1/stock/check", json={"lines": [line], **fields})
    return answer.json()["results"][0]


async def put(shop: Shop, sku: str, on_hand: int, location: str = "main") -> None:
    answer = await shop.set(
        {"sku": sku, "location": location, "on_hand": on_hand, "expected_on_hand": None}
    )
    assert answer.status_code == 200, answer.text


def line(sku: str, quantity: int = 1, location: str | None = None) -> dict[str, Any]:
    return {"sku": sku, "quantity": quantity, "location": location}


def states(shown: JSON) -> list[int]:
    """Held, committed, fulfilled, released and expired of a line."""
    return [shown[name] for name in ("held", "committed", "fulfilled", "released", "expired")]
