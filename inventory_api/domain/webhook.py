"""Webhooks: where events go, which of them, how far each endpoint has got, and what comes next."""

from typing import NamedTuple

from inventory_api.domain.events import EVENT_TYPES, Event, Position
from inventory_api.domain.types import Instant

# What says by itself that nobody wants it any more.
GONE = 410
SECRETS_BEFORE_MAX = 4


class Webhook(NamedTuple):
    """A row of the webhook table, in the order of its columns.

    `events`, `skus` and `locations` are None for all. Everything up to the position `cursor_seq`,
    `cursor_rank` was delivered or is not wanted; `attempts` were made in vain for what comes next,
    since `failing_since`, and the next one is made at `next_attempt_at`, None: at once.
    `deliveries` numbers them. `epoch` counts how often the position was set by somebody: who
    writes it as of another epoch knows an old one. `version` counts changes of all else.
    """

    id: str
    url: str
    description: str | None
    events: frozenset[str] | None
    skus: frozenset[str] | None
    locations: frozenset[str] | None
    status: str
    disabled_reason: str | None
    disabled_at: Instant | None
    secret: str
    secret_before: str | None
    secret_before_ends_at: Instant | None
    cursor_seq: int
    cursor_rank: int
    attempts: int
    next_attempt_at: Instant | None
    failing_since: Instant | None
    deliveries: int
    epoch: int
    version: int
    created_at: Instant
    updated_at: Instant

    @property
    def position(self) -> Position:
        """How far it has got."""
        return Position(self.cursor_seq, self.cursor_rank)

    @property
    def is_active(self) -> bool:
        return self.status == "active"

    @property
    def types(self) -> frozenset[str]:
        """The types of events that it wants."""
        return _ALL_TYPES if self.events is None else self.events

    def touches(self, sku: str, location: str) -> bool:
        """Whether it wants to hear of a level."""
        return (self.skus is None or sku in self.skus) and (
            self.locations is None or location in self.locations
        )

    @property
    def wants_every_level(self) -> bool:
        """Whether it filters by the types of events only."""
        return self.skus is None and self.locations is None

    def secrets_at(self, now: Instant) -> tuple[str, ...]:
        """What signs now: the secret, and for a while those before it."""
        ends_at = self.secret_before_ends_at
        if self.secret_before is None or ends_at is None or ends_at <= now:
            return (self.secret,)
        return (self.secret, *self.secret_before.split())

    def secrets_before(self, now: Instant) -> str:
        """What still signs when the secret is replaced now, the newest first.

        Who rotates again within the overlap, since an answer was lost, must not stop the secret that
        the receivers still have.
        """
        return " ".join(self.secrets_at(now)[:SECRETS_BEFORE_MAX])

    def with_progress_of(self, other: "Webhook") -> "Webhook":
        """The same endpoint, as far as another state of it has got."""
        return self._replace(**{name: getattr(other, name) for name in PROGRESS})

    def moved_to(self, position: Position) -> "Webhook":
        """As it is when all up to a position is done: what failed on the way there is over."""
        return self._replace(
            cursor_seq=position.seq,
            cursor_rank=position.rank,
            attempts=0,
            next_attempt_at=None,
            failing_since=None,
        )


PROGRESS = (
    "status",
    "disabled_reason",
    "disabled_at",
    "cursor_seq",
    "cursor_rank",
    "attempts",
    "next_attempt_at",
    "failing_since",
    "deliveries",
)
"""What delivering changes, in the order of the columns; all else is changed by people."""
_ALL_TYPES = frozenset(EVENT_TYPES)


class Delivery(NamedTuple):
    """One event on its way to an endpoint, in the order of the table's columns.

    `status` is pending, delivered, or failed: the endpoint was disabled by its last attempt.
    `code` is the last reply's, None if there was none, and `error` says then why.
    """

    webhook_id: str
    number: int
    event_id: str
    type: str
    seq: int
    status: str
    attempts: int
    code: int | None
    error: str | None
    duration_ms: int
    next_attempt_at: Instant | None
    created_at: Instant
    updated_at: Instant


class Attempted(NamedTuple):
    """What came of one attempt.

    Attributes:
        code: the reply's status, None if there was no reply.
        error: the word for why there was none.
        retry_after_s: seconds that the receiver asks to wait.
        was_sent: False: our own limits stood before it, and the receiver saw nothing.
    """

    code: int | None
    error: str | None
    duration_ms: int
    retry_after_s: float | None = None
    was_sent: bool = True

    @property
    def is_success(self) -> bool:
        """Only 2xx is: a redirect is not followed, so nobody got the event."""
        return self.code is not None and 200 <= self.code < 300


def after_attempt(
    webhook: Webhook,
    event: Event,
    made: Attempted,
    *,
    now: Instant,
    pause_us: int,
    give_up_us: int,
    began_at: Instant | None = None,
) -> tuple[Webhook, Delivery]:
    """The endpoint and the delivery after an attempt.

    If it failed, the next one is made after `pause_us`, unless the endpoint fails for `give_up_us`:
    then it is disabled. `began_at` is when the first attempt for this event was made; None: now.
    """
    webhook = webhook._replace(attempts=webhook.attempts + 1)
    if webhook.attempts == 1:
        webhook = webhook._replace(deliveries=webhook.deliveries + 1)
    attempts = webhook.attempts
    if made.is_success:
        status = "delivered"
        webhook = webhook.moved_to(event.position)
    else:
        webhook = _failed(webhook, made, now, pause_us, give_up_us)
        status = "pending" if webhook.is_active else "failed"
    delivery = Delivery(
        webhook.id,
        webhook.deliveries,
        event.id,
        event.type,
        event.seq,
        status,
        attempts,
        made.code,
        made.error,
        made.duration_ms,
        webhook.next_attempt_at,
        now if began_at is None else began_at,
        now,
    )
    return webhook, delivery


def _failed(
    webhook: Webhook, made: Attempted, now: Instant, pause_us: int, give_up_us: int
) -> Webhook:
    since = now if webhook.failing_since is None else webhook.failing_since
    if made.code == GONE:
        reason = "gone"
    elif now - since >= give_up_us:
        reason = "failing"
    else:
        later = Instant(now + pause_us)
        return webhook._replace(failing_since=since, next_attempt_at=later)
    return webhook._replace(
        failing_since=since,
        next_attempt_at=None,
        status="disabled",
        disabled_reason=reason,
        disabled_at=now,
    )
