"""One request as an endpoint sees it: who asks, under which conditions, with which body."""

import ipaddress
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Literal

from starlette.requests import ClientDisconnect, Request
from starlette.types import Receive, Scope, Send

from inventory_api.domain.principal import Principal
from inventory_api.telemetry import Metrics
from inventory_api.web.problem_kinds import HTTPCode
from inventory_api.web.problems import Language, Problem, invalid, language_of, unauthorized
from inventory_api.web.streams import OpenStreams

AccessScope = Literal["read", "write", "admin"]
Fields = Mapping[bytes, bytes]
KEY_LENGTH_MAX = 255

_VISIBLE = re.compile(rb"[!-~]+")
_ENTITY_TAGS = re.compile(rb'(?:W/)?"[!#-~]*"(?:[ \t]*,[ \t]*(?:W/)?"[!#-~]*")*')
_ENTITY_TAG = re.compile(rb'(W/)?"([!#-~]*)"')


Authenticate = Callable[[bytes | None, str], Principal | Awaitable[Principal]]
"""Tells who owns a credential (None: there was none) sent from a client's address.

Answers at once while the key is in memory. Raises `Problem`: unauthorized or rate_limited.
"""


async def _nobody(_: bytes | None) -> None:
    """Owns no credential."""


@dataclass(frozen=True, slots=True)
class Edge:
    """What the routes get from the composition root.

    Attributes:
        owner: who acts with a credential now, while a stream goes on; asking counts nowhere.
        open_to_any_name: whether a request without a key is answered under any Host. A page in a
            browser can give its own name the address 127.0.0.1 and read the answers; such a name
            is one of the public DNS.
    """

    service: Any  # Any: handed through; only the routes know what it is
    authenticate: Authenticate
    metrics: Metrics
    owner: Callable[[bytes | None], Awaitable[Principal | None]] = _nobody
    key_required: bool = False
    body_bytes_max: int = 1 << 20
    batch_bytes_max: int = 8 << 20
    open_to_any_name: bool = False
    is_draining: Callable[[], bool] = bool
    streams: OpenStreams = field(default_factory=OpenStreams)


class Call(Request):
    """One request that was let in.

    Attributes:
        service: what the composition root put in `Edge.service`.
        fields: the header by lower-case name; a name that must not be repeated is not.
        key: the Idempotency-Key of a write.
        if_match: the entity tags that If-Match accepts, without quotes; None accepts all.
    """

    principal: Principal
    key: str | None = None
    if_match: frozenset[str] | None = None

    def __init__(self, scope: Scope, receive: Receive, send: Send, edge: Edge) -> None:
        super().__init__(scope, receive, send)
        self.edge = edge
        self.service = edge.service
        self.fields: Fields = scope["edge.fields"]

    @property
    def request_id(self) -> str:
        request_id: str = self.scope["edge.request_id"]
        return request_id

    @property
    def language(self) -> Language:
        return language_of(self.fields.get(b"accept-language", b""))

    @property
    def peer(self) -> str:
        """The client's address, without the port."""
        client = self.scope.get("client")
        return client[0] if client else ""

    async def whole_body(self, limit: int) -> bytes:
        """The body, refused as soon as it is known to be longer than `limit` bytes."""
        if int(self.fields.get(b"content-length", b"0")) > limit:
            raise _too_large(limit)
        body = bytearray()
        # Nothing is decided yet: a client that sends half of it must not keep a process alive.
        with self.edge.streams.cuttable():
            while True:
                message = await self.receive()
                if message["type"] == "http.disconnect":
                    raise ClientDisconnect
                body += message.get("body", b"")
                if len(body) > limit:
                    raise _too_large(limit)
                if not message.get("more_body", False):
                    return bytes(body)


def credential(fields: Fields) -> bytes | None:
    """The API key that was sent, by whichever of the two headers, but not by both."""
    authorization = fields.get(b"authorization")
    api_key = fields.get(b"x-api-key")
    if authorization is None:
        return api_key
    scheme, _, token = authorization.partition(b" ")
    if api_key is not None or scheme.lower() != b"bearer":
        raise unauthorized()
    return token.strip()


def host_name(fields: Fields) -> bytes:
    """The Host header's name in lower case, without the port."""
    host = fields.get(b"host", b"")
    if host.startswith(b"["):
        return host.partition(b"]")[0].lower() + b"]"
    return host.partition(b":")[0].lower()


# A service is called by few names, and by all requests.
@lru_cache(maxsize=256)
def is_public_name(host: bytes) -> bool:
    """Whether a host is a name that anybody may own: it has a dot and is no address."""
    try:
        ipaddress.ip_address(host.decode("ascii", "replace").strip("[]"))
    except ValueError:
        return b"." in host.rstrip(b".") and not host.endswith(b".localhost")
    return False


def idempotency_key(fields: Fields) -> str | None:
    """The Idempotency-Key: 1 to 255 visible ASCII characters."""
    key = fields.get(b"idempotency-key")
    if key is None:
        return None
    if len(key) > KEY_LENGTH_MAX or not _VISIBLE.fullmatch(key):
        raise invalid(
            "Idempotency-Key",
            f"must be 1 to {KEY_LENGTH_MAX} visible ASCII characters",
            f"必须是 1 到 {KEY_LENGTH_MAX} 个可见 ASCII 字符",
        )
    return key.decode("ascii")


def if_match(fields: Fields) -> frozenset[str] | None:
    """The strong entity tags of If-Match; weak ones match nothing, as RFC 9110 has it."""
    value = fields.get(b"if-match")
    if value is None or value == b"*":
        return None
    if not _ENTITY_TAGS.fullmatch(value):
        raise invalid(
            "If-Match", 'must be * or entity tags such as "3"', '必须是 * 或形如 "3" 的标签'
        )
    tags = _ENTITY_TAG.findall(value)
    return frozenset(tag.decode("ascii") for weak, tag in tags if not weak)


def _too_large(limit: int) -> Problem:
    return Problem(HTTPCode.BODY_TOO_LARGE, {"limit_bytes": limit})
