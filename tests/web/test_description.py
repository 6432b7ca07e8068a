"""The schema shows of every route who may call it, what it takes and how it can fail."""

from typing import Any

import pytest

from tests.web.small_app import client_of, small_app

STATUSES_OF_A_WRITE = [
    *("400", "401", "403", "409", "413", "415", "422", "428", "429", "500", "503", "504", "507")
]


@pytest.fixture
def document() -> dict[str, Any]:
    return small_app().openapi()


def test_every_operation_has_an_id_a_summary_and_a_scope(document: dict[str, Any]) -> None:
    described = {
        operation["operationId"]: (operation["x-scope"], "security" in operation)
        for path in document["paths"].values()
        for operation in path.values()
    }

    assert described["change"] == ("write", True)
    assert described["page"] == ("read", True)
    assert described["livez"] == ("public", False)
    assert "openapi_document" not in described


def test_a_write_shows_its_body_its_key_and_its_errors(document: dict[str, Any]) -> None:
    operation = document["paths"]["/change"]["post"]

    schema = operation["requestBody"]["content"]["application/json"]["schema"]
    assert schema == {"$ref": "#/components/schemas/Change"}
    assert [parameter["name"] for parameter in operation["parameters"]] == ["Idempotency-Key"]
    codes = {
        status: list(response["content"]["application/problem+json"]["examples"])
        for status, response in operation["responses"].items()
        if status != "200"
    }
    assert codes["409"] == ["insufficient_stock"]
    assert codes["400"] == ["malformed_json"]
    assert codes["504"] == ["outcome_unknown"]
    assert sorted(codes) == STATUSES_OF_A_WRITE


def test_a_conditional_write_shows_if_match(document: dict[str, Any]) -> None:
    parameters = document["paths"]["/change/{name}"]["patch"]["parameters"]

    assert [parameter["name"] for parameter in parameters] == [
        "name",
        "Idempotency-Key",
        "If-Match",
    ]


def test_a_query_is_shown_parameter_by_parameter(document: dict[str, Any]) -> None:
    parameters = document["paths"]["/page"]["get"]["parameters"]

    assert {parameter["name"]: parameter["in"] for parameter in parameters} == {
        "limit": "query",
        "dry_run": "query",
        "sku": "query",
    }


def test_a_streamed_route_shows_its_media_types(document: dict[str, Any]) -> None:
    operation = document["paths"]["/import"]["post"]

    assert list(operation["requestBody"]["content"]) == ["text/csv"]
    assert list(operation["responses"]["200"]["content"]) == ["text/csv"]


def test_a_status_can_have_an_answer_beside_its_problems(document: dict[str, Any]) -> None:
    content = document["paths"]["/keys"]["put"]["responses"]["503"]["content"]

    assert content["application/json"]["schema"] == {"$ref": "#/components/schemas/Change"}
    assert "draining" in content["application/problem+json"]["examples"]


def test_problems_and_credentials_are_described_once(document: dict[str, Any]) -> None:
    components = document["components"]

    assert "insufficient_stock" in components["schemas"]["Problem"]["properties"]["code"]["enum"]
    assert components["securitySchemes"]["bearer"]["scheme"] == "bearer"
    assert components["securitySchemes"]["apiKey"]["name"] == "X-API-Key"
    assert "HTTPValidationError" not in components["schemas"]


async def test_the_document_is_served(document: dict[str, Any]) -> None:
    async with client_of(small_app()) as client:
        response = await client.get("/openapi.json")

    assert response.json() == document
