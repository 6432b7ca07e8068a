"""Verification over HTTP; what it finds is tested with the store."""

import json

from tests.databases import run_aside
from tests.web.shop import Shop, problem


async def test_a_sound_ledger_has_a_summary_only(shop: Shop) -> None:
    await shop.adjust({"sku": "P001", "delta": -1})

    answer = await shop.http.get("/v1/verify")

    assert answer.headers["content-type"] == "application/x-ndjson"
    assert json.loads(answer.text) == {
        "end": True,
        "ok": True,
        "movements": 6,
        "levels": 5,
        "operations": 2,
        "findings": 0,
        "as_of_seq": 6,
    }


async def test_each_finding_is_a_line_with_its_place(shop: Shop) -> None:
    run_aside(
        shop.service.database.options.url,
        "UPDATE level SET on_hand = 51 WHERE sku = 'P001'",
        "UPDATE level SET on_hand = 99 WHERE sku = 'P002'",
    )

    answer = await shop.http.get("/v1/verify")

    *findings, end = [json.loads(line) for line in answer.text.splitlines()]
    assert [(one["sku"], one["location"]) for one in findings] == [
        ("P001", "main"),
        ("P002", "main"),
    ]
    assert findings[0]["rule"] == "I4"
    assert findings[0]["code"] == "level_differs"
    assert findings[0]["detail"] == "The level is not as its last movement left it."
    assert (end["ok"], end["findings"]) == (False, 2)


async def test_a_key_for_some_locations_can_not_ask_for_the_whole(shop: Shop) -> None:
    header = await shop.make_key(scopes=["read"], locations=["store-1"])

    answer = await shop.http.get("/v1/verify", headers=header)

    assert problem(answer, 403)["code"] == "forbidden"
