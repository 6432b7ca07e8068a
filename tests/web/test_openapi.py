"""The OpenAPI document: whole, true, and with examples that run."""

import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import jsonschema_rs
import pytest

from inventory_api.web.problem_kinds import KINDS
from tests.databases import Store, Template
from tests.web.document import (
    DOCUMENT,
    OPERATIONS,
    PROBLEM,
    PROBLEM_SCHEMA,
    SAMPLES,
    Operation,
    check_answer,
    resolved,
)
from tests.web.shop import JSON, demo_in, open_demo

every_operation = pytest.mark.parametrize(
    "operation", OPERATIONS, ids=[operation.id for operation in OPERATIONS]
)

# Generated clients call their methods by these names: a change breaks every caller.
STABLE_IDS = {
    "adjust_stock": "POST /v1/stock/adjust",
    "approve_a_count": "POST /v1/counts/{count_id}/approve",
    "archive_an_item": "DELETE /v1/items/{sku}",
    "cancel_a_count": "POST /v1/counts/{count_id}/cancel",
    "change_a_location": "PATCH /v1/locations/{code}",
    "change_a_policy": "PATCH /v1/stock/{sku}/{location}",
    "change_an_item": "PATCH /v1/items/{sku}",
    "check_stock": "POST /v1/stock/check",
    "create_a_location": "POST /v1/locations",
    "create_an_api_key": "POST /v1/api-keys",
    "confirm_a_reservation": "POST /v1/reservations/{reservation_id}/confirm",
    "create_an_item": "POST /v1/items",
    "declare_a_reservation": "PUT /v1/reservations/by-reference/{reference}",
    "explain_stock": "GET /v1/stock/{sku}/explain",
    "extend_a_reservation": "POST /v1/reservations/{reservation_id}/extend",
    "fulfill_a_reservation": "POST /v1/reservations/{reservation_id}/fulfill",
    "get_a_reservation": "GET /v1/reservations/{reservation_id}",
    "get_a_reservation_by_reference": "GET /v1/reservations/by-reference/{reference}",
    "list_the_reservations": "GET /v1/reservations",
    "release_a_reservation": "POST /v1/reservations/{reservation_id}/release",
    "reserve": "POST /v1/reservations",
    "export_items": "GET /v1/export/items",
    "export_levels": "GET /v1/export/levels",
    "export_movements": "GET /v1/export/movements",
    "export_reservations": "GET /v1/export/reservations",
    "get_a_count": "GET /v1/counts/{count_id}",
    "get_a_location": "GET /v1/locations/{code}",
    "get_an_item": "GET /v1/items/{sku}",
    "get_an_operation": "GET /v1/operations/{operation_id}",
    "get_level": "GET /v1/stock/{sku}/{location}",
    "get_stock": "GET /v1/stock/{sku}",
    "import_the_adjustments": "POST /v1/import/adjustments",
    "import_the_items": "POST /v1/import/items",
    "import_the_levels": "POST /v1/import/levels",
    "list_stock": "GET /v1/stock",
    "list_the_api_keys": "GET /v1/api-keys",
    "list_the_counts": "GET /v1/counts",
    "list_the_items": "GET /v1/items",
    "list_the_locations": "GET /v1/locations",
    "list_the_movements": "GET /v1/movements",
    "livez": "GET /livez",
    "metrics": "GET /metrics",
    "open_a_count": "POST /v1/counts",
    "post_a_count": "POST /v1/counts/{count_id}/post",
    "readyz": "GET /readyz",
    "record_a_count": "POST /v1/counts/{count_id}/lines",
    "report_the_variance": "GET /v1/counts/{count_id}/variance",
    "revoke_an_api_key": "DELETE /v1/api-keys/{key_id}",
    "cancel_a_transfer": "POST /v1/transfers/{transfer_id}/cancel",
    "cancel_an_inbound": "POST /v1/inbounds/{inbound_id}/cancel",
    "expect_an_inbound": "POST /v1/inbounds",
    "get_a_transfer": "GET /v1/transfers/{transfer_id}",
    "get_an_inbound": "GET /v1/inbounds/{inbound_id}",
    "list_the_inbounds": "GET /v1/inbounds",
    "list_the_transfers": "GET /v1/transfers",
    "receive_a_transfer": "POST /v1/transfers/{transfer_id}/receive",
    "receive_an_inbound": "POST /v1/inbounds/{inbound_id}/receive",
    "reschedule_a_transfer": "PATCH /v1/transfers/{transfer_id}",
    "reschedule_an_inbound": "PATCH /v1/inbounds/{inbound_id}",
    "ship_a_transfer": "POST /v1/transfers",
    "set_stock": "POST /v1/stock/set",
    "transfer_stock": "POST /v1/stock/transfer",
    "verify_the_ledger": "GET /v1/verify",
    "archive_a_supplier": "DELETE /v1/suppliers/{supplier}",
    "change_a_supplier": "PATCH /v1/suppliers/{supplier}",
    "create_a_supplier": "POST /v1/suppliers",
    "get_a_supplier": "GET /v1/suppliers/{supplier}",
    "list_the_codes": "GET /v1/suppliers/{supplier}/codes",
    "list_the_runs": "GET /v1/suppliers/{supplier}/runs",
    "list_the_suppliers": "GET /v1/suppliers",
    "pull_a_supplier": "POST /v1/suppliers/{supplier}/pull",
    "put_the_codes": "PUT /v1/suppliers/{supplier}/codes",
    "create_a_webhook": "POST /v1/webhooks",
    "list_the_webhooks": "GET /v1/webhooks",
    "get_a_webhook": "GET /v1/webhooks/{webhook_id}",
    "change_a_webhook": "PATCH /v1/webhooks/{webhook_id}",
    "delete_a_webhook": "DELETE /v1/webhooks/{webhook_id}",
    "rotate_the_secret": "POST /v1/webhooks/{webhook_id}/rotate-secret",
    "send_a_test_event": "POST /v1/webhooks/{webhook_id}/test",
    "list_the_deliveries": "GET /v1/webhooks/{webhook_id}/deliveries",
    "redeliver_an_event": "POST /v1/webhooks/{webhook_id}/deliveries/{delivery_id}/redeliver",
    "replay_the_events": "POST /v1/webhooks/{webhook_id}/replay",
}
# Made by chance: no example of them can exist in a demo.
RANDOM = {
    "operation_id",
    "key_id",
    "reservation_id",
    "count_id",
    "inbound_id",
    "transfer_id",
    "webhook_id",
}


@pytest.fixture(scope="module")
def plain_demo(store: Store) -> Iterator[Template]:
    """What `serve --demo` makes, and nothing else."""
    with demo_in(store, with_store=False) as demo:
        yield demo


async def test_the_served_document_is_the_one_that_the_tests_are_made_from(
    http: httpx.AsyncClient,
) -> None:
    served = (await http.get("/openapi.json")).json()

    assert served["paths"] == DOCUMENT["paths"]
    assert served["components"] == DOCUMENT["components"]
    assert served["webhooks"] == DOCUMENT["webhooks"]
    assert served["openapi"].startswith("3.1")


def test_operation_ids_are_stable() -> None:
    described = {one.id: f"{one.method} {one.path}" for one in OPERATIONS}

    assert len(described) == len(OPERATIONS)
    assert STABLE_IDS.items() <= described.items()


@every_operation
def test_an_operation_says_what_it_does_in_a_line_and_in_a_paragraph(operation: Operation) -> None:
    assert re.fullmatch(r"[A-Z].{5,100}[^.]", operation.spec["summary"])
    assert operation.spec["description"].endswith(".")


@every_operation
def test_an_operation_stands_under_one_described_heading(operation: Operation) -> None:
    described = {tag["name"]: tag["description"] for tag in DOCUMENT["tags"]}

    (tag,) = operation.spec["tags"]
    assert described[tag]


@every_operation
def test_an_operation_documents_its_answer(operation: Operation) -> None:
    answers = [status for status in operation.spec["responses"] if status.startswith("2")]

    assert answers
    for status in answers:
        for media_type in operation.spec["responses"][status]["content"].values():
            assert resolved(media_type["schema"])


@every_operation
def test_the_errors_of_an_operation_have_examples_that_are_true(operation: Operation) -> None:
    validator = jsonschema_rs.Draft202012Validator(
        {**PROBLEM_SCHEMA, "components": DOCUMENT["components"]}
    )
    for status, answer in operation.spec["responses"].items():
        examples = answer["content"].get(PROBLEM, {}).get("examples", {})
        for code, example in examples.items():
            validator.validate(example["value"])
            assert example["value"]["code"] == code
            assert str(example["value"]["status"]) == status == str(KINDS[code].status)


@every_operation
def test_who_may_is_documented(operation: Operation) -> None:
    schemes = DOCUMENT["components"]["securitySchemes"]
    required = operation.spec.get("security", [])

    assert operation.scope in ("read", "write", "admin", "public")
    if operation.scope == "public":
        assert required == []
    else:
        assert required == [{"bearer": []}, {"apiKey": []}]
        assert {"401", "403", "429"} <= operation.spec["responses"].keys()
    assert (schemes["bearer"]["scheme"], schemes["apiKey"]["name"]) == ("bearer", "X-API-Key")


@every_operation
def test_writes_document_their_idempotency_key(operation: Operation) -> None:
    names = {header["name"] for header in operation.parameters("header")}

    assert ("Idempotency-Key" in names) == operation.writes
    assert ("504" in operation.spec["responses"]) == operation.writes


@every_operation
def test_a_body_has_an_example(operation: Operation) -> None:
    for content in operation.spec.get("requestBody", {}).get("content", {}).values():
        assert content["example"]


@every_operation
def test_a_parameter_of_the_path_has_an_example(operation: Operation) -> None:
    for parameter in operation.parameters("path"):
        assert parameter["name"] in RANDOM or example_of(parameter) == SAMPLES[parameter["name"]]


@every_operation
async def test_the_example_of_an_operation_runs_against_a_fresh_demo(
    plain_demo: Template, tmp_path: Path, operation: Operation
) -> None:
    async with open_demo(plain_demo, tmp_path) as shop:
        for media_type in operation.consumes or [""]:
            answer = await shop.http.request(
                operation.method, operation.url(), **operation.example(media_type)
            )

            ids = {one["name"] for one in operation.parameters("path")}
            # The demo has no cart; the one that `reserve` makes is found by either name. It has no
            # supplier either: that would be somebody else's server.
            if ids & {*RANDOM, "supplier"} or operation.id == "get_a_reservation_by_reference":
                assert answer.status_code == 404
            elif operation.id == "archive_an_item":  # it has stock in the demo
                assert answer.status_code == 409
            else:
                assert answer.is_success, answer.text


def example_of(parameter: JSON) -> JSON:
    schema = parameter["schema"]
    named = parameter.get("examples") or {"": {"value": parameter.get("example")}}
    shown = next(iter(named.values()))["value"]
    return shown if shown is not None else next(iter(schema.get("examples", [])), None)


def fabricated(status: int, body: JSON, media_type: str = "application/json") -> httpx.Response:
    request = httpx.Request("GET", "http://127.0.0.1/livez")
    headers = {"Content-Type": media_type}
    return httpx.Response(status, json=body, headers=headers, request=request)


@pytest.mark.parametrize(
    "answer",
    [
        fabricated(200, {"status": "alive", "mood": "good"}),
        fabricated(200, {"status": "asleep"}),
        fabricated(200, {}),
        fabricated(200, {"status": "alive"}, "text/plain"),
        fabricated(202, {"status": "alive"}),
        fabricated(409, {"code": "insufficient_stock"}, PROBLEM),
        fabricated(500, {"code": "internal"}, PROBLEM),
    ],
    ids=["extra", "value", "missing", "media-type", "status", "undocumented", "problem"],
)
def test_an_answer_that_is_not_as_documented_is_noticed(answer: httpx.Response) -> None:
    with pytest.raises(AssertionError):
        check_answer(answer)


def test_an_answer_that_is_as_documented_is_accepted() -> None:
    check_answer(fabricated(200, {"status": "alive"}))


@pytest.mark.parametrize("name", sorted(DOCUMENT["webhooks"]))
def test_each_event_is_described_with_an_example_that_fits_it(name: str) -> None:
    described = DOCUMENT["webhooks"][name]["post"]
    content = described["requestBody"]["content"]["application/json"]

    assert content["example"]["type"] == name
    jsonschema_rs.validate(content["schema"], content["example"])
    assert described["summary"]
