"""What OpenAPI says about a route besides its signature: errors, headers, who may call it."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from fastapi.params import Depends, Security
from fastapi.security import APIKeyHeader, HTTPBearer

from inventory_api.domain.rejections import Code
from inventory_api.domain.unavailable import (
    DeadlineExpired,
    Draining,
    OutcomeUnknown,
    Overloaded,
    StorageBusy,
    StorageFailed,
    StorageFull,
    StorageReadOnly,
    StorageUnreachable,
)
from inventory_api.web.problem_kinds import KINDS, HTTPCode
from inventory_api.web.problems import REQUEST_PREFIX, TYPE_PREFIX

JSONObject = dict[str, Any]  # Any: a piece of an OpenAPI document

PROBLEM_SCHEMA: JSONObject = {
    "title": "Problem",
    "description": "Problem details (RFC 9457). The code's own facts are further members.",
    "type": "object",
    "required": [
        "type",
        "title",
        "status",
        "detail",
        "instance",
        "code",
        "applied",
        "retryable",
        "request_id",
    ],
    "properties": {
        "type": {"type": "string", "format": "uri"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "instance": {"type": "string", "format": "uri"},
        "code": {"type": "string", "enum": sorted(KINDS)},
        "applied": {
            "type": "string",
            "enum": ["yes", "no", "unknown"],
            "description": "Whether the change happened; ask again with the same key if unknown.",
        },
        "retryable": {
            "type": "boolean",
            "description": "Whether the same request may succeed later without a change.",
        },
        "request_id": {"type": "string"},
        "errors": {
            "type": "array",
            "description": "With code validation_error: every wrong field.",
            "items": {
                "type": "object",
                "required": ["field", "code", "message"],
                "properties": {
                    "field": {"type": "string"},
                    "code": {"type": "string"},
                    "message": {"type": "string"},
                },
            },
        },
    },
    "additionalProperties": True,
}

SECURITY: Sequence[Depends] = (
    Security(HTTPBearer(scheme_name="bearer", description="An API key.", auto_error=False)),
    Security(
        APIKeyHeader(
            name="X-API-Key", scheme_name="apiKey", description="An API key.", auto_error=False
        )
    ),
)

IDEMPOTENCY_KEY: JSONObject = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "Any text you make up once per intent; a retry with it has no second effect.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"},
}
IF_MATCH: JSONObject = {
    "name": "If-Match",
    "in": "header",
    "required": False,
    "description": "The ETag of what you have read; 412 if it has changed since.",
    "schema": {"type": "string", "examples": ['"3"']},
}
LAST_EVENT_ID: JSONObject = {
    "name": "Last-Event-ID",
    "in": "header",
    "required": False,
    "description": "The id of the last event that came: the stream goes on behind it. A browser"
    " sends it by itself, with the old address, so it counts before `after`.",
    "schema": {"type": "string", "pattern": "^[0-9]{1,18}$"},
}

_ALWAYS = (HTTPCode.INTERNAL, Draining.code)
# All of these refuse a query parameter that they do not know; public paths let probes be.
_AUTHENTICATED = (
    HTTPCode.VALIDATION_ERROR,
    HTTPCode.UNAUTHORIZED,
    HTTPCode.FORBIDDEN,
    HTTPCode.RATE_LIMITED,
    Overloaded.code,
    DeadlineExpired.code,
)
_BODY = (
    HTTPCode.MALFORMED_JSON,
    HTTPCode.BODY_TOO_LARGE,
    HTTPCode.UNSUPPORTED_MEDIA_TYPE,
)
_WRITE = (
    HTTPCode.IDEMPOTENCY_KEY_REQUIRED,
    Code.IDEMPOTENCY_MISMATCH,
    StorageBusy.code,
    StorageUnreachable.code,
    StorageFull.code,
    StorageReadOnly.code,
    StorageFailed.code,
    OutcomeUnknown.code,
)
_UNKNOWN_OUTCOME = (StorageFailed.code, OutcomeUnknown.code)


def codes(own: Iterable[str], *, authenticated: bool, writes: bool, body: bool) -> list[str]:
    """All codes that a route can answer, in the order of the table."""
    possible = {
        *own,
        *_ALWAYS,
        *(_AUTHENTICATED if authenticated else ()),
        *(_WRITE if writes else ()),
        *(_BODY if body else ()),
    }
    return [code for code in KINDS if code in possible]


def responses_for(codes: Iterable[str], also: Mapping[int, Any]) -> dict[int | str, JSONObject]:
    """The answers for codes, one per status, each code with an example; and others by type."""
    responses: dict[int | str, JSONObject] = {}
    for code in codes:
        kind = KINDS[code]
        response = responses.setdefault(kind.status, _error_response())
        separator = " · " if response["description"] else ""
        response["description"] += separator + kind.title
        response["content"]["application/problem+json"]["examples"][code] = {
            "summary": kind.title,
            "value": _example(code),
        }
    for status, model in also.items():
        responses.setdefault(status, {})["model"] = model
    return responses


def operation(
    *,
    needs: str,
    headers: Sequence[JSONObject],
    example: object,
    consumes: Mapping[str, str],
    produces: Sequence[str] | Mapping[str, str],
    status: int,
) -> JSONObject:
    """What is merged into the operation that FastAPI derives from the signature."""
    text_schema: JSONObject = {"schema": {"type": "string"}}
    extra: JSONObject = {"x-scope": needs}
    if headers:
        extra["parameters"] = list(headers)
    if example is not None:
        extra["requestBody"] = {"content": {"application/json": {"example": example}}}
    if consumes:
        content = {
            media_type: text_schema | {"example": shown} for media_type, shown in consumes.items()
        }
        extra["requestBody"] = {"required": True, "content": content}
    if produces:
        content = dict.fromkeys(produces, text_schema)
        if isinstance(produces, Mapping):
            content = {name: text_schema | {"example": shown} for name, shown in produces.items()}
        extra["responses"] = {str(status): {"content": content}}
    return extra


def _error_response() -> JSONObject:
    schema = {"$ref": "#/components/schemas/Problem"}
    return {
        "description": "",
        "content": {"application/problem+json": {"schema": schema, "examples": {}}},
    }


def _example(code: str) -> JSONObject:
    kind = KINDS[code]
    example: JSONObject = {
        "type": TYPE_PREFIX + code,
        "title": kind.title,
        "status": kind.status,
        "detail": kind.detail.format(fields="lines[0].delta"),
        "instance": REQUEST_PREFIX + "5f0c6f1b-1",
        "code": code,
        "applied": "unknown" if code in _UNKNOWN_OUTCOME else "no",
        "retryable": kind.retryable,
        "request_id": "5f0c6f1b-1",
    }
    if code == HTTPCode.VALIDATION_ERROR:
        message = "Input should be a valid integer"
        wrong = {"field": "lines[0].delta", "code": "int_type", "message": message}
        example |= {"errors": [wrong], "errors_omitted": 0}
    return example
