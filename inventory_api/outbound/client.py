"""The one client: every call to another server goes through here, within its limits."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpcore
from prometheus_client import CollectorRegistry

from inventory_api.outbound.errors import BadReply, OutboundError, TooSlow, Unreachable
from inventory_api.outbound.hosts import Host, Hosts, Key
from inventory_api.outbound.limits import OutboundLimits, Pace
from inventory_api.outbound.messages import OutboundReply, OutboundRequest
from inventory_api.outbound.meter import Meter
from inventory_api.outbound.network import PinnedBackend, Resolver, SystemResolver
from inventory_api.outbound.reply import OutboundStream, Patience
from inventory_api.outbound.retrying import FAILURES, WORTH_A_RETRY, Retries, retry_after_s
from inventory_api.outbound.targets import Policy, Target
from inventory_api.telemetry import get_logger

logger = get_logger(__name__)

USER_AGENT = "inventory-api"


class Outbound:
    """Calls other servers; follows no redirect, keeps no cookie, and reads no environment.

    It opens nothing before the first call. Left, it closes every connection.

    Args:
        resolver: left out: the system's.
        ca_file: certificates that are trusted besides the usual ones.
    """

    def __init__(
        self,
        policy: Policy,
        limits: OutboundLimits,
        *,
        registry: CollectorRegistry,
        resolver: Resolver | None = None,
        ca_file: Path | None = None,
        pace: Pace | None = None,
    ) -> None:
        self.policy = policy
        self._limits = limits
        self._pace = pace or Pace()
        self._meter = Meter(registry)
        self._ca_file = ca_file
        self._ssl_context: ssl.SSLContext | None = None
        self._system_resolver = SystemResolver()
        self._backend = PinnedBackend(
            policy,
            resolver or self._system_resolver,
            lookup_timeout_s=limits.lookup_timeout_s,
            age_max_s=limits.connection_age_max_s,
            ticks=self._pace.ticks,
        )
        self._hosts = Hosts(limits, self._pace, self._open_pool)

    async def __aenter__(self) -> "Outbound":
        """Load the operator's certificates now, so that a wrong file is known at the start."""
        if self._ca_file is not None:
            await self._load_certificates()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._hosts.close()
        self._system_resolver.close()

    async def send(self, request: OutboundRequest) -> OutboundReply:
        """The reply, whole, whatever its status; after the last retry also a 429 or a 503.

        Raises:
            OutboundError: there is none.
        """
        retries = self._retries(request)
        while True:
            try:
                async with self._attempt(request) as stream:
                    reply = await _read(stream, only_status=request.only_status)
                if not retries.allow(reply.status):
                    return reply
            except OutboundError as error:
                if not retries.allow(error):
                    raise
            await self._again(request, retries)

    @asynccontextmanager
    async def stream(self, request: OutboundRequest) -> AsyncIterator[OutboundStream]:
        """The reply with its body still to be read, piece by piece.

        Retries end with the reply's header: what has been given to the caller can't be taken back.

        Raises:
            OutboundError: there is no reply; later, from the stream, that its body is not whole.
        """
        retries = self._retries(request)
        is_given = False
        while True:
            try:
                async with self._attempt(request) as stream:
                    if not (stream.status in WORTH_A_RETRY and retries.allow(stream.status)):
                        is_given = True
                        yield stream
                        return
            except OutboundError as error:
                if is_given or not retries.allow(error):
                    raise
            await self._again(request, retries)

    async def tidy(self) -> None:
        """Close connections that nobody uses any more, every now and then, until cancelled."""
        while True:
            await self._pace.sleep(self._limits.keepalive_s)
            await self._hosts.close_idle(self._limits.keepalive_s)

    def _retries(self, request: OutboundRequest) -> Retries:
        asked = self._limits.retries if request.retries is None else request.retries
        return Retries(asked if request.is_idempotent else 0, self._limits, self._pace)

    async def _again(self, request: OutboundRequest, retries: Retries) -> None:
        self._meter.retry(request.purpose)
        await retries.pause()

    @asynccontextmanager
    async def _attempt(self, request: OutboundRequest) -> AsyncIterator[OutboundStream]:
        """One attempt, counted by what came of it."""
        try:
            target = self.policy.target(request.url)
            if target.scheme == "https" and self._ssl_context is None:
                await self._load_certificates()
            limits = request.limits or self._limits.host
            key = Key(request.purpose, target.scheme, target.host, target.port, limits)
            async with self._hosts.using(key) as host, self._turn(host, request):
                async with self._exchange(request, target, host) as stream:
                    yield stream
                    outcome = f"{stream.status // 100}xx"
                if stream.failure is not None and not request.only_status:
                    outcome = stream.failure.code
        except OutboundError as error:
            self._meter.attempt(request.purpose, error.code)
            raise
        except BaseException:
            self._meter.attempt(request.purpose, "abandoned")
            raise
        self._meter.attempt(request.purpose, outcome)

    @asynccontextmanager
    async def _turn(self, host: Host, request: OutboundRequest) -> AsyncIterator[None]:
        """A place among the attempts that the host can bear."""
        host.breaker(request.owner).check()
        await host.gate.enter()
        try:
            with self._meter.under_way(request.purpose):
                yield
        finally:
            host.gate.leave()

    @asynccontextmanager
    async def _exchange(
        self, request: OutboundRequest, target: Target, host: Host
    ) -> AsyncIterator[OutboundStream]:
        """Request and reply, and what the breaker learns from them."""
        # Asked again: it may have opened while this attempt waited for its turn.
        breaker = host.breaker(request.owner)
        is_probe = breaker.admit()
        with host.connection() as pool:
            try:
                patience = Patience(request.deadline_s or self._limits.deadline_s)
                message = self._message(request, target)
                response = await patience.wait(pool.handle_async_request(message))
            except (Unreachable, TooSlow, BadReply) as error:
                self._failed(host, request.owner, error.code)
                raise
            except BaseException:
                if is_probe:
                    breaker.abandoned()
                raise
            if is_probe and response.status not in FAILURES:
                # A long body is no reason to keep the others waiting.
                breaker.succeeded()
            stream = self._stream(request, host, response, patience)
            try:
                yield stream
            finally:
                self._learn(request, host, stream)
                await stream.aclose()

    def _stream(
        self,
        request: OutboundRequest,
        host: Host,
        response: httpcore.Response,
        patience: Patience,
    ) -> OutboundStream:
        limits = self._limits
        headers = _headers(response)
        wait_s = retry_after_s(headers, now_s=self._pace.wall(), max_s=limits.retry_after_max_s)
        if wait_s is not None and response.status in WORTH_A_RETRY and not request.owner:
            # For everybody who calls this host, not for this call only; an owner knows it now.
            host.gate.pause(wait_s)
        return OutboundStream(
            response,
            patience,
            bytes_max=request.body_bytes_max or limits.reply_bytes_max,
            headers=headers,
            retry_after_s=wait_s,
        )

    def _learn(self, request: OutboundRequest, host: Host, stream: OutboundStream) -> None:
        is_broken = isinstance(stream.failure, (Unreachable, TooSlow)) and not request.only_status
        if is_broken or stream.status in FAILURES:
            code = stream.failure.code if stream.failure else str(stream.status)
            self._failed(host, request.owner, code)
        else:
            host.breaker(request.owner).succeeded()

    def _failed(self, host: Host, owner: str, code: str) -> None:
        """Count a failure of the host. Paths and queries are not logged: they hold secrets."""
        facts = {"purpose": host.key.purpose, "host": host.key.host, "port": host.key.port}
        logger.info("outbound_failed", **facts, code=code)
        if host.breaker(owner).failed():
            self._meter.opened(host.key.purpose)
            logger.warning("outbound_breaker_opened", **facts, seconds=self._limits.breaker_open_s)

    def _message(self, request: OutboundRequest, target: Target) -> httpcore.Request:
        """The request in parts: nobody behind this parses the URL again."""
        limits = self._limits
        headers = {"host": target.authority, "accept-encoding": "identity"}
        if request.body or request.method in {"POST", "PUT", "PATCH"}:
            headers["content-length"] = str(len(request.body))
        given = {name.lower(): value for name, value in request.headers.items()}
        headers |= {"user-agent": USER_AGENT, "accept": "*/*"} | given
        return httpcore.Request(
            request.method,
            httpcore.URL(
                scheme=target.scheme.encode(),
                host=target.host.encode(),
                port=target.port,
                target=target.path.encode(),
            ),
            headers=[(name.encode(), value.encode()) for name, value in headers.items()],
            content=request.body,
            extensions={
                "timeout": {
                    "connect": limits.connect_timeout_s,
                    "write": limits.write_timeout_s,
                    "read": request.read_timeout_s or limits.read_timeout_s,
                    "pool": limits.connect_timeout_s,
                }
            },
        )

    async def _load_certificates(self) -> None:
        """In a thread: it takes fifty milliseconds. Two calls that do it at once do no harm."""
        self._ssl_context = await asyncio.to_thread(_trusting, self._ca_file)

    def _open_pool(self) -> httpcore.AsyncConnectionPool:
        return httpcore.AsyncConnectionPool(
            ssl_context=self._ssl_context,
            max_connections=1,
            keepalive_expiry=self._limits.keepalive_s,
            network_backend=self._backend,
        )


def _trusting(ca_file: Path | None) -> ssl.SSLContext:
    context = httpcore.default_ssl_context()
    if ca_file is not None:
        context.load_verify_locations(ca_file)
    return context


async def _read(stream: OutboundStream, *, only_status: bool) -> OutboundReply:
    body = bytearray()
    try:
        async for piece in stream:
            body += piece
    except OutboundError:
        if not only_status:
            raise
    is_cut = stream.failure is not None
    return OutboundReply(stream.status, stream.headers, bytes(body), stream.retry_after_s, is_cut)


def _headers(response: httpcore.Response) -> dict[str, str]:
    headers: dict[str, str] = {}
    for raw_name, raw_value in response.headers:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers
