"""Routes that declare who may call them, and run without FastAPI's dependency machinery.

FastAPI describes them in OpenAPI from their signature; a request takes the short way:
authenticate, read and check parameters and body, call the endpoint, send its answer.
"""

import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, Required, TypedDict, TypeVar, Unpack

from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute
from pydantic import TypeAdapter, ValidationError
from starlette.convertors import StringConvertor
from starlette.responses import Response
from starlette.routing import Match
from starlette.types import Receive, Scope, Send

from inventory_api.domain.principal import Principal
from inventory_api.web import description
from inventory_api.web.call import (
    AccessScope,
    Call,
    credential,
    host_name,
    idempotency_key,
    if_match,
    is_public_name,
)
from inventory_api.web.problem_kinds import HTTPCode
from inventory_api.web.problems import Problem, from_pydantic, invalid, problem_reply
from inventory_api.web.signature import Endpoint, Signature
from inventory_api.web.strict_json import MalformedJSON, parse

Needs = AccessScope | Literal["public"]
NEEDS = frozenset(("read", "write", "admin", "public"))
_CHARSET = re.compile(rb"charset\s*=\s*\"?([^\s;\"]*)")
E = TypeVar("E", bound=Endpoint)


class Declaration(TypedDict, total=False):
    """What a route says about itself besides its signature.

    Attributes:
        needs: the scope that a caller must have.
        answer: type of the answer's body; for the schema only.
        status: of the answer; for the schema only.
        also: types of the answers of other statuses that are not problems; for the schema only.
        errors: codes that this route can answer besides those that all like it can.
        example: of the body; it works against the demo.
        batch: whether the body may be as long as a batch.
        if_match: whether If-Match is obeyed; a write that does not obey it refuses it.
        consumes: media types of a body that the endpoint streams itself, without a limit, each
            with an example.
        produces: media types of an answer that is not JSON, maybe with an example each.
        headers: those of the request that this route reads besides; for the schema only.
        hidden: whether it is left out of the schema.
    """

    needs: Required[Needs]
    answer: Any  # Any: whatever FastAPI takes for a response model
    status: int
    also: Mapping[int, Any]  # Any: as `answer`
    errors: Sequence[str]
    example: object
    batch: bool
    if_match: bool
    consumes: Mapping[str, str]
    produces: Sequence[str] | Mapping[str, str]
    headers: Sequence[description.JSONObject]
    hidden: bool


class Router:
    """The routes of one resource, under one heading of the docs page."""

    def __init__(self, tag: str) -> None:
        self.tag = tag
        self.routes: list[Route] = []

    def get(self, path: str, **declared: Unpack[Declaration]) -> Callable[[E], E]:
        return self._adder("GET", path, declared)

    def post(self, path: str, **declared: Unpack[Declaration]) -> Callable[[E], E]:
        return self._adder("POST", path, declared)

    def put(self, path: str, **declared: Unpack[Declaration]) -> Callable[[E], E]:
        return self._adder("PUT", path, declared)

    def patch(self, path: str, **declared: Unpack[Declaration]) -> Callable[[E], E]:
        return self._adder("PATCH", path, declared)

    def delete(self, path: str, **declared: Unpack[Declaration]) -> Callable[[E], E]:
        return self._adder("DELETE", path, declared)

    def _adder(self, method: str, path: str, declared: Declaration) -> Callable[[E], E]:
        def add(endpoint: E) -> E:
            self.routes.append(
                Route(path, endpoint, method=method, tag=self.tag, declared=declared)
            )
            return endpoint

        return add


class Route(APIRoute):
    """One path and method: `async def endpoint(call, *path, query, body) -> Response | Problem`.

    Parameters are told apart by name and annotation: those of the path are strings,
    `Annotated[Model, Query()]` is the query string, and what is left is the body, a TypedDict or
    a model, checked strictly; it may be empty if the parameter has a default.
    """

    def __init__(
        self, path: str, endpoint: Endpoint, *, method: str, tag: str, declared: Declaration
    ) -> None:
        if declared.get("needs") not in NEEDS:
            raise ValueError(f"{method} {path} does not declare who may call it")
        self.needs = declared["needs"]
        self.writes = self.needs in ("write", "admin") and method != "GET"
        self._declared = declared
        self._signature = signature = Signature(path, endpoint)
        self._consumes = tuple(
            media_type.encode() for media_type in declared.get("consumes", ("application/json",))
        )
        summary, _, text = (inspect.getdoc(endpoint) or "").partition("\n")
        super().__init__(
            path,
            endpoint,
            methods=[method],
            tags=[tag],
            name=endpoint.__name__,
            operation_id=endpoint.__name__,
            summary=summary.rstrip("."),
            description=text.strip() or summary,
            response_model=declared.get("answer"),
            response_class=JSONResponse if "answer" in declared else Response,
            status_code=declared.get("status", 200),
            include_in_schema=not declared.get("hidden", False),
            dependencies=() if self.needs == "public" else description.SECURITY,
            responses=description.responses_for(self.codes(), declared.get("also", {})),
            openapi_extra=self._extra(),
        )
        self.accepted = frozenset((method, "HEAD") if method == "GET" else (method,))
        self._fixed_start = path.partition("{")[0]
        self._is_fixed = not signature.path
        assert all(isinstance(c, StringConvertor) for c in self.param_convertors.values()), path

    def codes(self) -> list[str]:
        """Every code that this route can answer."""
        return description.codes(
            self._declared.get("errors", ()),
            authenticated=self.needs != "public",
            writes=self.writes,
            body=self._signature.body is not None or "consumes" in self._declared,
        )

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        path: str = scope["path"]
        if scope["type"] != "http" or not path.startswith(self._fixed_start):
            return Match.NONE, {}
        values: dict[str, str] = {}
        if not self._is_fixed:
            match = self.path_regex.fullmatch(path)
            if match is None:
                return Match.NONE, {}
            values = match.groupdict()
        elif len(path) != len(self._fixed_start):
            return Match.NONE, {}
        found = {"endpoint": self.endpoint, "path_params": values, "route": self}
        return (Match.FULL if scope["method"] in self.accepted else Match.PARTIAL), found

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] not in self.accepted:
            raise _method_not_allowed(scope)
        call = Call(scope, receive, send, scope["app"].state.edge)
        answer = await self._answer(call)
        if isinstance(answer, Problem):
            answer = problem_reply(answer, request_id=call.request_id, language=call.language)
        await answer(scope, receive, send)

    async def _answer(self, call: Call) -> Response | Problem:
        if self.needs != "public":
            await self._admit(call, self.needs)
        if self.writes:
            self._read_conditions(call)
        signature = self._signature
        # Probes put what they like behind a public path.
        arguments = signature.from_url(call.scope) if self.needs != "public" else {}
        if "consumes" in self._declared:
            self._check_media_type(call)
            call.scope["edge.streamed"] = True
        elif signature.body is not None:
            arguments[signature.body_name] = await self._body(call, signature.body)
        endpoint: Endpoint = self.endpoint
        return await endpoint(call, **arguments)

    async def _admit(self, call: Call, needs: AccessScope) -> None:
        sent = credential(call.fields)
        found = call.edge.authenticate(sent, call.peer)
        principal = found if isinstance(found, Principal) else await found
        is_guarded = sent is None and not call.edge.open_to_any_name
        if is_guarded and is_public_name(host_name(call.fields)):
            raise Problem(HTTPCode.MISDIRECTED_REQUEST)
        call.principal = principal
        call.scope["edge.actor"] = principal.id
        if needs not in principal.scopes:
            raise Problem(HTTPCode.FORBIDDEN, {"needs": needs})

    def _read_conditions(self, call: Call) -> None:
        call.key = idempotency_key(call.fields)
        if call.key is None and call.edge.key_required:
            raise Problem(HTTPCode.IDEMPOTENCY_KEY_REQUIRED)
        call.if_match = if_match(call.fields)
        if call.if_match is not None and not self._declared.get("if_match", False):
            # Ignoring a condition would do what the caller asked not to do.
            raise invalid("If-Match", "is not supported here", "此处不支持")

    async def _body(self, call: Call, reader: TypeAdapter[Any]) -> object:
        edge = call.edge
        limit = edge.batch_bytes_max if self._declared.get("batch") else edge.body_bytes_max
        if self._signature.body_is_optional and _has_no_body(call):
            return None
        self._check_media_type(call)
        body = await call.whole_body(limit)
        try:
            return reader.validate_python(parse(body), strict=True, extra="forbid")
        except MalformedJSON as error:
            facts = {"reason": error.reason, "position": error.position, "field": error.field}
            raise Problem(HTTPCode.MALFORMED_JSON, facts) from error
        except ValidationError as error:
            raise from_pydantic(error) from error

    def _check_media_type(self, call: Call) -> None:
        content_type, _, parameters = call.fields.get(b"content-type", b"").lower().partition(b";")
        content_type = content_type.strip()
        encoding = call.fields.get(b"content-encoding", b"identity").strip().lower()
        charset = _CHARSET.search(parameters)
        is_utf8 = charset is None or charset[1] in (b"utf-8", b"utf8", b"us-ascii")
        if content_type not in self._consumes or encoding != b"identity" or not is_utf8:
            accepted = [media_type.decode() for media_type in self._consumes]
            raise Problem(
                HTTPCode.UNSUPPORTED_MEDIA_TYPE,
                {"accepted": accepted},
                headers=[(b"accept", ", ".join(accepted).encode())],
            )

    def _extra(self) -> description.JSONObject:
        headers = [*self._declared.get("headers", ())]
        if self.writes:
            headers.append(description.IDEMPOTENCY_KEY)
        if self._declared.get("if_match", False):
            headers.append(description.IF_MATCH)
        return description.operation(
            needs=self.needs,
            headers=headers,
            example=self._declared.get("example"),
            consumes=self._declared.get("consumes", {}),
            produces=self._declared.get("produces", ()),
            status=self._declared.get("status", 200),
        )


def _has_no_body(call: Call) -> bool:
    length = call.fields.get(b"content-length", b"0")
    return length == b"0" and b"transfer-encoding" not in call.fields


def _method_not_allowed(scope: Scope) -> Problem:
    allowed: set[str] = set()
    for route in scope["app"].router.routes:
        if isinstance(route, Route) and route.matches(scope)[0] is not Match.NONE:
            allowed |= route.accepted
    header = (b"allow", ", ".join(sorted(allowed)).encode())
    return Problem(HTTPCode.METHOD_NOT_ALLOWED, headers=[header])
