"""Whether the process lives, whether it is ready, and its metrics."""

import httpx

from tests.web.shop import Shop


async def test_a_process_that_answers_is_alive(http: httpx.AsyncClient) -> None:
    answer = await http.get("/livez")

    assert answer.status_code == 200
    assert answer.json() == {"status": "alive"}


async def test_a_service_that_can_read_and_write_is_ready(http: httpx.AsyncClient) -> None:
    answer = await http.get("/readyz")

    assert answer.status_code == 200
    assert answer.json()["status"] == "ready"
    assert all(answer.json()["checks"].values())


async def test_a_service_that_takes_no_changes_is_alive_but_not_ready(shop: Shop) -> None:
    shop.service.committer.drain()

    ready, live = await shop.http.get("/readyz"), await shop.http.get("/livez")

    assert ready.status_code == 503
    assert ready.json()["code"] == "draining"
    assert ready.json()["checks"]["accepts_changes"] is False
    assert live.status_code == 200


async def test_health_needs_no_key(shop: Shop) -> None:
    made = await shop.http.post("/v1/api-keys", json={"name": "first", "scopes": ["admin"]})
    assert made.status_code == 201

    assert (await shop.http.get("/livez")).status_code == 200
    assert (await shop.http.get("/readyz")).status_code == 200
    assert (await shop.http.get("/metrics")).status_code == 401


async def test_metrics_count_requests_by_template_method_and_status(shop: Shop) -> None:
    await shop.http.get("/v1/stock/P001/main")
    await shop.http.get("/v1/stock/P002/main")
    await shop.http.get("/v1/stock/P999/main")

    metrics = (await shop.http.get("/metrics")).text

    counter = 'inventory_requests_total{method="GET",route="/v1/stock/{sku}/{location}"'
    assert f'{counter},status="200"}} 2.0' in metrics
    assert f'{counter},status="404"}} 1.0' in metrics


async def test_metrics_count_refusals_by_code(shop: Shop) -> None:
    await shop.adjust({"sku": "P001", "delta": -51})

    metrics = (await shop.http.get("/metrics")).text

    assert 'inventory_refusals_total{code="insufficient_stock"} 1.0' in metrics
