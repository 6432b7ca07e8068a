"""The gate that every request passes once: identity, limits, headers, counting, the last catch."""

import asyncio
import itertools
import logging
import re
import secrets
import time
from collections.abc import Awaitable, Collection
from dataclasses import dataclass

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from inventory_api import telemetry
from inventory_api.domain.unavailable import Draining, Unavailable
from inventory_api.web.call import Fields, host_name
from inventory_api.web.problem_kinds import HTTPCode
from inventory_api.web.problems import (
    Problem,
    from_unavailable,
    language_of,
    problem_reply,
)
from inventory_api.web.reply import RawHeader

SECURITY_HEADERS: tuple[RawHeader, ...] = (
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
)
CLOSE: RawHeader = (b"connection", b"close")
# Two readings of one of these would let a proxy and this service disagree about a request.
_ONCE = frozenset(
    (
        b"authorization",
        b"content-encoding",
        b"content-length",
        b"content-type",
        b"host",
        b"idempotency-key",
        b"if-match",
        b"last-event-id",
        b"transfer-encoding",
        b"x-api-key",
        b"x-request-id",
    )
)
_ANSWERED_WHILE_DRAINING = frozenset(("/livez", "/readyz", "/metrics"))
_REQUEST_ID = re.compile(rb"[!-~]{1,64}")
CLIENT_WENT_AWAY = 499

log = telemetry.get_logger(__name__)
_stdlib = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class GateLimits:
    """What a request's head may be; `allowed_hosts` with "*" allows every host."""

    url_bytes_max: int = 8 << 10
    header_bytes_max: int = 16 << 10
    allowed_hosts: Collection[str] = ("*",)


class Traffic:
    """The requests in flight, and whether new ones are still let in."""

    def __init__(self) -> None:
        self.draining = False
        self.in_flight = 0
        self._none_in_flight = asyncio.Event()
        self._none_in_flight.set()

    def enter(self) -> None:
        self.in_flight += 1
        if self.in_flight == 1:
            self._none_in_flight.clear()

    def leave(self) -> None:
        self.in_flight -= 1
        if self.in_flight == 0:
            self._none_in_flight.set()

    async def idle(self) -> None:
        """Returns when no request is in flight."""
        await self._none_in_flight.wait()


class Gate:
    """The only middleware. No exception leaves it: an answer that has begun is cut off instead."""

    def __init__(
        self, app: ASGIApp, *, metrics: telemetry.Metrics, traffic: Traffic, limits: GateLimits
    ) -> None:
        self.app = app
        self._metrics = metrics
        self._traffic = traffic
        self._limits = limits
        self._any_host = "*" in limits.allowed_hosts
        self._hosts = frozenset(host.lower().encode() for host in limits.allowed_hosts)
        # Unique over restarts by the random part, over requests by the number.
        self._id_start = secrets.token_hex(6)
        self._numbers = itertools.count(1)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started = time.perf_counter()
        fields: Fields = dict(scope["headers"])
        request_id = self._request_id(fields)
        scope["edge.fields"] = fields
        scope["edge.request_id"] = request_id
        token = telemetry.request_id.set(request_id)
        answer = _Answer(send, request_id)
        self._traffic.enter()
        try:
            self._check(scope, fields)
            await self.app(scope, receive, answer.send)
        except Exception as error:  # noqa: BLE001 -- one of the two boundaries where bugs end
            await self._fail(error, scope, receive, answer)
        finally:
            self._traffic.leave()
            self._record(scope, answer.status, time.perf_counter() - started)
            telemetry.request_id.reset(token)

    def _request_id(self, fields: Fields) -> str:
        given = fields.get(b"x-request-id")
        if given is not None and _REQUEST_ID.fullmatch(given):
            return given.decode("ascii")
        return f"{self._id_start}-{next(self._numbers):x}"

    def _check(self, scope: Scope, fields: Fields) -> None:
        headers = scope["headers"]
        limits = self._limits
        if len(scope["raw_path"]) + len(scope["query_string"]) > limits.url_bytes_max:
            raise Problem(HTTPCode.URL_TOO_LONG, {"limit_bytes": limits.url_bytes_max})
        if sum([len(name) + len(value) + 4 for name, value in headers]) > limits.header_bytes_max:
            raise Problem(HTTPCode.HEADERS_TOO_LARGE, {"limit_bytes": limits.header_bytes_max})
        if len(fields) != len(headers):
            _check_repetitions([name for name, _ in headers])
        if b"%2f" in scope["raw_path"].lower():
            # No name has a slash; decoded, this would be the path of another resource.
            raise Problem(HTTPCode.NOT_FOUND)
        host = fields.get(b"host")
        if host is None and scope["http_version"] != "1.0":
            raise Problem(HTTPCode.MALFORMED_REQUEST, {"missing": "Host"})
        if not self._any_host and host_name(fields) not in self._hosts:
            raise Problem(HTTPCode.MISDIRECTED_REQUEST)
        if self._traffic.draining and scope["path"] not in _ANSWERED_WHILE_DRAINING:
            raise Draining

    async def _fail(
        self, error: Exception, scope: Scope, receive: Receive, answer: "_Answer"
    ) -> None:
        if isinstance(error, ClientDisconnect):
            answer.status = answer.status or CLIENT_WENT_AWAY
            return
        problem = self._problem(error, scope)
        if answer.status:
            # Too late for another status: the server now breaks the connection, so that the
            # client sees that the answer is not whole.
            log.warning("answer cut off", code=problem.code)
            return
        fields: Fields = scope["edge.fields"]
        reply = problem_reply(
            problem,
            request_id=answer.request_id,
            language=language_of(fields.get(b"accept-language", b"")),
        )
        if b"expect" in fields or isinstance(error, Draining):
            # After an early answer to Expect nobody knows whether a body will follow.
            reply.raw_headers.append(CLOSE)
        await reply(scope, receive, answer.send)

    def _problem(self, error: Exception, scope: Scope) -> Problem:
        match error:
            case Problem():
                return error
            case Unavailable():
                self._metrics.unavailable(error.code)
                return from_unavailable(error)
            case HTTPException() if error.status_code < 500:
                return _from_starlette(error)
        log.error("unhandled exception", exc_info=error)
        safe = scope["method"] in ("GET", "HEAD")
        return Problem(HTTPCode.INTERNAL, applied="no" if safe else "unknown")

    def _record(self, scope: Scope, status: int, seconds: float) -> None:
        route = scope.get("route")
        template = route.path if route is not None else "unmatched"
        method = scope["method"]
        self._metrics.request(method=method, route=template, status=status, seconds=seconds)
        refused = status in (401, 403, 429)
        if not refused and not _stdlib.isEnabledFor(logging.DEBUG):
            return
        client = scope.get("client")
        log.log(
            logging.INFO if refused else logging.DEBUG,
            "request refused" if refused else "request",
            method=method,
            route=template,
            path=scope["raw_path"].decode("latin-1"),
            status=status,
            ms=round(seconds * 1000, 3),
            actor=scope.get("edge.actor"),
            peer=client[0] if client else None,
        )


class _Answer:
    """What is being sent, and with it the headers that every answer has."""

    __slots__ = ("_send", "request_id", "status")

    def __init__(self, send: Send, request_id: str) -> None:
        self._send = send
        self.request_id = request_id
        self.status = 0

    def send(self, message: Message) -> Awaitable[None]:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = [*message.get("headers", ()), (b"x-request-id", self.request_id.encode())]
            present = dict(headers)
            headers += [pair for pair in SECURITY_HEADERS if pair[0] not in present]
            message["headers"] = headers
        return self._send(message)


def _check_repetitions(names: list[bytes]) -> None:
    repeated = sorted(name for name in set(names) & _ONCE if names.count(name) > 1)
    if repeated:
        raise Problem(
            HTTPCode.MALFORMED_REQUEST, {"repeated": [name.decode("ascii") for name in repeated]}
        )


def _from_starlette(error: HTTPException) -> Problem:
    if error.status_code == 404:
        return Problem(HTTPCode.NOT_FOUND)
    if error.status_code == 405:
        allow = (error.headers or {}).get("Allow", "GET, HEAD")
        return Problem(HTTPCode.METHOD_NOT_ALLOWED, headers=[(b"allow", allow.encode())])
    return Problem(HTTPCode.MALFORMED_REQUEST, status=error.status_code)
