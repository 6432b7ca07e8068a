"""Guards that only the connection itself can keep: slow clients, endless heads, too many peers.

The server's own limits come first and answer in plain text, or not at all; here they are problem
details like every other refusal. What reaches the application is counted by the gate instead.
"""

import asyncio
import secrets
from dataclasses import dataclass
from enum import Enum
from typing import Any, ClassVar, cast

from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol
from uvicorn.server import ServerState

from inventory_api import telemetry
from inventory_api.domain.unavailable import Overloaded
from inventory_api.web.middleware import CLOSE, SECURITY_HEADERS
from inventory_api.web.problem_kinds import HTTPCode
from inventory_api.web.problems import Problem, from_unavailable, problem_reply
from inventory_api.web.reply import Reply

# The parser that the server uses keeps offsets within a URL in 16 bits.
PARSED_URL_BYTES_MAX = 0xFFFF
# Closing at once would reset the connection under a client that still sends, and with it the
# answer that tells what is wrong.
LINGER_S = 1.0

log = telemetry.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """What a connection may cost.

    Attributes:
        head_bytes_max: of an unfinished head; a finished one is measured by the gate.
        body_s: for a whole body; for a streamed one the longest pause.
    """

    connections_max: int = 2_000
    head_bytes_max: int = 24 << 10
    head_s: float = 10.0
    body_s: float = 30.0


class _Awaited(Enum):
    """What the client still has to send."""

    HEAD = "head"
    BODY = "body"
    NOTHING = "nothing"


class _AnswerTransport:
    """The part of a transport that an answer needs, whose close waits for the request's end."""

    def __init__(self, protocol: "GuardedProtocol") -> None:
        self._protocol = protocol
        self.write = protocol.transport.write
        self.is_closing = protocol.transport.is_closing

    def close(self) -> None:
        self._protocol.close_gently()


class GuardedProtocol(HttpToolsProtocol):
    """One connection under `limits`."""

    limits: ClassVar[ConnectionLimits] = ConnectionLimits()

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],  # Any: as uvicorn declares it
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._awaited = _Awaited.HEAD
        self._since = self.loop.time()
        self._head_bytes = 0
        self._body_bytes = 0
        self._body_bytes_seen = 0
        self._began_now = False
        self._refused = False
        self._closes_after_body = False
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._answer_transport = _AnswerTransport(self)
        if len(self.connections) > self.limits.connections_max:
            self._refuse(from_unavailable(Overloaded()))
            return
        self._timer = self.loop.call_later(self.limits.head_s, self._check_pace)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._refused:
            return
        super().data_received(data)
        if self._awaited is not _Awaited.HEAD:
            return
        if not self._began_now:
            self._head_bytes += len(data)
        self._began_now = False
        if self._head_bytes > self.limits.head_bytes_max:
            self._refuse(self._endless_head())

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._awaited = _Awaited.HEAD
        self._since = self.loop.time()
        self._began_now = True
        self._head_bytes = 0

    def on_headers_complete(self) -> None:
        if len(self.url) > PARSED_URL_BYTES_MAX:
            self._refuse(Problem(HTTPCode.URL_TOO_LONG))
            return
        if self.transport.is_closing():
            return
        self._awaited = _Awaited.BODY
        self._since = self.loop.time()
        self._body_bytes = self._body_bytes_seen = 0
        super().on_headers_complete()
        # A cast: it has the three methods that an answer calls.
        self.cycle.transport = cast(asyncio.Transport, self._answer_transport)

    def on_body(self, body: bytes) -> None:
        if self._refused:
            return
        self._body_bytes += len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        if self._refused:
            return
        self._awaited = _Awaited.NOTHING
        super().on_message_complete()
        if self._closes_after_body:
            self.transport.close()

    def close_gently(self) -> None:
        """Closes now, or, if the client still sends a body, only our direction until it has.

        Closing both would reset the connection, and the client would lose the answer. The
        server's keep-alive timer and the limit on the body bound the wait.
        """
        if self._awaited is not _Awaited.BODY or self.transport.is_closing():
            self.transport.close()
            return
        self._closes_after_body = True
        self._end_writing()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 -- the parser's words stay inside
        self._refuse(Problem(HTTPCode.MALFORMED_REQUEST))

    def _unsupported_upgrade_warning(self) -> None:
        """Nothing: a client may ask for WebSocket or HTTP/2 and is simply answered in HTTP/1.1."""

    def _endless_head(self) -> Problem:
        in_url = not self.headers and len(self.url) > self.limits.head_bytes_max // 2
        return Problem(HTTPCode.URL_TOO_LONG if in_url else HTTPCode.HEADERS_TOO_LARGE)

    def _check_pace(self) -> None:
        now = self.loop.time()
        limits = self.limits
        if self._awaited is _Awaited.NOTHING or self._is_excused():
            self._since = now
        pause = limits.body_s if self._awaited is _Awaited.BODY else limits.head_s
        if now >= self._since + pause:
            self._give_up()
            return
        # A timer per connection, not per request: it looks often enough for the shorter limit.
        next_look = min(self._since + pause, now + limits.head_s)
        self._timer = self.loop.call_at(next_look, self._check_pace)

    def _is_excused(self) -> bool:
        """Whether the pause is ours, or the body is a stream that still moves."""
        if self._awaited is not _Awaited.BODY:
            return False
        moved = self._body_bytes != self._body_bytes_seen
        self._body_bytes_seen = self._body_bytes
        return self.flow.read_paused or (moved and bool(self.scope.get("edge.streamed")))

    def _give_up(self) -> None:
        said_nothing = self.scope is None
        answered_early = self._awaited is _Awaited.BODY and self.cycle.response_started
        if said_nothing or answered_early:
            self.transport.close()
            return
        self._refuse(Problem(HTTPCode.REQUEST_TIMEOUT))

    def _refuse(self, problem: Problem) -> None:
        if self._refused:
            return
        self._refused = True
        cycle = self.cycle
        # uvicorn: None before the first request, whatever the annotation says.
        if cycle is not None and not cycle.response_complete:  # type: ignore[redundant-expr]
            if self._awaited is not _Awaited.BODY or self.pipeline or cycle.response_started:
                # An earlier request of this connection is being answered: let it be the last.
                cycle.keep_alive = False
                return
            cycle.disconnected = True
            cycle.message_event.set()
        request_id = secrets.token_hex(8)
        client = self.client[0] if self.client else None
        log.info("connection refused", code=problem.code, peer=client, request_id=request_id)
        self._send_last(problem_reply(problem, request_id=request_id, language="en"), request_id)

    def _send_last(self, reply: Reply, request_id: str) -> None:
        headers = [
            *self.server_state.default_headers,
            *reply.raw_headers,
            *SECURITY_HEADERS,
            (b"x-request-id", request_id.encode()),
            CLOSE,
        ]
        lines = [name + b": " + value + b"\r\n" for name, value in headers]
        head = STATUS_LINE[reply.status_code] + b"".join(lines)
        self.transport.write(head + b"\r\n" + bytes(reply.body))
        self._end_writing()
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self.loop.call_later(LINGER_S, self.transport.close)

    def _end_writing(self) -> None:
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self.flow.resume_reading()


def guarded(limits: ConnectionLimits) -> type[GuardedProtocol]:
    """The protocol class for `uvicorn.Config(http=…)`, which makes its own instances."""
    return type("LimitedProtocol", (GuardedProtocol,), {"limits": limits})
