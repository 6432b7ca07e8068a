"""Webhooks and what was delivered to them last."""

from sqlalchemy import CheckConstraint, ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from inventory_api.store.columns import CLUSTERED, STRICT, Table, table


class WebhookRow(Table):
    """An endpoint and how far it has got; lists are JSON, NULL is all.

    The secrets are kept as they are: who signs has to know them.
    """

    __tablename__ = "webhook"
    id: Mapped[str] = mapped_column(primary_key=True)
    url: Mapped[str]
    description: Mapped[str | None]
    events: Mapped[str | None]
    skus: Mapped[str | None]
    locations: Mapped[str | None]
    status: Mapped[str]
    disabled_reason: Mapped[str | None]
    disabled_at: Mapped[int | None]
    secret: Mapped[str]
    secret_before: Mapped[str | None]
    secret_before_ends_at: Mapped[int | None]
    cursor_seq: Mapped[int]
    cursor_rank: Mapped[int]
    attempts: Mapped[int]
    next_attempt_at: Mapped[int | None]
    failing_since: Mapped[int | None]
    deliveries: Mapped[int]
    epoch: Mapped[int]
    version: Mapped[int]
    created_at: Mapped[int]
    updated_at: Mapped[int]
    __table_args__ = (
        CheckConstraint("status IN ('active', 'disabled')", "status"),
        CheckConstraint("(status = 'disabled') = (disabled_at IS NOT NULL)", "disabled_at"),
        CheckConstraint("cursor_seq >= 0 AND cursor_rank >= 0", "cursor"),
        CheckConstraint("attempts >= 0 AND deliveries >= 0", "counts"),
        STRICT,
    )


class WebhookDeliveryRow(Table):
    """An event that was sent to an endpoint; `number` counts them there."""

    __tablename__ = "webhook_delivery"
    webhook_id: Mapped[str] = mapped_column(ForeignKey("webhook.id"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    event_id: Mapped[str]
    type: Mapped[str]
    seq: Mapped[int]
    status: Mapped[str]
    attempts: Mapped[int]
    code: Mapped[int | None]
    error: Mapped[str | None]
    duration_ms: Mapped[int]
    next_attempt_at: Mapped[int | None]
    created_at: Mapped[int]
    updated_at: Mapped[int]
    __table_args__ = (
        CheckConstraint("status IN ('pending', 'delivered', 'failed')", "status"),
        CLUSTERED,
    )


WEBHOOK, WEBHOOK_DELIVERY = map(table, (WebhookRow, WebhookDeliveryRow))
