"""One attempt to deliver an event to a webhook: signed, sent once, and judged by its status."""

import base64
import hashlib
import hmac
import secrets
import time
from collections.abc import Iterable, Mapping

import orjson
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from inventory_api.domain.types import Instant
from inventory_api.domain.webhook import Attempted, Webhook
from inventory_api.outbound.client import Outbound
from inventory_api.outbound.errors import BreakerOpen, Busy, OutboundError
from inventory_api.outbound.messages import OutboundRequest

# Standard Webhooks asks for 24 to 64.
SECRET_BYTES = 32
SECRET_PREFIX = "whsec_"  # noqa: S105 - how a secret begins


# From a receiver next door to the end of a weekend.
LAG_SECONDS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0, 600.0, 3_600.0, 86_400.0)


class WebhookMeter:
    """What is counted of deliveries: of all webhooks together, since there may be any number."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._lag = Histogram(
            "inventory_webhook_lag_seconds",
            "Time from a movement's record until a receiver has taken its event",
            buckets=LAG_SECONDS,
            registry=registry,
        )
        self._delivered = Counter(
            "inventory_webhook_delivered", "Events that receivers have taken", registry=registry
        )
        self._failed = Counter(
            "inventory_webhook_failed",
            "Attempts to deliver an event that failed, by status or error",
            ("outcome",),
            registry=registry,
        )
        self._disabled = Counter(
            "inventory_webhook_disabled", "Webhooks that were given up", registry=registry
        )
        self.failing = Gauge(
            "inventory_webhooks_failing", "Webhooks whose next event failed", registry=registry
        )

    def delivered(self, lag_s: float) -> None:
        """Counts an event that a receiver has taken."""
        self._delivered.inc()
        self._lag.observe(lag_s)

    def failed(self, outcome: str) -> None:
        """Counts an attempt that failed."""
        self._failed.labels(outcome).inc()

    def disabled(self) -> None:
        """Counts a webhook that was given up."""
        self._disabled.inc()


def new_secret() -> str:
    """256 random bits, as Standard Webhooks writes them."""
    return SECRET_PREFIX + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()


def signature(secret: str, event_id: str, timestamp_s: int, body: bytes) -> str:
    """What proves that an event is ours and whole, at that time."""
    key = base64.b64decode(secret.removeprefix(SECRET_PREFIX))
    content = f"{event_id}.{timestamp_s}.".encode() + body
    digest = hmac.new(key, content, hashlib.sha256).digest()
    return f"v1,{base64.b64encode(digest).decode()}"


def headers_of(
    signed_by: Iterable[str], event_id: str, timestamp_s: int, body: bytes
) -> dict[str, str]:
    """The headers of Standard Webhooks, with a signature of each secret."""
    signatures = [signature(secret, event_id, timestamp_s, body) for secret in signed_by]
    return {
        "content-type": "application/json",
        "webhook-id": event_id,
        "webhook-timestamp": str(timestamp_s),
        "webhook-signature": " ".join(signatures),
    }


async def attempt(
    outbound: Outbound,
    webhook: Webhook,
    event_id: str,
    content: Mapping[str, object],
    *,
    now: Instant,
    deadline_s: float,
) -> Attempted:
    """Send an event once. The schedule of further attempts is the caller's.

    Of the reply only the status counts: as much of its body is read as the connection needs to be
    used again.
    """
    body = orjson.dumps(content)
    request = OutboundRequest(
        "POST",
        webhook.url,
        "webhook",
        headers=headers_of(webhook.secrets_at(now), event_id, now // 1_000_000, body),
        body=body,
        owner=webhook.id,
        retries=0,
        deadline_s=deadline_s,
        # A receiver may think for as long as it has.
        read_timeout_s=deadline_s,
        only_status=True,
    )
    started = time.perf_counter()
    try:
        reply = await outbound.send(request)
    except OutboundError as error:
        was_sent = not isinstance(error, (Busy, BreakerOpen))
        return Attempted(None, error.code, _ms_since(started), error.retry_after_s, was_sent)
    return Attempted(reply.status, None, _ms_since(started), reply.retry_after_s)


def _ms_since(started: float) -> int:
    return round((time.perf_counter() - started) * 1_000)
