"""What the service tells about itself: log lines, metrics and the time of operations."""

import asyncio
import functools
import logging
import re
import sys
import time
from collections.abc import Callable, Coroutine
from contextvars import ContextVar
from typing import Any, Concatenate, Literal, ParamSpec, Protocol, TypeVar

import structlog
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
)
from structlog.typing import EventDict, Processor

P = ParamSpec("P")
T = TypeVar("T")
Outcome = Literal["ok", "failed", "cancelled"]

request_id: ContextVar[str] = ContextVar("request_id", default="")
"""The id of the request that this task serves; empty outside of one."""

# From a cached read (50 µs) to a deadline (5 s).
SECONDS = (0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 3.0, 5.0)
COUNTS = (1, 2, 4, 8, 16, 32, 64, 128, 256)
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

# C0 and C1 controls, the two separators that some terminals and readers take for a line end, and
# surrogates, which no encoding can write.
_UNSAFE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_UNSAFE_IN_TRACEBACK = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


class Metrics:
    """The numbers of one application; several of them fit one process."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        self._requests = Counter(
            "inventory_requests", "Requests", ("method", "route", "status"), registry=registry
        )
        self._request_seconds = Histogram(
            "inventory_request_seconds",
            "Time from the request's header to the answer's end",
            ("method", "route"),
            buckets=SECONDS,
            registry=registry,
        )
        self._operation_seconds = Histogram(
            "inventory_operation_seconds",
            "Time of an operation inside the service",
            ("operation", "outcome"),
            buckets=SECONDS,
            registry=registry,
        )
        self._refusals = Counter(
            "inventory_refusals", "Changes refused by a rule", ("code",), registry=registry
        )
        self._unavailable = Counter(
            "inventory_unavailable", "Requests not served now", ("code",), registry=registry
        )
        self.supplier_runs = Counter(
            "inventory_supplier_runs", "Pulls of suppliers' lists", ("status",), registry=registry
        )
        self.batch_commands = Histogram(
            "inventory_batch_commands", "Changes per commit", buckets=COUNTS, registry=registry
        )
        self.commit_seconds = Histogram(
            "inventory_commit_seconds", "Time of a commit", buckets=SECONDS, registry=registry
        )
        self.batch_retries = Counter(
            "inventory_batch_retries",
            "Batches decided again because of other processes or a lost connection",
            ("code",),
            registry=registry,
        )
        self.queue_depth = Gauge(
            "inventory_queue_depth", "Changes waiting for the writer", registry=registry
        )
        self.shared_read_keys = Histogram(
            "inventory_shared_read_keys",
            "Single reads that shared a query",
            buckets=COUNTS,
            registry=registry,
        )
        self.feed_followers = Gauge(
            "inventory_feed_followers", "Readers of the feed that are up to date", registry=registry
        )
        self.feed_lag_seconds = Histogram(
            "inventory_feed_lag_seconds",
            "Time from a movement's record until it is handed to the readers of the feed",
            buckets=SECONDS,
            registry=registry,
        )
        self.feed_dropped = Counter(
            "inventory_feed_dropped", "Readers that left too much unread", registry=registry
        )
        # labels() costs 2 µs per call: its result is kept.
        self._request_children: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}
        self._operation_children: dict[tuple[str, Outcome], Histogram] = {}

    def request(self, *, method: str, route: str, status: int, seconds: float) -> None:
        """Counts one answered request under its route's template."""
        children = self._request_children.get((method, route, status))
        if children is None:
            children = self._new_request_children(method, route, status)
        counter, histogram = children
        counter.inc()
        histogram.observe(seconds)

    def operation(self, name: str, outcome: Outcome, seconds: float) -> None:
        """Records one finished operation."""
        child = self._operation_children.get((name, outcome))
        if child is None:
            child = self._operation_seconds.labels(name, outcome)
            self._operation_children[name, outcome] = child
        child.observe(seconds)

    def refusal(self, code: str) -> None:
        """Counts one refused change, or one refused line of a batch."""
        self._refusals.labels(code).inc()

    def unavailable(self, code: str) -> None:
        """Counts one request that could not be served now."""
        self._unavailable.labels(code).inc()

    def exposition(self) -> bytes:
        """Everything in the Prometheus text format."""
        return generate_latest(self.registry)

    def _new_request_children(
        self, method: str, route: str, status: int
    ) -> tuple[Counter, Histogram]:
        # Any token is a method: a counter per made-up method would fill the memory.
        known = method if method in METHODS else "other"
        children = (
            self._requests.labels(known, route, str(status)),
            self._request_seconds.labels(known, route),
        )
        if known == method:
            self._request_children[method, route, status] = children
        return children


class Measured(Protocol):
    """Something that counts what it does."""

    @property
    def metrics(self) -> Metrics: ...


S = TypeVar("S", bound=Measured)
# Any: a coroutine's two other parameters are nobody's business.
Method = Callable[Concatenate[S, P], Coroutine[Any, Any, T]]


def timed(operation: str) -> Callable[[Method[S, P, T]], Method[S, P, T]]:
    """A decorator that measures and logs each call of an async method of something `Measured`."""

    def decorate(method: Method[S, P, T]) -> Method[S, P, T]:
        @functools.wraps(method)
        async def measured(self: S, /, *args: P.args, **kwargs: P.kwargs) -> T:
            started = time.perf_counter()
            try:
                result = await method(self, *args, **kwargs)
            except BaseException as error:
                _failed(self.metrics, operation, time.perf_counter() - started, error)
                raise
            seconds = time.perf_counter() - started
            self.metrics.operation(operation, "ok", seconds)
            if _stdlib.isEnabledFor(logging.DEBUG):
                log.debug("operation", operation=operation, outcome="ok", ms=_ms(seconds))
            return result

        return measured

    return decorate


def get_logger(name: str) -> structlog.stdlib.BoundLogger:
    """A logger that takes an event and its facts as keywords.

    It stands on the standard library's, so that a program that uses the service without
    `configure_logging` decides for itself what is shown.
    """
    logger: structlog.stdlib.BoundLogger = structlog.wrap_logger(
        logging.getLogger(name),
        processors=_TO_STDLIB,
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    return logger


def configure_logging(level: str, *, json: bool | None = None) -> None:
    """Sends every log line of the process to stderr, one event per line.

    Args:
        level: the least severe that is shown, as logging names it.
        json: JSON lines, or text in colour; None is JSON unless stderr is a terminal.
    """
    as_json = not sys.stderr.isatty() if json is None else json
    structlog.configure(
        processors=_TO_STDLIB,
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                *_renderers(as_json=as_json),
            ],
            foreign_pre_chain=_SHARED,
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    # Below that it logs the headers of replies.
    logging.getLogger("httpcore").setLevel(logging.WARNING)
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        logging.getLogger(name).handlers.clear()
        logging.getLogger(name).propagate = True


def _add_request_id(_: object, __: str, event: EventDict) -> EventDict:
    if current := request_id.get():
        event["request_id"] = current
    return event


def _escape(_: object, __: str, event: EventDict) -> EventDict:
    """Makes control characters visible, so that no value can forge a line or drive a terminal."""
    for name, value in event.items():
        if isinstance(value, str):
            unsafe = _UNSAFE_IN_TRACEBACK if name == "exception" else _UNSAFE
            event[name] = unsafe.sub(_visible, value)
    return event


def _visible(match: re.Match[str]) -> str:
    return match.group().encode("unicode_escape").decode("ascii")


def _renderers(*, as_json: bool) -> list[Processor]:
    if as_json:
        return [structlog.processors.JSONRenderer()]  # ASCII: nothing in it needs escaping
    plain_traceback = structlog.dev.plain_traceback
    return [_escape, structlog.dev.ConsoleRenderer(exception_formatter=plain_traceback)]


_SHARED: list[Processor] = [
    structlog.stdlib.add_logger_name,
    structlog.stdlib.add_log_level,
    structlog.stdlib.PositionalArgumentsFormatter(),
    structlog.processors.TimeStamper(fmt="iso", utc=True, key="timestamp"),
    _add_request_id,
]

_TO_STDLIB: list[Processor] = [
    structlog.stdlib.filter_by_level,
    *_SHARED,
    structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
]

_stdlib = logging.getLogger(__name__)
log = get_logger(__name__)


def _failed(metrics: Metrics, operation: str, seconds: float, error: BaseException) -> None:
    outcome: Outcome = "cancelled" if isinstance(error, asyncio.CancelledError) else "failed"
    metrics.operation(operation, outcome, seconds)
    log.warning(
        "operation",
        operation=operation,
        outcome=outcome,
        error=type(error).__name__,
        ms=_ms(seconds),
    )


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 3)
