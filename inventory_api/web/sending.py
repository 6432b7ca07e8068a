"""Events that an admin has sent by hand: each time one is asked for, and once for each key."""

from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

import orjson

from inventory_api.domain.outcome import IdempotencyKey, Outcome
from inventory_api.domain.rejections import Code
from inventory_api.domain.types import Instant
from inventory_api.domain.webhook import Webhook
from inventory_api.store.database import Session
from inventory_api.store.idempotency import find_outcome
from inventory_api.web.answers import answered, key_of
from inventory_api.web.call import Call
from inventory_api.web.problems import Problem
from inventory_api.web.reply import Reply
from inventory_api.webhook_call import attempt


class Sending(NamedTuple):
    """What is sent, and where to."""

    webhook: Webhook
    event: dict[str, Any]  # Any: JSON values


Find = Callable[[Session], Awaitable[Sending | None]]
"""Looks up what to send; None: something of it is unknown."""


async def send_once(call: Call, find: Find) -> Reply | Problem:
    """Send what is found, once, and tell how that ended; a retry of a key is told the same.

    No transaction may wait for a receiver, so the key is looked up before the attempt and
    remembered behind it: two requests that come at once may both send. Both are told of the one
    that ended first. Who is killed in between has sent, and sends again.
    """
    key = key_of(call, None)
    async with call.service.reading() as session:
        known = None if key is None else await find_outcome(session, call.principal.id, key)
        found = None if known is not None else await find(session)
    if known is not None:
        return answered(known)
    outcome = Outcome(b"{}", Code.UNKNOWN_ID) if found is None else await _attempted(call, found)
    return answered(outcome if key is None else await _remembered(call, key, outcome))


async def _attempted(call: Call, sending: Sending) -> Outcome:
    service, event = call.service, sending.event
    made = await attempt(
        service.outbound,
        sending.webhook,
        event["id"],
        event,
        now=service.clock(),
        deadline_s=service.settings.webhook_deadline_s,
    )
    answer = {
        "event_id": event["id"],
        "delivered": made.is_success,
        "status_code": made.code,
        "error": made.error,
        "duration_ms": made.duration_ms,
    }
    return Outcome(orjson.dumps(answer))


async def _remembered(call: Call, key: IdempotencyKey, outcome: Outcome) -> Outcome:
    """The outcome, or that of another request which was remembered meanwhile.

    Raises:
        Unavailable: it could not be written down; the same key sends again.
    """

    async def work(_: Session, __: Instant) -> Outcome:
        return outcome

    kept: Outcome = await call.service.transact(work, actor=call.principal.id, key=key)
    return kept
