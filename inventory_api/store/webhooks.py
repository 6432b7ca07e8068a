"""Webhooks: made, listed, changed, and how far each has got."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import orjson
from sqlalchemy import bindparam, delete, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from inventory_api.domain.catalog import rfc3339
from inventory_api.domain.events import (
    DOCUMENT_TYPES,
    EVENT_TYPES,
    LINES_MAX,
    RANK_MAX,
    RANKS,
    Event,
    document_event,
    level_events,
)
from inventory_api.domain.outcome import Outcome
from inventory_api.domain.rejections import Code
from inventory_api.domain.types import Instant
from inventory_api.domain.webhook import PROGRESS, Delivery, Webhook
from inventory_api.store.bulk import (
    VALUES,
    execute_many,
    listed,
    many_inserts,
    many_updates,
)
from inventory_api.store.ledger import Filter, find_operation, list_movements, read_head
from inventory_api.store.tables import WEBHOOK, WEBHOOK_DELIVERY

Tags = frozenset[str] | None
"""Versions that are accepted for a change; None accepts any."""
Changes = Mapping[str, Any]  # Any: values of columns
Shown = dict[str, Any]  # Any: JSON values

_COLUMNS = tuple(WEBHOOK.c[name] for name in Webhook._fields)
_DELIVERY_COLUMNS = tuple(WEBHOOK_DELIVERY.c[name] for name in Delivery._fields)
_LISTS = ("events", "skus", "locations")
_UPDATE_PROGRESS = many_updates(WEBHOOK, set_=PROGRESS, keys=("id",))
_INSERT_DELIVERIES = many_inserts(WEBHOOK_DELIVERY)
_OF_ENDPOINT = WEBHOOK_DELIVERY.c.webhook_id == bindparam("of")
# Those that come again, with more attempts; and those for which there is no more room.
_FORGET_NEWER = delete(WEBHOOK_DELIVERY).where(
    _OF_ENDPOINT, WEBHOOK_DELIVERY.c.number >= bindparam("first")
)
_FORGET_OLDER = delete(WEBHOOK_DELIVERY).where(
    _OF_ENDPOINT, WEBHOOK_DELIVERY.c.number <= bindparam("oldest")
)
# Nothing that was tried in vain counts any more, and it is tried at once.
AFRESH: Changes = {
    "attempts": 0,
    "next_attempt_at": None,
    "failing_since": None,
    "epoch": WEBHOOK.c.epoch + 1,
}


def show_webhook(webhook: Webhook, now: Instant) -> Shown:
    """The shape of a webhook in answers: everything but its secrets."""
    rotates = len(webhook.secrets_at(now)) > 1
    ends_at = webhook.secret_before_ends_at if rotates else None
    return {
        "id": webhook.id,
        "url": webhook.url,
        "description": webhook.description,
        "events": None
        if webhook.events is None
        else [name for name in EVENT_TYPES if name in webhook.events],
        "skus": None if webhook.skus is None else sorted(webhook.skus),
        "locations": None if webhook.locations is None else sorted(webhook.locations),
        "status": webhook.status,
        "disabled_reason": webhook.disabled_reason,
        "disabled_at": _time(webhook.disabled_at),
        "position": webhook.cursor_seq,
        "attempts": webhook.attempts,
        "next_attempt_at": _time(webhook.next_attempt_at),
        "failing_since": _time(webhook.failing_since),
        "old_secret_ends_at": _time(ends_at),
        "version": webhook.version,
        "created_at": rfc3339(webhook.created_at),
        "updated_at": rfc3339(webhook.updated_at),
    }


def show_delivery(delivery: Delivery) -> Shown:
    """The shape of a delivery in answers; what the receiver said is never shown."""
    return {
        "id": str(delivery.number),
        "event_id": delivery.event_id,
        "type": delivery.type,
        "seq": delivery.seq,
        "status": delivery.status,
        "attempts": delivery.attempts,
        "last_status_code": delivery.code,
        "last_error": delivery.error,
        "duration_ms": delivery.duration_ms,
        "next_attempt_at": _time(delivery.next_attempt_at),
        "created_at": rfc3339(delivery.created_at),
        "updated_at": rfc3339(delivery.updated_at),
    }


async def all_webhooks(session: AsyncSession) -> list[Webhook]:
    """Every webhook; a setting bounds how many there are."""
    return [_webhook(row) for row in await session.execute(select(*_COLUMNS))]


async def list_webhooks(session: AsyncSession, *, after: str, limit: int) -> list[Webhook]:
    """Webhooks by id, from the one behind `after`."""
    statement = select(*_COLUMNS).where(WEBHOOK.c.id > after).order_by(WEBHOOK.c.id).limit(limit)
    return [_webhook(row) for row in await session.execute(statement)]


async def find_webhook(
    session: AsyncSession, webhook_id: str, *, lock: bool = False
) -> Webhook | None:
    """One webhook; locked, it stays as it is until the transaction ends."""
    statement = select(*_COLUMNS).where(WEBHOOK.c.id == webhook_id)
    row = (await session.execute(statement.with_for_update() if lock else statement)).first()
    return None if row is None else _webhook(row)


async def create_webhook(
    session: AsyncSession, webhook: Webhook, *, after: int | None, webhooks_max: int
) -> Outcome:
    """A webhook that begins behind the movement `after`, None: with what happens from now on.

    Rejects: `TOO_MANY_WEBHOOKS`.
    """
    count = (await session.execute(select(func.count()).select_from(WEBHOOK))).scalar_one()
    if count >= webhooks_max:
        return Outcome(orjson.dumps({"maximum": webhooks_max}), Code.TOO_MANY_WEBHOOKS)
    begin = (await read_head(session)).seq if after is None else after
    webhook = webhook._replace(cursor_seq=begin)
    await session.execute(insert(WEBHOOK).values(_row(webhook._asdict())))
    return _outcome(webhook, webhook.created_at)


async def change_webhook(
    session: AsyncSession, webhook_id: str, changes: Changes, *, if_match: Tags, now: Instant
) -> Outcome:
    """Change what is named. A new URL, or an end of being disabled, begins afresh where it stands.

    Rejects: `UNKNOWN_ID`; `VERSION_MISMATCH`.
    """
    webhook = await find_webhook(session, webhook_id, lock=True)
    if webhook is None:
        return Outcome(b"{}", Code.UNKNOWN_ID)
    if if_match is not None and str(webhook.version) not in if_match:
        facts = orjson.dumps({"current_version": webhook.version})
        return Outcome(facts, Code.VERSION_MISMATCH)
    values = {**changes, "version": webhook.version + 1, "updated_at": now}
    status = changes.get("status", webhook.status)
    if status != webhook.status:
        is_over = status == "disabled"
        values["disabled_reason"] = "asked" if is_over else None
        values["disabled_at"] = now if is_over else None
    if status != webhook.status or changes.get("url", webhook.url) != webhook.url:
        values |= AFRESH
        await _give_up_pending(session, webhook_id)
    await _update(session, webhook_id, values)
    after = await find_webhook(session, webhook_id)
    assert after is not None
    return _outcome(after, now)


async def rotate_secret(
    session: AsyncSession, webhook_id: str, secret: str, *, ends_at: Instant, now: Instant
) -> Outcome:
    """Sign with another secret from now on, and until `ends_at` with those before it as well.

    Rejects: `UNKNOWN_ID`.
    """
    webhook = await find_webhook(session, webhook_id, lock=True)
    if webhook is None:
        return Outcome(b"{}", Code.UNKNOWN_ID)
    after = webhook._replace(
        secret=secret,
        secret_before=webhook.secrets_before(now),
        secret_before_ends_at=ends_at,
        version=webhook.version + 1,
        updated_at=now,
    )
    names = ("secret", "secret_before", "secret_before_ends_at", "version", "updated_at")
    await _update(session, webhook_id, {name: getattr(after, name) for name in names})
    return _outcome(after, now)


async def replay(session: AsyncSession, webhook_id: str, after: int, *, now: Instant) -> Outcome:
    """Deliver everything behind the movement `after`, once more or for the first time.

    Rejects: `UNKNOWN_ID`.
    """
    webhook = await find_webhook(session, webhook_id, lock=True)
    if webhook is None:
        return Outcome(b"{}", Code.UNKNOWN_ID)
    await _give_up_pending(session, webhook_id)
    values = {"cursor_seq": after, "cursor_rank": RANK_MAX, "updated_at": now}
    await _update(session, webhook_id, {**values, "version": webhook.version + 1, **AFRESH})
    moved = await find_webhook(session, webhook_id)
    assert moved is not None
    return _outcome(moved, now)


async def delete_webhook(session: AsyncSession, webhook_id: str, now: Instant) -> Outcome:
    """Remove a webhook with all that is known of its deliveries. Rejects: `UNKNOWN_ID`."""
    webhook = await find_webhook(session, webhook_id, lock=True)
    if webhook is None:
        return Outcome(b"{}", Code.UNKNOWN_ID)
    of_it = WEBHOOK_DELIVERY.c.webhook_id == webhook_id
    await session.execute(delete(WEBHOOK_DELIVERY).where(of_it))
    await session.execute(delete(WEBHOOK).where(WEBHOOK.c.id == webhook_id))
    return Outcome(orjson.dumps(show_webhook(webhook, now)))


async def list_deliveries(
    session: AsyncSession, webhook_id: str, *, before: int, status: str | None, limit: int
) -> list[Delivery]:
    """What was sent last, the newest first, from the one before number `before`."""
    statement = select(*_DELIVERY_COLUMNS).where(
        WEBHOOK_DELIVERY.c.webhook_id == webhook_id, WEBHOOK_DELIVERY.c.number < before
    )
    if status is not None:
        statement = statement.where(WEBHOOK_DELIVERY.c.status == status)
    statement = statement.order_by(WEBHOOK_DELIVERY.c.number.desc()).limit(limit)
    return [Delivery._make(row) for row in await session.execute(statement)]


async def find_delivery(session: AsyncSession, webhook_id: str, number: int) -> Delivery | None:
    """One delivery that is still remembered."""
    statement = select(*_DELIVERY_COLUMNS).where(
        WEBHOOK_DELIVERY.c.webhook_id == webhook_id, WEBHOOK_DELIVERY.c.number == number
    )
    row = (await session.execute(statement)).first()
    return None if row is None else Delivery._make(row)


async def write_progress(
    session: AsyncSession,
    webhooks: Sequence[Webhook],
    deliveries: Sequence[Delivery],
    *,
    keep: int,
) -> None:
    """How far endpoints have got, and what was delivered to each, of which `keep` are kept.

    What is of another epoch than the database's is left out: somebody has set the position anew,
    or the endpoint is gone.
    """
    current = await _epochs(session, [one.id for one in webhooks])
    known = {one.id: one for one in webhooks if current.get(one.id) == one.epoch}
    rows = [(*(getattr(one, name) for name in PROGRESS), one.id) for one in known.values()]
    await execute_many(session, _UPDATE_PROGRESS, rows)
    told = [one for one in deliveries if one.webhook_id in known]
    first: dict[str, int] = {}
    for one in told:
        first[one.webhook_id] = min(one.number, first.get(one.webhook_id, one.number))
    if not first:
        return
    newer = [{"of": name, "first": number} for name, number in sorted(first.items())]
    older = [{"of": name, "oldest": known[name].deliveries - keep} for name in sorted(first)]
    connection = await session.connection()
    await connection.execute(_FORGET_NEWER, newer)
    await connection.execute(_FORGET_OLDER, older)
    await execute_many(session, _INSERT_DELIVERIES, told)


async def forget_deliveries(session: AsyncSession, before: Instant, *, rows_max: int) -> int:
    """Remove deliveries that ended before an instant; how many were removed.

    One that is pending has ended if its webhook is disabled: nobody tries it again.
    """
    keys = (WEBHOOK_DELIVERY.c.webhook_id, WEBHOOK_DELIVERY.c.number)
    disabled = select(WEBHOOK.c.id).where(WEBHOOK.c.status == "disabled")
    has_ended = (WEBHOOK_DELIVERY.c.status != "pending") | keys[0].in_(disabled)
    old = select(*keys).where(WEBHOOK_DELIVERY.c.updated_at < before, has_ended).limit(rows_max)
    pairs = (await session.execute(old)).all()
    for webhook_id, number in pairs:
        at = (keys[0] == webhook_id) & (keys[1] == number)
        await session.execute(delete(WEBHOOK_DELIVERY).where(at))
    return len(pairs)


async def find_event(session: AsyncSession, seq: int, name: str) -> Event | None:
    """One event again, out of the ledger; None if it never was."""
    movements = await list_movements(session, Filter(), after=seq - 1, limit=LINES_MAX)
    if not movements or name not in RANKS:
        return None
    first = movements[0]
    if name not in DOCUMENT_TYPES:
        return next(level_events(first, frozenset({name})), None)
    operation = await find_operation(session, first.operation_id)
    assert operation is not None, f"movement {seq} has no operation"
    lines = [one for one in movements if one.seq <= operation.last_seq]
    return document_event(operation, first, lines) if operation.first_seq == seq else None


async def _epochs(session: AsyncSession, ids: Collection[str]) -> dict[str, int]:
    """The epochs of those that exist, which stay so until the transaction ends."""
    statement = select(WEBHOOK.c.id, WEBHOOK.c.epoch).where(WEBHOOK.c.id.in_(VALUES))
    found = await session.execute(
        statement.order_by(WEBHOOK.c.id).with_for_update(), listed(set(ids))
    )
    return {row[0]: row[1] for row in found}


async def _give_up_pending(session: AsyncSession, webhook_id: str) -> None:
    """What was tried in vain is not what comes next any more: it gets a delivery of its own."""
    of_it = (WEBHOOK_DELIVERY.c.webhook_id == webhook_id) & (WEBHOOK_DELIVERY.c.status == "pending")
    ended = update(WEBHOOK_DELIVERY).where(of_it)
    await session.execute(ended.values(status="failed", next_attempt_at=None))


async def _update(session: AsyncSession, webhook_id: str, values: Changes) -> None:
    await session.execute(update(WEBHOOK).where(WEBHOOK.c.id == webhook_id).values(_row(values)))


def _row(values: Changes) -> dict[str, Any]:  # Any: values of columns
    return {name: _text(value) if name in _LISTS else value for name, value in values.items()}


def _text(names: Collection[str] | None) -> str | None:
    return None if names is None else orjson.dumps(sorted(names)).decode()


def _webhook(row: Any) -> Webhook:  # Any: a row of the columns
    found = Webhook._make(row)
    return found._replace(
        events=_names(row.events), skus=_names(row.skus), locations=_names(row.locations)
    )


def _names(text: str | None) -> frozenset[str] | None:
    return None if text is None else frozenset(orjson.loads(text))


def _outcome(webhook: Webhook, now: Instant) -> Outcome:
    return Outcome(orjson.dumps(show_webhook(webhook, now)), etag=str(webhook.version))


def _time(instant: Instant | None) -> str | None:
    return None if instant is None else rfc3339(instant)
