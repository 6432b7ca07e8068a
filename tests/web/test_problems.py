"""Every refusal is told in one shape, in two languages, without a word of the request."""

import inspect
import json
from typing import Annotated, Any

import pytest
from pydantic import Field, TypeAdapter, ValidationError

from inventory_api.domain import unavailable
from inventory_api.domain.rejections import Code
from inventory_api.domain.unavailable import OutcomeUnknown, StorageFull, Unavailable
from inventory_api.web.problem_kinds import KINDS, HTTPCode
from inventory_api.web.problems import (
    Invalid,
    InvalidField,
    Language,
    Problem,
    detail,
    from_outcome,
    from_pydantic,
    from_unavailable,
    invalid,
    language_of,
    problem_reply,
    title,
    unauthorized,
)
from tests.web.small_app import Change

UNAVAILABLE = [
    cls
    for _, cls in inspect.getmembers(unavailable, inspect.isclass)
    if issubclass(cls, Unavailable) and cls is not Unavailable
]
# design: the error table.
STATUS = {
    Code.INSUFFICIENT_STOCK: 409,
    Code.STALE_QUANTITY: 409,
    Code.UNKNOWN_SKU: 404,
    Code.UNKNOWN_LOCATION: 404,
    Code.UNKNOWN_ID: 404,
    Code.ALREADY_EXISTS: 409,
    Code.ITEM_IN_USE: 409,
    Code.VERSION_MISMATCH: 412,
    Code.IDEMPOTENCY_MISMATCH: 422,
    HTTPCode.MALFORMED_JSON: 400,
    HTTPCode.UNSUPPORTED_MEDIA_TYPE: 415,
    HTTPCode.BODY_TOO_LARGE: 413,
    HTTPCode.URL_TOO_LONG: 414,
    HTTPCode.HEADERS_TOO_LARGE: 431,
    HTTPCode.VALIDATION_ERROR: 422,
    HTTPCode.IDEMPOTENCY_KEY_REQUIRED: 428,
    HTTPCode.RATE_LIMITED: 429,
    "overloaded": 503,
    "draining": 503,
    "deadline": 503,
    "outcome_unknown": 504,
    "storage_full": 507,
    "storage_read_only": 503,
    "storage_failed": 503,
}


def told(problem: Problem, language: Language = "en") -> dict[str, Any]:
    reply = problem_reply(problem, request_id="r-1", language=language)
    body: dict[str, Any] = json.loads(bytes(reply.body))
    return body


def header(problem: Problem, name: bytes) -> bytes | None:
    reply = problem_reply(problem, request_id="r-1", language="en")
    return dict(reply.raw_headers).get(name)


def test_the_table_has_exactly_the_codes_that_exist() -> None:
    existing = {*Code, *HTTPCode, *(cls.code for cls in UNAVAILABLE)}

    assert set(KINDS) == existing


@pytest.mark.parametrize(("code", "status"), STATUS.items(), ids=[str(code) for code in STATUS])
def test_a_code_has_the_status_of_the_design(code: str, status: int) -> None:
    assert KINDS[code].status == status


def test_a_refusal_has_every_member_and_its_facts() -> None:
    problem = from_outcome(Code.INSUFFICIENT_STOCK, {"requested": 9, "available": 4})

    body = told(problem)

    assert body == {
        "type": "urn:inventory-api:problem:insufficient_stock",
        "title": "Not enough stock",
        "status": 409,
        "detail": "Less is available than was asked for.",
        "instance": "urn:inventory-api:request:r-1",
        "code": "insufficient_stock",
        "applied": "no",
        "retryable": False,
        "request_id": "r-1",
        "requested": 9,
        "available": 4,
    }


def test_remembered_facts_are_told_as_they_were_stored() -> None:
    problem = from_outcome(Code.UNKNOWN_SKU, b'{"lines":[{"index":0}]}', status=409)

    body = told(problem)

    assert (body["status"], body["lines"]) == (409, [{"index": 0}])


def test_no_facts_add_nothing() -> None:
    assert told(from_outcome(Code.UNKNOWN_SKU, b"{}")) == told(Problem(Code.UNKNOWN_SKU))


def test_the_media_type_is_that_of_problem_details() -> None:
    assert header(Problem(HTTPCode.NOT_FOUND), b"content-type") == b"application/problem+json"


@pytest.mark.parametrize("cls", UNAVAILABLE, ids=lambda cls: cls.__name__)
def test_what_cannot_be_served_now_tells_when_to_retry(cls: type[Unavailable]) -> None:
    problem = from_unavailable(cls())

    assert told(problem)["retryable"] is True
    assert header(problem, b"retry-after") == str(cls.retry_after_s).encode()


def test_only_an_open_outcome_is_told_as_unknown() -> None:
    assert told(from_unavailable(OutcomeUnknown()))["applied"] == "unknown"
    assert told(from_unavailable(StorageFull()))["applied"] == "no"


def test_an_unauthorized_caller_learns_the_scheme() -> None:
    assert header(unauthorized(), b"www-authenticate") == b"Bearer"


def test_each_kind_is_told_in_chinese_too() -> None:
    english = {code: told(Problem(code))["title"] for code in KINDS if code != "validation_error"}
    chinese = {code: told(Problem(code), "zh")["title"] for code in english}

    assert not set(english.values()) & set(chinese.values())
    assert chinese["unknown_sku"] == "商品不存在"


@pytest.mark.parametrize(
    ("accepted", "language"),
    [
        pytest.param(b"", "en", id="nothing"),
        pytest.param(b"zh-CN,zh;q=0.9,en;q=0.8", "zh", id="a Chinese browser"),
        pytest.param(b"en-GB,zh;q=0.9", "en", id="an English browser"),
        pytest.param(b"zh;q=0.1, en;q=0.2", "en", id="quality decides"),
        pytest.param(b"zh;q=0", "en", id="quality zero is a no"),
        pytest.param(b"zh;q=x", "en", id="broken quality"),
        pytest.param(b"fr, *;q=0.5", "en", id="others"),
        pytest.param(b"\xff\xfe;;,=", "en", id="rubbish"),
    ],
)
def test_the_language_is_the_better_accepted_one(accepted: bytes, language: str) -> None:
    assert language_of(accepted) == language


def refused(value: object) -> Invalid:
    with pytest.raises(ValidationError) as error:
        TypeAdapter(Change).validate_python(value, strict=True, extra="forbid")
    return from_pydantic(error.value)


def test_each_wrong_field_is_named_by_its_path() -> None:
    problem = refused({"lines": [{"sku": "P001", "delta": 1}, {"sku": "", "delta": True}], "x": 1})

    body = told(problem)

    assert [(error["field"], error["code"]) for error in body["errors"]] == [
        ("lines[1].sku", "string_too_short"),
        ("lines[1].delta", "int_type"),
        ("x", "extra_forbidden"),
    ]
    assert body["detail"] == "These fields are not valid: lines[1].sku, lines[1].delta, x."


def test_wrong_fields_are_explained_in_chinese() -> None:
    problem = refused({"lines": [{"sku": "P" * 65}]})

    messages = [error["message"] for error in told(problem, "zh")["errors"]]

    assert messages == ["最多 64 个字符", "缺少此字段"]


def test_a_body_of_another_kind_is_named_as_the_body() -> None:
    assert told(refused([]))["errors"] == [
        {"field": "body", "code": "dict_type", "message": "Input should be an object"}
    ]


@pytest.mark.parametrize(
    "value",
    [
        pytest.param("hunter2", id="text"),
        pytest.param(float("nan"), id="NaN"),
        pytest.param("\ud800hunter2", id="lone surrogate"),
        pytest.param({"hunter2": 1}, id="object"),
    ],
)
def test_a_wrong_value_is_never_shown(value: object) -> None:
    problem = refused({"lines": [{"sku": "P001", "delta": value}], "note": 5})

    reply = problem_reply(problem, request_id="r-1", language="en")

    assert b"hunter2" not in bytes(reply.body)


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("<script>", id="markup"),
        pytest.param("a" * 65, id="long"),
        pytest.param("\x1b[31m", id="control"),
        pytest.param("é\udcff", id="surrogate"),
    ],
)
def test_an_unknown_name_that_could_do_harm_is_not_repeated(name: str) -> None:
    fields = [error["field"] for error in told(refused({name: 1, "lines": "x"}))["errors"]]

    assert name not in fields


def test_a_wrong_name_is_named_without_the_marks_of_the_checker() -> None:
    with pytest.raises(ValidationError) as error:
        TypeAdapter(dict[Annotated[str, Field(max_length=3)], int]).validate_python({"long": 1})

    fields = [wrong["field"] for wrong in told(from_pydantic(error.value, within="x"))["errors"]]

    assert fields == ["x.long"]


@pytest.mark.parametrize(("language", "expected"), [("en", "Unknown SKU"), ("zh", "商品不存在")])
def test_a_line_can_be_told_alone(language: Language, expected: str) -> None:
    assert title(Code.UNKNOWN_SKU, language) == expected
    assert detail(Code.UNKNOWN_SKU, language) != detail(Code.UNKNOWN_ID, language)


def test_a_thousand_wrong_fields_are_counted_but_not_listed() -> None:
    problem = Invalid([InvalidField(f"lines[{n}]", "x", "m", "m") for n in range(1000)])

    body = told(problem)

    assert (len(body["errors"]), body["errors_omitted"]) == (100, 900)
    assert body["detail"].endswith("lines[4], ….")


def test_a_single_wrong_header_is_named() -> None:
    problem = invalid("Idempotency-Key", "is too long", "太长")

    assert told(problem)["errors"][0]["field"] == "Idempotency-Key"
    assert told(problem, "zh")["errors"][0]["message"] == "太长"


def test_a_request_id_stands_in_the_instance_as_a_uri() -> None:
    reply = problem_reply(Problem(HTTPCode.NOT_FOUND), request_id='<a>"', language="en")

    body = json.loads(bytes(reply.body))

    assert body["instance"] == "urn:inventory-api:request:%3Ca%3E%22"
    assert body["request_id"] == '<a>"'
