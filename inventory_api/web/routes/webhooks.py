"""Webhooks: where events of the ledger are sent, by an admin's wish."""

from collections.abc import Sequence
from typing import Annotated, Any

import orjson
from fastapi import Query
from starlette.responses import Response

from inventory_api.clock import new_id
from inventory_api.domain.catalog import rfc3339
from inventory_api.domain.events import RANK_MAX, TEST_TYPE
from inventory_api.domain.outcome import Outcome
from inventory_api.domain.rejections import Code
from inventory_api.domain.types import Instant
from inventory_api.domain.webhook import Webhook
from inventory_api.outbound.errors import ForbiddenAddress
from inventory_api.store.database import Session
from inventory_api.store.ledger import read_head
from inventory_api.store.webhooks import (
    change_webhook,
    create_webhook,
    delete_webhook,
    find_delivery,
    find_event,
    find_webhook,
    list_deliveries,
    list_webhooks,
    replay,
    rotate_secret,
    show_delivery,
    show_webhook,
)
from inventory_api.web.answers import answered, etag, key_of
from inventory_api.web.call import Call
from inventory_api.web.paging import SEQ_MAX, cursor_after, page, position_of
from inventory_api.web.problems import Problem, invalid
from inventory_api.web.reply import json_reply
from inventory_api.web.routing import Router
from inventory_api.web.schemas import ID, Page
from inventory_api.web.sending import Sending, send_once
from inventory_api.web.webhook_schemas import (
    DeliveryID,
    DeliveryQuery,
    ReplayBody,
    WebhookBody,
    WebhookChange,
)
from inventory_api.web.webhook_shapes import (
    AttemptAnswer,
    DeliveryList,
    NewWebhookAnswer,
    WebhookAnswer,
    WebhookList,
)
from inventory_api.webhook_call import new_secret

router = Router("Webhooks")
_LISTS = ("events", "skus", "locations")


@router.post(
    "/v1/webhooks",
    needs="admin",
    answer=NewWebhookAnswer,
    status=201,
    errors=(Code.TOO_MANY_WEBHOOKS,),
    example={"url": "https://hooks.example.com/stock", "events": ["level.low", "level.out"]},
)
async def create_a_webhook(call: Call, body: WebhookBody) -> Response | Problem:
    """Add a webhook: events of the ledger are sent there, each at least once and in order.

    `secret` signs them, by Standard Webhooks. It is shown in this answer and never again: a retry
    with the same Idempotency-Key gets null.
    """
    _check_url(call, body["url"])
    await _check_position(call, after := body.get("after"))
    webhook_id, secret = new_id(), new_secret()

    async def work(session: Session, now: Instant) -> Outcome:
        webhook = Webhook(
            id=webhook_id,
            url=body["url"],
            description=body.get("description"),
            events=_names(body.get("events")),
            skus=_names(body.get("skus")),
            locations=_names(body.get("locations")),
            status="active",
            disabled_reason=None,
            disabled_at=None,
            secret=secret,
            secret_before=None,
            secret_before_ends_at=None,
            cursor_seq=0,
            cursor_rank=RANK_MAX,
            attempts=0,
            next_attempt_at=None,
            failing_since=None,
            deliveries=0,
            epoch=0,
            version=1,
            created_at=now,
            updated_at=now,
        )
        webhooks_max = call.service.settings.webhooks_max
        return await create_webhook(session, webhook, after=after, webhooks_max=webhooks_max)

    outcome = await _transact(call, work, body)
    return answered(_with_secret(outcome, secret), status=201)


@router.get("/v1/webhooks", needs="admin", answer=WebhookList)
async def list_the_webhooks(call: Call, query: Annotated[Page, Query()]) -> Response:
    """List webhooks, without their secrets."""
    (after,) = position_of(query.cursor, "")
    async with call.service.reading() as session:
        webhooks = await list_webhooks(session, after=after, limit=query.limit)
    cursor = cursor_after(webhooks[-1].id) if webhooks else None
    now = call.service.clock()
    return json_reply(page([show_webhook(one, now) for one in webhooks], query.limit, cursor))


@router.get(
    "/v1/webhooks/{webhook_id}", needs="admin", answer=WebhookAnswer, errors=(Code.UNKNOWN_ID,)
)
async def get_a_webhook(call: Call, webhook_id: ID) -> Response | Problem:
    """Show a webhook, and how far it has got: `position` is the last movement that is done."""
    webhook = await _found(call, webhook_id)
    if webhook is None:
        return Problem(Code.UNKNOWN_ID)
    return json_reply(show_webhook(webhook, call.service.clock()), headers=[etag(webhook.version)])


@router.patch(
    "/v1/webhooks/{webhook_id}",
    needs="admin",
    answer=WebhookAnswer,
    errors=(Code.UNKNOWN_ID, Code.VERSION_MISMATCH),
    if_match=True,
    example={"status": "disabled"},
)
async def change_a_webhook(call: Call, webhook_id: ID, body: WebhookChange) -> Response | Problem:
    """Change a webhook; what is left out stays as it is.

    `status: active` goes on where a disabled webhook stopped: nothing is left out. With a new
    `url` what failed before is tried at once.
    """
    if not body:
        raise invalid("body", "must name at least one field", "必须至少包含一个字段")
    if "url" in body:
        _check_url(call, body["url"])
    changes: dict[str, Any] = dict(body)  # Any: values of columns
    changes |= {name: _names(changes[name]) for name in _LISTS if name in changes}

    async def work(session: Session, now: Instant) -> Outcome:
        return await change_webhook(session, webhook_id, changes, if_match=call.if_match, now=now)

    return answered(await _transact(call, work, body))


@router.delete(
    "/v1/webhooks/{webhook_id}", needs="admin", answer=WebhookAnswer, errors=(Code.UNKNOWN_ID,)
)
async def delete_a_webhook(call: Call, webhook_id: ID) -> Response | Problem:
    """Delete a webhook and what is known of its deliveries; an attempt under way is broken off."""

    async def work(session: Session, now: Instant) -> Outcome:
        return await delete_webhook(session, webhook_id, now)

    return answered(await _transact(call, work, None))


@router.post(
    "/v1/webhooks/{webhook_id}/rotate-secret",
    needs="admin",
    answer=NewWebhookAnswer,
    errors=(Code.UNKNOWN_ID,),
)
async def rotate_the_secret(call: Call, webhook_id: ID) -> Response | Problem:
    """Sign with a new secret, and for a day with the one before it as well.

    `secret` is shown once, as when the webhook was made.
    """
    secret = new_secret()

    async def work(session: Session, now: Instant) -> Outcome:
        overlap_us = round(call.service.settings.webhook_secret_overlap_s * 1_000_000)
        ends_at = Instant(now + overlap_us)
        return await rotate_secret(session, webhook_id, secret, ends_at=ends_at, now=now)

    return answered(_with_secret(await _transact(call, work, None), secret))


@router.post(
    "/v1/webhooks/{webhook_id}/test",
    needs="admin",
    answer=AttemptAnswer,
    errors=(Code.UNKNOWN_ID,),
)
async def send_a_test_event(call: Call, webhook_id: ID) -> Response | Problem:
    """Send a `webhook.test` event now, once, and tell how that ended; nothing is tried again.

    A retry with the same Idempotency-Key sends nothing, and is told how it ended.
    """

    async def find(session: Session) -> Sending | None:
        webhook = await find_webhook(session, webhook_id)
        event = {
            "id": f"evt_test_{new_id()}",
            "type": TEST_TYPE,
            "timestamp": rfc3339(call.service.clock()),
            "data": {"webhook_id": webhook_id},
        }
        return None if webhook is None else Sending(webhook, event)

    return await send_once(call, find)


@router.get(
    "/v1/webhooks/{webhook_id}/deliveries",
    needs="admin",
    answer=DeliveryList,
    errors=(Code.UNKNOWN_ID,),
)
async def list_the_deliveries(
    call: Call, webhook_id: ID, query: Annotated[DeliveryQuery, Query()]
) -> Response | Problem:
    """List what was sent last, the newest first; what the receiver said is not kept."""
    (before,) = position_of(query.cursor, SEQ_MAX)
    async with call.service.reading() as session:
        if await find_webhook(session, webhook_id) is None:
            return Problem(Code.UNKNOWN_ID)
        found = await list_deliveries(
            session, webhook_id, before=before, status=query.status, limit=query.limit
        )
    cursor = cursor_after(found[-1].number) if found else None
    return json_reply(page([show_delivery(one) for one in found], query.limit, cursor))


@router.post(
    "/v1/webhooks/{webhook_id}/deliveries/{delivery_id}/redeliver",
    needs="admin",
    answer=AttemptAnswer,
    errors=(Code.UNKNOWN_ID,),
)
async def redeliver_an_event(
    call: Call, webhook_id: ID, delivery_id: DeliveryID
) -> Response | Problem:
    """Send an event again now, once, with the same id and content, beside the order of the others.

    A retry with the same Idempotency-Key sends nothing, and is told how it ended.
    """

    async def find(session: Session) -> Sending | None:
        webhook = await find_webhook(session, webhook_id)
        delivery = await find_delivery(session, webhook_id, int(delivery_id))
        if webhook is None or delivery is None:
            return None
        event = await find_event(session, delivery.seq, delivery.type)
        return None if event is None else Sending(webhook, event.body)

    return await send_once(call, find)


@router.post(
    "/v1/webhooks/{webhook_id}/replay",
    needs="admin",
    answer=WebhookAnswer,
    errors=(Code.UNKNOWN_ID,),
    example={"after": 0},
)
async def replay_the_events(call: Call, webhook_id: ID, body: ReplayBody) -> Response | Problem:
    """Send everything behind the movement `after`, in order; also to leave out what is before it.

    The events are those of the ledger, with the ids that they always had.
    """
    await _check_position(call, body["after"])

    async def work(session: Session, now: Instant) -> Outcome:
        return await replay(session, webhook_id, body["after"], now=now)

    return answered(await _transact(call, work, body))


async def _transact(call: Call, work: Any, body: object) -> Outcome:  # Any: session code
    """A change of a webhook, of which the worker hears as soon as it is committed."""
    changed = call.service.webhooks_changed
    outcome: Outcome = await call.service.transact(
        work,
        actor=call.principal.id,
        key=key_of(call, body),
        after_commit=lambda _: changed.set(),
    )
    return outcome


async def _found(call: Call, webhook_id: str) -> Webhook | None:
    async with call.service.reading() as session:
        return await find_webhook(session, webhook_id)


def _check_url(call: Call, url: str) -> None:
    """Refuse what may not be called, as far as the URL itself tells; each attempt looks again."""
    try:
        call.service.outbound.policy.target(url)
    except ForbiddenAddress as refused:
        message = f"is not allowed: {refused}"
        raise invalid("url", message, "不允许此地址", code="forbidden_address") from refused


async def _check_position(call: Call, after: int | None) -> None:
    """Refuse what is beyond the head, which only ever moves on."""
    if after is None:
        return
    async with call.service.reading() as session:
        head = (await read_head(session)).seq
    if after > head:
        raise invalid("after", f"must be at most {head}", f"不得大于 {head}")


def _names(names: Sequence[str] | None) -> frozenset[str] | None:
    return None if names is None else frozenset(names)


def _with_secret(outcome: Outcome, secret: str) -> Outcome:
    if outcome.refused is not None:
        return outcome
    shown = orjson.loads(outcome.answer)
    shown["secret"] = None if outcome.replayed else secret
    return outcome._replace(answer=orjson.dumps(shown))
