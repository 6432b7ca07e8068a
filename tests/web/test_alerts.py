"""Alerts at the edge: in the ledger, its exports, and on the level."""

from tests.web.shop import Shop

PATH = "/v1/stock/P001/main"


async def told(shop: Shop, after: int = 0) -> list[tuple[str, list[str]]]:
    movements = await shop.walk("/v1/movements", sku="P001", after=after)
    return [(one["type"], one["alerts"]) for one in movements]


async def test_each_crossing_is_in_its_movement_and_the_level_says_how_it_stands(
    shop: Shop,
) -> None:
    begun = await shop.head()
    await shop.http.patch(PATH, json={"reorder_point": 20})
    states = []
    for delta in (-30, -10, -10, 12, 10):
        await shop.adjust({"sku": "P001", "delta": delta})
        states.append((await shop.get(PATH))["alert"])

    assert await told(shop, begun) == [
        ("policy", []),
        ("adjust", ["low"]),
        ("adjust", []),
        ("adjust", ["out"]),
        ("adjust", ["back"]),
        ("adjust", []),
    ]
    assert states == ["low", "low", "out", "low", "ok"]


async def test_a_line_among_many_that_crosses_is_told_and_the_others_are_not(shop: Shop) -> None:
    begun = await shop.head()

    await shop.adjust({"sku": "P001", "delta": -50}, {"sku": "P002", "delta": -1})

    movements = await shop.walk("/v1/movements", after=begun)
    assert [one["alerts"] for one in movements] == [["out"], []]
    assert (await shop.get("/v1/stock/P002/main"))["alert"] == "ok"


async def test_being_armed_again_is_kept_although_it_is_nobody_s_alert(shop: Shop) -> None:
    begun = await shop.head()
    await shop.http.patch(PATH, json={"reorder_point": 49})
    for delta in (-1, 10, -10):
        await shop.adjust({"sku": "P001", "delta": delta})

    assert [alerts for _, alerts in await told(shop, begun)] == [[], ["low"], [], ["low"]]


async def test_a_hold_can_be_the_crossing_and_its_end_another(shop: Shop) -> None:
    begun = await shop.head()
    body = {"reference": "cart:1", "ttl_s": 60, "lines": [{"sku": "P001", "quantity": 50}]}
    await shop.http.post("/v1/reservations", json=body)
    shop.clock.move(61)
    await shop.adjust({"sku": "P001", "delta": 1, "reason": "received"})

    assert await told(shop, begun) == [("reserve", ["out"]), ("expire", ["back"]), ("adjust", [])]


async def test_the_past_has_the_alert_that_it_had(shop: Shop) -> None:
    await shop.adjust({"sku": "P001", "delta": -50})
    out = await shop.head()
    await shop.adjust({"sku": "P001", "delta": 5})

    assert (await shop.get(PATH, as_of=str(out)))["alert"] == "out"
    assert (await shop.get(PATH))["alert"] == "ok"


async def test_exports_have_alerts_too(shop: Shop) -> None:
    await shop.http.patch(PATH, json={"reorder_point": 10})
    await shop.adjust({"sku": "P001", "delta": -50})
    after = await shop.head() - 1
    chosen: dict[str, str | int] = {"after": after, "columns": "sku,alerts", "format": "csv"}

    movements = await shop.http.get("/v1/export/movements", params=chosen)
    levels = await shop.http.get(
        "/v1/export/levels", params={"columns": "sku,alert", "format": "csv"}
    )

    assert movements.text.splitlines() == ["sku,alerts", "P001,low out"]
    assert levels.text.splitlines()[:2] == ["sku,alert", "P001,out"]
