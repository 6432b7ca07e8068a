"""Imports: a result for each row, once, whatever the row and whatever the network."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.databases import Template
from tests.web.served import Served, served
from tests.web.shop import Shop, open_demo, problem, wrong_fields

Record = dict[str, Any]  # Any: JSON values
CSV = {"Content-Type": "text/csv"}
NDJSON = {"Content-Type": "application/x-ndjson"}


def records(text: str) -> list[Record]:
    assert text.endswith("\n")
    return [json.loads(line) for line in text.split("\n")[:-1]]


async def imported(
    shop: Shop, kind: str, text: str | bytes, *, key: str | None = None, **query: str
) -> tuple[list[Record], Record]:
    """The results of the rows of CSV, or of NDJSON if the text begins like it; the summary."""
    body = text.encode() if isinstance(text, str) else text
    headers = NDJSON if body.startswith(b"{") else CSV
    keyed = {} if key is None else {"Idempotency-Key": key}
    answer = await shop.http.post(
        f"/v1/import/{kind}", content=body, headers=headers | keyed, params=query
    )
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/x-ndjson"
    *results, end = records(answer.text)
    assert end.pop("end")
    assert end["rows"] == len(results)
    assert [result["row"] for result in results] == list(range(1, len(results) + 1))
    return results, end


def statuses(results: list[Record]) -> list[str]:
    """What became of each row, and if nothing did, why not."""
    return [result.get("error", {}).get("code") or result["status"] for result in results]


async def test_an_adjustment_is_an_operation_of_its_own_with_all_that_its_row_says(
    shop: Shop,
) -> None:
    results, end = await imported(
        shop,
        "adjustments",
        "line_id,occurred_at,reference,reason,delta,location,sku\n"
        "l-1,2023-01-31T08:15:00+01:00,order:1001,sale,-2,main,P001\n"
        ",,,,7,,P002\n",
    )

    *_, first, second = await shop.walk("/v1/movements")
    assert results[0] == {
        "row": 1,
        "sku": "P001",
        "location": "main",
        "status": "applied",
        "seq": 6,
        "delta": -2,
        "on_hand": 48,
        "available": 48,
        "operation_id": first["operation_id"],
    }
    assert first["operation_id"] != second["operation_id"]
    names = ("seq", "reason", "reference", "line_id", "occurred_at", "type")
    assert [first[name] for name in names] == [
        6,
        "sale",
        "order:1001",
        "l-1",
        "2023-01-31T07:15:00.000000Z",
        "adjust",
    ]
    assert [second[name] for name in names[:4]] == [7, "other", None, None]
    assert end == {
        "rows": 2,
        "applied": 2,
        "rejected": 0,
        "duplicates": 0,
        "failed": 0,
        "replayed": 0,
        "dry_run": False,
    }


async def test_rows_are_booked_in_their_order(shop: Shop) -> None:
    rows = ["P001,-50", "P001,-1", "P001,3", "P001,-3", "P001,-1"]

    results, end = await imported(shop, "adjustments", "\n".join(["sku,delta", *rows]))

    assert statuses(results) == [
        "applied",
        "insufficient_stock",
        "applied",
        "applied",
        "insufficient_stock",
    ]
    assert results[1]["error"]["shortage"] == 1
    assert (end["applied"], end["rejected"]) == (3, 2)
    assert await shop.on_hand() == 0


async def test_a_level_is_what_was_counted_whatever_was_there(shop: Shop) -> None:
    text = "sku,location,on_hand\nP001,,7\nP001,store-1,3\nP999,,1\nP002,nowhere,1\n"

    results, _ = await imported(shop, "levels", text)

    assert statuses(results) == ["applied", "applied", "unknown_sku", "unknown_location"]
    assert (await shop.on_hand(), await shop.on_hand(location="store-1")) == (7, 3)
    last = (await shop.walk("/v1/movements"))[-1]
    assert (last["type"], last["reason"]) == ("set", "opening_balance")


async def test_items_are_created_changed_or_left_alone(shop: Shop) -> None:
    results, end = await imported(
        shop,
        "items",
        "sku,name,barcode,price,currency\n"
        "P001,笔记本电脑,,5999.00,CNY\n"
        "P002,Mouse,4006381333931,79.5,EUR\n"
        "P100,Webcam,,,\n"
        "P100,Camera,,9,\n",
    )

    assert statuses(results) == ["unchanged", "updated", "created", "updated"]
    assert (end["created"], end["updated"], end["unchanged"], end["applied"]) == (1, 2, 1, 3)
    mouse, camera = [await shop.get(f"/v1/items/{sku}") for sku in ("P002", "P100")]
    assert mouse["barcode"] == "4006381333931"
    assert mouse["unit_price"] == {"amount": "79.5", "currency": "EUR"}
    assert mouse["version"] == 2
    assert (camera["name"], camera["version"]) == ("Camera", 2)
    assert camera["unit_price"] == {"amount": "9", "currency": "CNY"}


async def test_a_missing_column_leaves_what_is_there_and_an_empty_cell_empties_it(
    shop: Shop,
) -> None:
    body = {
        "attributes": {"colour": "red"},
        "barcode": "123",
        "unit_price": {"amount": "1", "currency": "USD"},
    }
    await shop.http.patch("/v1/items/P001", json=body)

    await imported(shop, "items", "sku,name\nP001,Laptop\n")
    kept = await shop.get("/v1/items/P001")
    await imported(shop, "items", "sku,name,price\nP001,Laptop,2\n")
    priced = await shop.get("/v1/items/P001")
    await imported(shop, "items", '{"sku":"P001","name":"Laptop","barcode":null,"price":null}')
    emptied = await shop.get("/v1/items/P001")

    assert (kept["name"], kept["barcode"], kept["unit_price"]["amount"]) == ("Laptop", "123", "1")
    assert priced["unit_price"] == {"amount": "2", "currency": "USD"}
    assert (emptied["barcode"], emptied["unit_price"]) == (None, None)
    assert kept["attributes"] == emptied["attributes"] == {"colour": "red"}


async def test_an_archived_item_takes_nothing(shop: Shop) -> None:
    await shop.http.post("/v1/items", json={"sku": "old", "name": "x"})
    await shop.http.delete("/v1/items/old")

    items, _ = await imported(shop, "items", "sku,name\nold,new\n")
    adjustments, _ = await imported(shop, "adjustments", "sku,delta\nold,1\n")

    assert statuses(items) == statuses(adjustments) == ["item_archived"]


BAD_ROWS = {
    "items": {
        "sku": ["a/b", " a", "a ", "\u200b", "x" * 65, "e\u0301", ""],
        "name": ["", "a\u202eb", "x" * 256],
        "barcode": ["x" * 129, "a\u0007"],
        "price": ["-1", "1e3", "1,5", "1.23456", "1" * 13, ".5", "5.", "\u0661", "NaN", " 1"],
        "currency": ["cny", "EURO", "€", " EUR"],
    },
    "levels": {
        "location": ["a/b", "x" * 65],
        "on_hand": ["-1", "1000000000001", "1.0", "+1", "1_0", " 1", "\u0661", "true", "", "0x1"],
    },
    "adjustments": {
        "delta": ["1000000000001", "-1000000000001", "1.5", "--1", "", "9" * 40],
        "reason": ["bought", "custom:", "custom:A b", "Sale"],
        "reference": ["x" * 256, "a\u2028b"],
        "occurred_at": ["2023-01-31", "2023-01-31T08:15:00", "yesterday", "2023-02-30T00:00:00Z"],
        "line_id": ["x" * 129, "\u200b"],
    },
}
GOOD = {
    "items": {"sku": "P001", "name": "x", "price": "1"},
    "levels": {"sku": "P001", "on_hand": "1"},
    "adjustments": {"sku": "P001", "delta": "1"},
}


@pytest.mark.parametrize("kind", BAD_ROWS)
async def test_a_bad_value_is_told_by_row_and_field_and_the_next_row_is_taken(
    shop: Shop, kind: str
) -> None:
    bad = [(field, value) for field, values in BAD_ROWS[kind].items() for value in values]
    columns = dict.fromkeys(["sku", *(field for field, _ in bad), *GOOD[kind]])
    rows = [{**GOOD[kind], field: value} for field, value in bad]
    lines = [",".join(f'"{row.get(name, "")}"' for name in columns) for row in [*rows, GOOD[kind]]]

    results, end = await imported(shop, kind, "\n".join([",".join(columns), *lines]))

    told = [(result["error"]["code"], result["error"]["field"]) for result in results[:-1]]
    assert told == [("validation_error", field) for field, _ in bad]
    assert all(result["error"]["detail"] for result in results[:-1])
    assert (end["rejected"], end["applied"]) == (len(bad), 1)


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("levels", '{"sku":"P001","on_hand":true}'),
        ("levels", '{"sku":"P001","on_hand":"1"}'),
        ("levels", '{"sku":"P001","on_hand":1.0}'),
        ("levels", '{"sku":"P001","on_hand":null}'),
        ("levels", '{"sku":"P001","on_hand":1,"colour":"red"}'),
        ("levels", '{"sku":"P001"}'),
        ("levels", '{"sku":"\\ud800","on_hand":1}'),
        ("items", '{"sku":"P001","name":"x","price":5.5}'),
        ("adjustments", '{"sku":"P001","delta":1,"occurred_at":1700000000}'),
    ],
    ids=[
        "boolean",
        "text-for-a-number",
        "fraction",
        "null",
        "unknown-field",
        "missing-field",
        "surrogate",
        "binary-price",
        "number-for-a-time",
    ],
)
async def test_ndjson_is_as_strict_as_any_body(shop: Shop, kind: str, value: str) -> None:
    before = await shop.head()

    results, _ = await imported(shop, kind, value)

    assert statuses(results) == ["validation_error"]
    assert await shop.head() == before


@pytest.mark.parametrize("line", ["nope", '{"sku":"P001","sku":"P001"}', "[]", "1"])
async def test_a_line_that_is_no_object_is_one_bad_row(shop: Shop, line: str) -> None:
    good = '{"sku":"P001","delta":1}'

    results, _ = await imported(shop, "adjustments", f"{good}\n{line}\n{good}\n")

    assert [result["status"] for result in results] == ["applied", "rejected", "applied"]
    assert results[1]["error"]["field"] == "row"


async def test_a_currency_needs_a_price(shop: Shop) -> None:
    results, _ = await imported(shop, "items", "sku,name,price,currency\nP100,x,,EUR\n")

    assert results[0]["error"]["field"] == "currency"


async def test_a_fault_is_told_in_the_caller_s_language(shop: Shop) -> None:
    answer = await shop.http.post(
        "/v1/import/adjustments",
        content="sku,delta\nP001,x\nP001,-999\n",
        headers={**CSV, "Accept-Language": "zh"},
    )

    details = [result["error"]["detail"] for result in records(answer.text)[:2]]
    assert details == ["必须是整数", "可用数量少于请求数量。"]


@pytest.mark.parametrize(
    ("header", "fields"),
    [
        ("sku,delta,colour", ["colour"]),
        ("sku", ["delta"]),
        ("sku;delta", ["(unknown)", "sku", "delta"]),
        ("sku,delta,delta", ["delta"]),
        ("", ["sku", "delta"]),
    ],
    ids=["unknown", "missing", "semicolons", "repeated", "empty-body"],
)
async def test_a_wrong_header_is_refused_before_any_row(
    shop: Shop, header: str, fields: list[str]
) -> None:
    answer = await shop.http.post(
        "/v1/import/adjustments", content=header and f"{header}\nP001,1,1\n", headers=CSV
    )

    assert wrong_fields(answer) == fields
    assert await shop.on_hand() == 50


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Type": "application/json"},
        {"Content-Type": "text/plain"},
        {"Content-Type": "text/csv", "Content-Encoding": "gzip"},
        {},
    ],
    ids=["json", "plain", "compressed", "none"],
)
async def test_other_media_types_are_refused(shop: Shop, headers: dict[str, str]) -> None:
    answer = await shop.http.post(
        "/v1/import/items", content=b"sku,name\nP100,x\n", headers=headers
    )

    assert problem(answer, 415)["code"] == "unsupported_media_type"


async def test_no_rows_are_no_error(shop: Shop) -> None:
    _, of_csv = await imported(shop, "levels", "sku,on_hand\n")
    answer = await shop.http.post("/v1/import/levels", content=b"", headers=NDJSON)

    assert of_csv["rows"] == records(answer.text)[-1]["rows"] == 0


SOME = "sku,delta\nP001,-5\nP001,-500\nP002,x\nP003,3\n"


async def test_an_import_that_is_sent_again_under_its_key_is_told_and_not_done_again(
    shop: Shop,
) -> None:
    first, _ = await imported(shop, "adjustments", SOME, key="k")
    head = await shop.head()

    again, end = await imported(shop, "adjustments", SOME, key="k")

    assert await shop.head() == head
    bad_row = 2
    for number, (one, other) in enumerate(zip(first, again, strict=True)):
        assert other == (one if number == bad_row else one | {"replayed": True})
    assert (end["applied"], end["rejected"], end["replayed"]) == (2, 2, 3)


async def test_a_file_whose_bad_rows_were_mended_can_be_sent_again_under_its_key(
    shop: Shop,
) -> None:
    await imported(shop, "adjustments", SOME, key="k")

    results, _ = await imported(shop, "adjustments", SOME.replace("x", "4"), key="k")

    assert statuses(results) == ["applied", "insufficient_stock", "applied", "applied"]
    assert await shop.on_hand("P002") == 204
    assert await shop.on_hand("P003") == 153


async def test_a_row_that_was_done_can_not_be_edited_under_its_key(shop: Shop) -> None:
    await imported(shop, "adjustments", SOME, key="k")

    results, _ = await imported(shop, "adjustments", SOME.replace(",3", ",4"), key="k")

    assert statuses(results)[3] == "idempotency_mismatch"
    assert await shop.on_hand("P003") == 153


async def test_another_kind_of_import_is_another_request(shop: Shop) -> None:
    text = '{"sku":"P001","on_hand":5}'
    await imported(shop, "levels", text, key="k")

    results, _ = await imported(shop, "adjustments", '{"sku":"P001","delta":5}', key="k")

    assert statuses(results) == ["idempotency_mismatch"]


async def test_items_are_not_set_back_by_sending_their_import_again(shop: Shop) -> None:
    text = "sku,name\nP100,Webcam\nP001,Laptop\nP002,x\n"
    await imported(shop, "items", text, key="k")
    await shop.http.patch("/v1/items/P100", json={"name": "Camera"})

    results, end = await imported(shop, "items", text.replace("P002,x", "P002,y"), key="k")

    assert statuses(results) == ["created", "updated", "idempotency_mismatch"]
    assert end["replayed"] == 2
    assert (await shop.get("/v1/items/P100"))["name"] == "Camera"
    assert (await shop.get("/v1/items/P002"))["name"] == "x"


async def test_a_line_id_is_booked_once_with_or_without_a_key(shop: Shop) -> None:
    text = "sku,delta,line_id\nP001,1,a\nP001,1,a\nP001,1,b\n"

    first, _ = await imported(shop, "adjustments", text)
    again, end = await imported(shop, "adjustments", text)

    assert statuses(first) == ["applied", "duplicate", "applied"]
    assert statuses(again) == ["duplicate"] * 3
    assert (end["duplicates"], end["applied"]) == (3, 0)
    assert await shop.on_hand() == 52


async def test_without_key_and_line_id_rows_that_are_sent_again_are_booked_again(
    shop: Shop,
) -> None:
    for _ in range(2):
        await imported(shop, "adjustments", "sku,delta\nP001,1\n")

    assert await shop.on_hand() == 52


@pytest.mark.parametrize(
    ("kind", "text", "expected"),
    [
        (
            "adjustments",
            "sku,delta\nP001,-50\nP001,-1\nP001,2\nP001,-2\n",
            ["applied", "insufficient_stock", "applied", "applied"],
        ),
        ("levels", "sku,on_hand\nP001,1\nP999,1\n", ["applied", "unknown_sku"]),
        ("items", "sku,name\nP100,x\nP100,x\nP001,y\n", ["created", "unchanged", "updated"]),
    ],
    ids=["adjustments", "levels", "items"],
)
async def test_a_dry_run_tells_what_would_become_of_each_row_and_changes_nothing(
    shop: Shop, kind: str, text: str, expected: list[str]
) -> None:
    before = await shop.walk("/v1/items"), await shop.walk("/v1/stock"), await shop.head()

    results, end = await imported(shop, kind, text, key="k", dry_run="true")

    assert statuses(results) == expected
    assert {result.get("seq") for result in results} == {None}
    assert end["dry_run"] is True
    after = await shop.walk("/v1/items"), await shop.walk("/v1/stock"), await shop.head()
    assert after == before


async def test_the_key_of_a_dry_run_is_free_for_the_run(shop: Shop) -> None:
    await imported(shop, "adjustments", SOME, key="k", dry_run="true")

    results, end = await imported(shop, "adjustments", SOME, key="k")

    assert statuses(results)[0] == "applied"
    assert end["replayed"] == 0


async def test_small_chunks_give_the_same_results(demo: Template, tmp_path: Path) -> None:
    async with open_demo(demo, tmp_path, import_chunk_rows=2) as shop:
        results, _ = await imported(shop, "adjustments", SOME)

        assert statuses(results) == [
            "applied",
            "insufficient_stock",
            "validation_error",
            "applied",
        ]


async def test_a_row_longer_than_accepted_is_one_bad_row(demo: Template, tmp_path: Path) -> None:
    async with open_demo(demo, tmp_path, import_row_bytes_max=30) as shop:
        text = f"sku,delta\nP001,1\n{'x' * 31},1\nP001,1\n"

        results, _ = await imported(shop, "adjustments", text)

        assert statuses(results) == ["applied", "validation_error", "applied"]


async def test_a_key_for_one_location_changes_only_that_one(shop: Shop) -> None:
    headers = {**CSV, **await shop.make_key(scopes=["write"], locations=["store-1"])}
    text = "sku,location,delta\nP001,store-1,5\nP001,main,5\nP001,,5\nP001,store-1,-9\n"

    answer = await shop.http.post("/v1/import/adjustments", content=text, headers=headers)

    results = records(answer.text)[:-1]
    assert statuses(results) == ["applied", "forbidden", "forbidden", "insufficient_stock"]
    assert results[3]["error"]["elsewhere"] == []


async def test_a_service_that_stops_taking_changes_fails_the_rows_and_says_so(shop: Shop) -> None:
    shop.service.committer.drain()

    adjustments, end = await imported(shop, "adjustments", SOME)
    items, _ = await imported(shop, "items", "sku,name\nP100,x\n")

    assert statuses(adjustments) == ["draining", "draining", "validation_error", "draining"]
    assert adjustments[0]["status"] == items[0]["status"] == "failed"
    assert adjustments[0]["error"]["applied"] == "no"
    assert (end["failed"], end["rejected"]) == (3, 1)


async def test_rows_that_find_the_queue_full_fail_and_are_not_booked(
    demo: Template, tmp_path: Path
) -> None:
    async with open_demo(demo, tmp_path, queue_commands_max=100) as shop:
        text = "sku,delta\n" + "P001,1\n" * 2000

        results, end = await imported(shop, "adjustments", text)

        assert set(statuses(results)) == {"applied", "overloaded"}
        assert end["applied"] + end["failed"] == 2000
        assert await shop.on_hand() == 50 + end["applied"]


@pytest.fixture
async def server(shop: Shop) -> AsyncIterator[Served]:
    async with served(shop.service) as server:
        yield server


async def test_results_come_while_rows_are_still_being_sent(server: Served) -> None:
    headers = ("Content-Type: text/csv", "Transfer-Encoding: chunked")
    async with server.request("POST", "/v1/import/adjustments", *headers) as dialogue:
        await dialogue.send_chunk(b"sku,delta\nP001,1\nP001,")
        await dialogue.head()
        first = records((await dialogue.chunk()).decode())
        await dialogue.send_chunk(b"2\nP001,3\n")
        second = records((await dialogue.chunk()).decode())
        await dialogue.send(b"0\r\n\r\n")
        (end,) = records((await dialogue.rest()).decode())

    assert [one["delta"] for one in first] == [1]
    assert [one["delta"] for one in second] == [2, 3]
    assert end["applied"] == 3


async def test_a_client_that_sends_all_before_it_reads_gets_all_results(server: Served) -> None:
    """Rows and results are each larger than all buffers on the way."""
    idle = await server.at_rest()
    body = b"sku,delta,reference\n" + b"P001,bad,%b\n" % (b"r" * 250) * 5_000
    headers = ("Content-Type: text/csv", f"Content-Length: {len(body)}")

    async with server.request("POST", "/v1/import/adjustments", *headers) as dialogue:
        await dialogue.send(body)
        await dialogue.head()
        *results, end = records((await dialogue.rest()).decode())

    assert [result["row"] for result in results] == list(range(1, 5_001))
    assert end["rejected"] == 5_000
    await server.until_in_use(idle)


async def test_a_client_that_hangs_up_has_its_whole_rows_and_can_go_on_under_its_key(
    server: Served,
) -> None:
    idle = await server.at_rest()
    rows = b"sku,delta\n" + b"P001,1\n" * 3 + b"P001,1000"
    headers = ("Content-Type: text/csv", "Idempotency-Key: k", f"Content-Length: {len(rows) + 9}")
    async with server.request("POST", "/v1/import/adjustments", *headers) as dialogue:
        await dialogue.send(rows)
        await dialogue.head()
        assert len(records((await dialogue.chunk()).decode())) == 3
    await server.until_in_use(idle)

    async with server.client() as http:
        whole = b"sku,delta\n" + b"P001,1\n" * 5
        answer = await http.post(
            "/v1/import/adjustments", content=whole, headers={**CSV, "Idempotency-Key": "k"}
        )
        level = (await http.get("/v1/stock/P001/main")).json()

    replayed = [result.get("replayed", False) for result in records(answer.text)[:-1]]
    assert replayed == [True, True, True, False, False]
    assert level["on_hand"] == 55
