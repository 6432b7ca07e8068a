"""What is counted of the calls to other servers: by purpose, never by host."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

# From a server next door to the longest deadline of an attempt.
SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0)


class Meter:
    """The numbers of one client."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._attempts = Counter(
            "inventory_outbound_attempts",
            "Attempts to call another server, by what came of them",
            ("purpose", "outcome"),
            registry=registry,
        )
        self._seconds = Histogram(
            "inventory_outbound_seconds",
            "Time of an attempt, without the wait for its turn",
            ("purpose",),
            buckets=SECONDS,
            registry=registry,
        )
        self._in_flight = Gauge(
            "inventory_outbound_in_flight", "Attempts under way", ("purpose",), registry=registry
        )
        self._retries = Counter(
            "inventory_outbound_retries", "Attempts made again", ("purpose",), registry=registry
        )
        self._opened = Counter(
            "inventory_outbound_breaker_opened",
            "Times that a host was given up for a while",
            ("purpose",),
            registry=registry,
        )

    def attempt(self, purpose: str, outcome: str) -> None:
        """Counts one attempt by a class of statuses, or by the code of an error."""
        self._attempts.labels(purpose, outcome).inc()

    def retry(self, purpose: str) -> None:
        """Counts one attempt that is made again."""
        self._retries.labels(purpose).inc()

    def opened(self, purpose: str) -> None:
        """Counts one host that is given up for a while."""
        self._opened.labels(purpose).inc()

    @contextmanager
    def under_way(self, purpose: str) -> Iterator[None]:
        """Measures one attempt."""
        started_s = time.perf_counter()
        in_flight = self._in_flight.labels(purpose)
        in_flight.inc()
        try:
            yield
        finally:
            in_flight.dec()
            self._seconds.labels(purpose).observe(time.perf_counter() - started_s)
