"""The OpenAPI document of the service, and whether an answer is what it says."""

import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import httpx
import jsonschema_rs

from inventory_api.app import ROUTERS, TAGS
from inventory_api.telemetry import Metrics
from inventory_api.web.application import Application
from inventory_api.web.middleware import GateLimits, Traffic
from inventory_api.web.webhook_description import webhook_descriptions

JSON = Any  # Any: a parsed document of unknown shape
METHODS = ("get", "post", "put", "patch", "delete")

# What any request can meet before it reaches an operation; the operations do not repeat it.
ANYWHERE = {400, 404, 405, 408, 414, 421, 431}
PROBLEM = "application/problem+json"


class Operation(NamedTuple):
    """One method of one path, as documented."""

    method: str
    path: str
    spec: Mapping[str, JSON]

    @property
    def id(self) -> str:
        name: str = self.spec["operationId"]
        return name

    @property
    def scope(self) -> str:
        needs: str = self.spec["x-scope"]
        return needs

    @property
    def writes(self) -> bool:
        return self.method != "GET" and self.scope in ("write", "admin")

    @property
    def is_endless(self) -> bool:
        """Whether it answers as long as somebody listens."""
        return "text/event-stream" in self.spec["responses"].get("200", {}).get("content", {})

    def parameters(self, where: str) -> list[JSON]:
        """Those of the `path`, the `query` or the `header`."""
        return [one for one in self.spec.get("parameters", ()) if one["in"] == where]

    @property
    def body(self) -> JSON:
        """The JSON body's description; None if there is none."""
        content = self.spec.get("requestBody", {}).get("content", {})
        return content.get("application/json")

    @property
    def consumes(self) -> list[str]:
        """The media types of the body."""
        return list(self.spec.get("requestBody", {}).get("content", {}))

    def example(self, media_type: str = "") -> dict[str, JSON]:
        """What the document shows to be sent, in its first media type, as httpx takes it."""
        if not self.consumes:
            return {}
        media_type = media_type or self.consumes[0]
        described = self.spec["requestBody"]["content"][media_type]
        if media_type == "application/json":
            return {"json": described["example"]}
        return {"content": described["example"], "headers": {"Content-Type": media_type}}

    def url(self, **values: str) -> str:
        """The path with its parameters filled in."""
        return self.path.format(**{**SAMPLES, **values})


SAMPLES = {
    "sku": "P001",
    "code": "main",
    "location": "main",
    "key_id": "0",
    "operation_id": "0",
    "reservation_id": "0",
    "count_id": "0",
    "inbound_id": "0",
    "transfer_id": "0",
    "webhook_id": "0",
    "delivery_id": "1",
    "reference": "cart:8f2",
    "supplier": "acme",
}
"""What stands in a path unless a test says otherwise: what the demo has."""


def _document() -> JSON:
    app = Application(
        title="",
        version="",
        description="",
        tags=TAGS,
        metrics=Metrics(),
        traffic=Traffic(),
        limits=GateLimits(),
    )
    app.add(ROUTERS)
    app.describe_webhooks(webhook_descriptions())
    return app.openapi()


def _operations() -> Iterator[Operation]:
    for path, methods in DOCUMENT["paths"].items():
        for method in METHODS:
            if method in methods:
                yield Operation(method.upper(), path, methods[method])


DOCUMENT: JSON = _document()
OPERATIONS = tuple(_operations())


def operation(name: str) -> Operation:
    """The operation of an id."""
    (found,) = (one for one in OPERATIONS if one.id == name)
    return found


def resolved(schema: JSON) -> JSON:
    """A schema, or what its reference points to."""
    while "$ref" in schema:
        schema = DOCUMENT["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    return schema


def operation_of(method: str, path: str) -> Operation | None:
    """Which operation answers; a path without a parameter goes before one with."""
    method = "GET" if method == "HEAD" else method
    found = [one for one in OPERATIONS if one.method == method and _matches(one.path, path)]
    return min(found, key=lambda one: one.path.count("{"), default=None)


def check_answer(answer: httpx.Response) -> None:
    """Fail unless the status, the media type and the body of an answer are documented."""
    asked = answer.request
    found = operation_of(asked.method, asked.url.path)
    media_type = answer.headers.get("content-type", "")
    told = f"{asked.method} {asked.url.path} answered {answer.status_code} {media_type}"
    documented = found.spec["responses"].get(str(answer.status_code)) if found else None
    if documented is None:
        assert answer.status_code in ANYWHERE or found is None, f"{told}: not documented"
        if answer.status_code >= 400:
            _validate(PROBLEM_SCHEMA, answer, told)
        return
    content = documented.get("content", {})
    assert media_type.partition(";")[0] in content, f"{told}: documented is {sorted(content)}"
    if "json" in media_type and "ndjson" not in media_type:
        _validate(content[media_type.partition(";")[0]]["schema"], answer, told)


def _validate(schema: JSON, answer: httpx.Response, told: str) -> None:
    validator = jsonschema_rs.Draft202012Validator(
        {**schema, "components": _CLOSED}, validate_formats=True
    )
    errors = [
        f"{error.instance_path}: {error.message}" for error in validator.iter_errors(answer.json())
    ]
    assert not errors, f"{told}: {errors}"


def _matches(template: str, path: str) -> bool:
    pattern = re.sub(r"\\{\w+\\}", "[^/]+", re.escape(template))
    return re.fullmatch(pattern, path) is not None


def _closed(schema: JSON) -> JSON:
    """The schema, in which a member that is not documented is an error."""
    if isinstance(schema, list):
        return [_closed(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    parts = {name: _closed(part) for name, part in schema.items()}
    if "properties" in schema and "additionalProperties" not in schema:
        parts["additionalProperties"] = False
    return parts


PROBLEM_SCHEMA = {"$ref": "#/components/schemas/Problem"}
_CLOSED = _closed(DOCUMENT["components"])
