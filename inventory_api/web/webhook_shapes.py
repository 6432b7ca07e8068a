"""What is answered about webhooks, and what they are sent; for the schema only."""

from typing import Literal

from typing_extensions import TypedDict

from inventory_api.web.shapes import Balances, BalancesAfter, MovementShown


class WebhookAnswer(TypedDict):
    """A webhook without its secrets; filters that are null want everything."""

    id: str
    url: str
    description: str | None
    events: list[str] | None
    skus: list[str] | None
    locations: list[str] | None
    status: Literal["active", "disabled"]
    disabled_reason: Literal["asked", "gone", "failing"] | None
    disabled_at: str | None
    position: int
    attempts: int
    next_attempt_at: str | None
    failing_since: str | None
    old_secret_ends_at: str | None
    version: int
    created_at: str
    updated_at: str


class NewWebhookAnswer(WebhookAnswer):
    """A webhook with its secret, shown once."""

    secret: str | None


class WebhookList(TypedDict):
    """A page of webhooks."""

    items: list[WebhookAnswer]
    next_cursor: str | None


class DeliveryShown(TypedDict):
    """An event on its way to an endpoint, and how its last attempt ended."""

    id: str
    event_id: str
    type: str
    seq: int
    status: Literal["pending", "delivered", "failed"]
    attempts: int
    last_status_code: int | None
    last_error: str | None
    duration_ms: int
    next_attempt_at: str | None
    created_at: str
    updated_at: str


class DeliveryList(TypedDict):
    """A page of deliveries, the newest first."""

    items: list[DeliveryShown]
    next_cursor: str | None


class AttemptAnswer(TypedDict):
    """How an attempt ended."""

    event_id: str
    delivered: bool
    status_code: int | None
    error: str | None
    duration_ms: int


class LevelEventData(TypedDict):
    """A movement, as the ledger shows it, and the balances before it."""

    movement: MovementShown
    before: Balances


class LevelEvent(TypedDict):
    """What happened to a level."""

    id: str
    type: str
    timestamp: str
    data: LevelEventData


class EventLine(TypedDict):
    """One movement of an operation."""

    seq: int
    type: str
    sku: str
    location: str
    level_version: int
    delta: Balances
    after: BalancesAfter
    oversold_by: int


class DocumentEventData(TypedDict):
    """An operation and the first hundred of its movements; `line_count` counts all."""

    operation_id: str
    reason: str
    reference: str | None
    note: str | None
    actor: str
    reservation_id: str | None
    occurred_at: str
    recorded_at: str
    first_seq: int
    last_seq: int
    line_count: int
    lines: list[EventLine]


class DocumentEvent(TypedDict):
    """What happened to a reservation, a transfer or a count."""

    id: str
    type: str
    timestamp: str
    data: DocumentEventData


class TestEventData(TypedDict):
    """Which webhook is tested."""

    webhook_id: str


class TestEvent(TypedDict):
    """Nothing has happened."""

    id: str
    type: str
    timestamp: str
    data: TestEventData
