"""Changes of stock, and batch checks, over HTTP."""

import httpx
import pytest

from inventory_api.domain.rejections import Code
from tests.web.shop import JSON, Shop, problem, wrong_fields

EMPTY = {"reserved": 0, "committed": 0, "safety_stock": 0, "incoming": 0}


def level(sku: str, location: str, on_hand: int, version: int) -> JSON:
    balances = {"on_hand": on_hand, "available": on_hand, "version": version}
    return {"sku": sku, "location": location, **EMPTY, **balances}


async def test_a_check_answers_each_line_or_says_why_it_can_not(http: httpx.AsyncClient) -> None:
    lines = [{"sku": "P001", "quantity": 3, "location": "main"}, {"sku": "P999"}]

    answer = await http.post("/v1/stock/check", json={"lines": lines})

    assert answer.status_code == 200
    told = answer.json()
    assert told["as_of_seq"] == 5
    assert told["results"][0] == {
        "index": 0,
        "sku": "P001",
        "location": "main",
        "name": "笔记本电脑",
        "on_hand": 50,
        "available": 50,
        "requested": 3,
        "sufficient": True,
    }
    error = told["results"][1].pop("error")
    assert told["results"][1] == {"index": 1, "sku": "P999"}
    assert error["code"] == "unknown_sku"


async def test_a_check_asks_for_one_unit_over_all_selling_locations_by_default(shop: Shop) -> None:
    await shop.transfer({"sku": "P001", "to": "store-1", "quantity": 20})

    answer = await shop.http.post("/v1/stock/check", json={"lines": [{"sku": "P001"}]})

    result = answer.json()["results"][0]
    assert (result["location"], result["requested"]) == (None, 1)
    assert (result["available"], result["sufficient"]) == (50, True)


@pytest.mark.parametrize(("quantity", "is_sufficient"), [(50, True), (51, False)])
async def test_a_check_is_sufficient_up_to_what_is_available(
    http: httpx.AsyncClient, quantity: int, is_sufficient: bool
) -> None:
    line = {"sku": "P001", "quantity": quantity}

    answer = await http.post("/v1/stock/check", json={"lines": [line]})

    assert answer.json()["results"][0]["sufficient"] is is_sufficient


async def test_a_check_names_an_unknown_location_in_its_line_only(http: httpx.AsyncClient) -> None:
    lines = [{"sku": "P001", "location": "nowhere"}, {"sku": "P001", "location": "store-1"}]

    told = (await http.post("/v1/stock/check", json={"lines": lines})).json()

    assert told["results"][0]["error"]["code"] == "unknown_location"
    assert told["results"][1]["available"] == 0


async def test_a_check_tells_its_line_errors_in_the_callers_language(
    http: httpx.AsyncClient,
) -> None:
    body = {"lines": [{"sku": "P999"}]}

    english = await http.post("/v1/stock/check", json=body)
    chinese = await http.post("/v1/stock/check", json=body, headers={"Accept-Language": "zh-CN"})

    assert "SKU" in english.json()["results"][0]["error"]["detail"]
    assert "商品" in chinese.json()["results"][0]["error"]["detail"]


async def test_an_adjustment_answers_what_became_of_each_line(shop: Shop) -> None:
    answer = await shop.adjust({"sku": "P001", "delta": -2}, reason="sale", reference="order:1")

    assert answer.status_code == 200
    told = answer.json()
    assert (told["applied"], told["rejected"]) == (1, 0)
    assert told["results"] == [
        {
            "index": 0,
            "sku": "P001",
            "location": "main",
            "status": "applied",
            "seq": 6,
            "delta": -2,
            "level": level("P001", "main", 48, version=2),
        }
    ]
    operation = await shop.get(f"/v1/operations/{told['operation_id']}")
    assert (operation["reason"], operation["reference"]) == ("sale", "order:1")


async def test_a_shortage_tells_what_is_missing_and_where_else_it_is(shop: Shop) -> None:
    await shop.transfer({"sku": "P001", "to": "store-1", "quantity": 20})

    answer = await shop.adjust({"sku": "P002", "delta": -1}, {"sku": "P001", "delta": -31})

    told = problem(answer, 409)
    assert (told["code"], told["applied"], told["retryable"]) == ("insufficient_stock", "no", False)
    assert told["lines"] == [
        {
            "index": 1,
            "sku": "P001",
            "location": "main",
            "status": "rejected",
            "error": {
                "code": "insufficient_stock",
                "requested": 31,
                "on_hand": 30,
                "available": 30,
                "shortage": 1,
                "elsewhere": [{"location": "store-1", "available": 20}],
                "next_available_at": None,
            },
        }
    ]
    assert await shop.on_hand("P002") == 200


async def test_an_atomic_batch_lists_every_refused_line_and_changes_nothing(shop: Shop) -> None:
    lines = [
        {"sku": "P001", "delta": -40},
        {"sku": "P999", "delta": 1},
        {"sku": "P001", "delta": -20},
        {"sku": "P002", "location": "nowhere", "delta": 1},
        {"sku": "P001", "delta": -10},
    ]

    told = problem(await shop.adjust(*lines), 409)

    refused = [(line["index"], line["error"]["code"]) for line in told["lines"]]
    assert refused == [(1, "unknown_sku"), (2, "insufficient_stock"), (3, "unknown_location")]
    assert told["lines"][1]["error"]["available"] == 10
    assert await shop.head() == 5


async def test_an_independent_batch_applies_the_lines_that_can_be(shop: Shop) -> None:
    lines = [
        {"sku": "P001", "delta": -40},
        {"sku": "P001", "delta": -20},
        {"sku": "P001", "delta": -10},
        {"sku": "P999", "delta": 1},
    ]

    answer = await shop.adjust(*lines, mode="independent")

    assert answer.status_code == 200
    told = answer.json()
    assert (told["applied"], told["rejected"]) == (2, 2)
    statuses = [line["status"] for line in told["results"]]
    assert statuses == ["applied", "rejected", "applied", "rejected"]
    assert [line.get("seq") for line in told["results"]] == [6, None, 7, None]
    assert told["results"][3]["error"]["code"] == "unknown_sku"
    assert await shop.on_hand() == 0


async def test_an_independent_batch_without_any_applied_line_is_no_operation(shop: Shop) -> None:
    answer = await shop.adjust({"sku": "P999", "delta": 1}, mode="independent")

    told = answer.json()
    assert (answer.status_code, told["operation_id"]) == (200, None)
    assert await shop.head() == 5


async def test_lines_of_a_group_fail_together(shop: Shop) -> None:
    lines = [
        {"sku": "P001", "delta": -1, "group": "a"},
        {"sku": "P002", "delta": -1, "group": "b"},
        {"sku": "P999", "delta": -1, "group": "a"},
    ]

    told = (await shop.adjust(*lines, mode="independent")).json()

    assert [line["status"] for line in told["results"]] == ["rejected", "applied", "rejected"]
    assert told["results"][0]["error"]["code"] == "group_rejected"
    assert await shop.on_hand("P001") == 50


async def test_two_lines_for_the_last_unit_are_judged_on_the_running_balance(shop: Shop) -> None:
    await shop.set({"sku": "P001", "on_hand": 1, "expected_on_hand": 50})

    answer = await shop.adjust({"sku": "P001", "delta": -1}, {"sku": "P001", "delta": -1})

    assert [line["index"] for line in problem(answer, 409)["lines"]] == [1]
    assert await shop.on_hand() == 1


async def test_a_line_id_is_booked_once_for_ever(shop: Shop) -> None:
    line = {"sku": "P001", "delta": -1, "line_id": "order:1/1"}

    first, second = await shop.adjust(line), await shop.adjust(line)

    assert first.json()["results"][0]["status"] == "applied"
    assert second.json()["results"][0]["status"] == "duplicate"
    assert await shop.on_hand() == 49


async def test_a_fact_is_booked_below_what_is_promised_and_says_so(shop: Shop) -> None:
    await shop.http.patch("/v1/stock/P001/main", json={"safety_stock": 45})

    asked = await shop.adjust({"sku": "P001", "delta": -10}, reason="sale")
    fact = await shop.adjust({"sku": "P001", "delta": -10}, reason="damaged")

    assert problem(asked, 409)["lines"][0]["error"]["available"] == 5
    assert fact.json()["results"][0]["level"]["available"] == -5
    (*_, last) = (await shop.get("/v1/movements", after=5))["items"]
    assert last["oversold_by"] == 5


async def test_a_fact_that_leaves_less_than_nothing_is_refused(shop: Shop) -> None:
    answer = await shop.adjust({"sku": "P001", "delta": -51}, reason="lost")

    assert problem(answer, 409)["code"] == "insufficient_stock"


async def test_a_lines_own_reason_decides_whether_it_is_a_fact(shop: Shop) -> None:
    await shop.http.patch("/v1/stock/P001/main", json={"safety_stock": 50})
    lines = [{"sku": "P001", "delta": -1}, {"sku": "P001", "delta": -1, "reason": "theft"}]

    told = (await shop.adjust(*lines, reason="sale", mode="independent")).json()

    assert [line["status"] for line in told["results"]] == ["rejected", "applied"]


async def test_a_result_above_the_largest_quantity_is_refused(shop: Shop) -> None:
    answer = await shop.adjust({"sku": "P001", "delta": 10**12}, reason="received")

    told = problem(answer, 409)
    assert told["code"] == "quantity_out_of_range"
    assert told["lines"][0]["error"]["maximum"] == 10**12


async def test_a_count_replaces_what_was_expected(shop: Shop) -> None:
    answer = await shop.set({"sku": "P003", "on_hand": 149, "expected_on_hand": 150})

    result = answer.json()["results"][0]
    assert (result["status"], result["delta"]) == ("applied", -1)
    assert result["level"] == level("P003", "main", 149, version=2)


async def test_a_count_that_expected_something_else_is_stale(shop: Shop) -> None:
    answer = await shop.set({"sku": "P003", "on_hand": 140, "expected_on_hand": 142})

    told = problem(answer, 409)
    assert told["code"] == "stale_quantity"
    error = {"code": "stale_quantity", "expected_on_hand": 142, "on_hand": 150}
    assert told["lines"][0]["error"] == error
    assert await shop.on_hand("P003") == 150


async def test_a_count_has_to_say_what_it_expects(shop: Shop) -> None:
    left_out = await shop.set({"sku": "P003", "on_hand": 1})
    null = await shop.set({"sku": "P003", "on_hand": 1, "expected_on_hand": None})

    assert wrong_fields(left_out) == ["lines[0].expected_on_hand"]
    assert null.status_code == 200
    assert await shop.on_hand("P003") == 1


async def test_a_refused_transfer_names_the_location_where_the_fault_is(shop: Shop) -> None:
    answer = await shop.transfer(
        {"sku": "P002", "to": "nowhere", "quantity": 1},
        {"sku": "P002", "from": "nowhere", "to": "store-1", "quantity": 1},
        {"sku": "P002", "to": "store-1", "quantity": 201},
        {"sku": "P999", "to": "store-1", "quantity": 1},
    )

    told = problem(answer, 409)["lines"]
    assert [one.get("location") for one in told] == ["nowhere", "nowhere", "main", None]


async def test_a_transfer_moves_units_in_one_step(shop: Shop) -> None:
    answer = await shop.transfer({"sku": "P002", "to": "store-1", "quantity": 5})

    assert answer.json()["results"] == [
        {
            "index": 0,
            "sku": "P002",
            "from": "main",
            "to": "store-1",
            "status": "applied",
            "quantity": 5,
            "seqs": [6, 7],
            "levels": [
                level("P002", "main", 195, version=2),
                level("P002", "store-1", 5, version=1),
            ],
        }
    ]


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ({"sku": "P002", "to": "main", "quantity": 1}, Code.SAME_LOCATION),
        ({"sku": "P002", "to": "store-1", "quantity": 201}, Code.INSUFFICIENT_STOCK),
        ({"sku": "P002", "to": "nowhere", "quantity": 1}, Code.UNKNOWN_LOCATION),
        ({"sku": "P999", "to": "store-1", "quantity": 1}, Code.UNKNOWN_SKU),
    ],
    ids=["same-location", "too-many", "unknown-location", "unknown-sku"],
)
async def test_a_transfer_that_can_not_be_changes_nothing(
    shop: Shop, line: JSON, code: Code
) -> None:
    told = problem(await shop.transfer(line), 409)

    assert told["code"] == code
    assert told["lines"][0]["error"]["code"] == code
    assert await shop.head() == 5


@pytest.mark.parametrize("kind", ["adjust", "set", "transfer", "check"])
async def test_a_batch_has_one_line_at_least_and_10000_at_most(
    http: httpx.AsyncClient, kind: str
) -> None:
    line = {"sku": "P001", "delta": 0}

    none = await http.post(f"/v1/stock/{kind}", json={"lines": []})
    many = await http.post(f"/v1/stock/{kind}", json={"lines": [line] * 10_001})

    assert wrong_fields(none) == ["lines"]
    assert wrong_fields(many)[0].startswith("lines")


async def test_each_of_10000_lines_has_its_result_at_its_index(shop: Shop) -> None:
    lines = [{"sku": "P001", "delta": (-1) ** number} for number in range(10_000)]

    told = (await shop.adjust(*lines)).json()

    assert [line["index"] for line in told["results"]] == list(range(10_000))
    assert told["results"][-1]["seq"] == 10_005
    assert await shop.on_hand() == 50


@pytest.mark.parametrize(
    ("language", "title"),
    [
        ("zh", "库存不足"),
        ("zh-Hans-CN, en;q=0.5", "库存不足"),
        ("en, zh;q=0.9", "Not enough stock"),
        ("fr", "Not enough stock"),
        ("zh;q=0", "Not enough stock"),
    ],
)
async def test_a_refusal_is_told_in_the_callers_language(
    http: httpx.AsyncClient, language: str, title: str
) -> None:
    body = {"lines": [{"sku": "P001", "delta": -51}]}

    answer = await http.post("/v1/stock/adjust", json=body, headers={"Accept-Language": language})

    assert problem(answer, 409)["title"] == title
    assert answer.headers["content-language"] == ("zh" if title == "库存不足" else "en")


async def test_every_wrong_field_of_a_batch_is_named_in_both_languages(
    http: httpx.AsyncClient,
) -> None:
    body = {"lines": [{"sku": "P001", "delta": "1"}, {"sku": "", "delta": 1}], "modes": "atomic"}

    english = await http.post("/v1/stock/adjust", json=body)
    chinese = await http.post("/v1/stock/adjust", json=body, headers={"Accept-Language": "zh"})

    assert sorted(wrong_fields(english)) == ["lines[0].delta", "lines[1].sku", "modes"]
    messages = {one["field"]: one["message"] for one in chinese.json()["errors"]}
    assert messages["lines[0].delta"] == "必须是整数"
    assert messages["modes"] == "未知字段"
