"""Items from an import: created where they are new, changed where they differ."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import orjson
from sqlalchemy.ext.asyncio import AsyncSession

from inventory_api.domain.catalog import Item
from inventory_api.domain.outcome import IdempotencyKey, Outcome
from inventory_api.domain.rejections import Code
from inventory_api.domain.types import Instant
from inventory_api.store.bulk import execute_many, many_inserts, many_updates
from inventory_api.store.catalog import find_items
from inventory_api.store.idempotency import Remembered, remember, remembered
from inventory_api.store.tables import ITEM

Fields = Mapping[str, Any]  # Any: checked values, by the names of the import's columns

_CHANGED = ("name", "barcode", "amount", "currency", "version", "updated_at")
_INSERT = many_inserts(ITEM)
_UPDATE = many_updates(ITEM, set_=_CHANGED, keys=["sku"])


class Entry(NamedTuple):
    """One row: `sku`, `name`, and of `barcode`, `price` and `currency` what was given."""

    fields: Fields
    key: IdempotencyKey | None = None


async def import_items(
    session: AsyncSession,
    entries: Sequence[Entry],
    *,
    actor: str,
    default_currency: str,
    now: Instant,
    dry_run: bool = False,
) -> list[Outcome]:
    """One outcome for each row, in order; its answer is `{"status": created|updated|unchanged}`.

    A row whose key is known gets the outcome that it had, and changes nothing.

    Rejects: `ITEM_ARCHIVED`; `IDEMPOTENCY_MISMATCH` for a known key of another row.
    """
    callers = {(actor, entry.key.key) for entry in entries if entry.key is not None}
    known = {} if dry_run else await remembered(session, callers)
    before = await find_items(session, {entry.fields["sku"] for entry in entries}, lock=not dry_run)
    after = dict(before)
    kept: list[Remembered] = []
    outcomes = []
    for fields, key in entries:
        row = None if key is None else known.get((actor, key.key))
        if key is not None and row is not None:
            outcomes.append(row.told(key))
            continue
        outcome = _judge(after, fields, default_currency, now)
        outcomes.append(outcome)
        if key is not None:
            kept.append(_remembered(actor, key, outcome, now))
    if not dry_run:
        await _write(session, before, after)
        await remember(session, kept)
    return outcomes


def _judge(after: dict[str, Item], fields: Fields, currency: str, now: Instant) -> Outcome:
    """Carry one row over to `after`."""
    sku = fields["sku"]
    found = after.get(sku)
    if found is None:
        new = Item(sku, fields["name"], None, None, None, "{}", "active", 1, now, now)
        after[sku] = _changed(new, fields, currency)
        return _outcome("created")
    if found.status == "archived":
        return Outcome(b"{}", Code.ITEM_ARCHIVED)
    changed = _changed(found, fields, currency)
    if changed == found:
        return _outcome("unchanged")
    after[sku] = changed._replace(version=found.version + 1, updated_at=now)
    return _outcome("updated")


def _changed(item: Item, fields: Fields, currency: str) -> Item:
    """The item with what the row gives; what it leaves out stays, what it gives as None goes."""
    changes = {name: fields[name] for name in ("name", "barcode") if name in fields}
    if "price" in fields:
        price = fields["price"]
        given = fields.get("currency") or item.currency or currency
        changes |= {"amount": price, "currency": None if price is None else given}
    return item._replace(**changes)


def _outcome(status: str) -> Outcome:
    return Outcome(orjson.dumps({"status": status}))


def _remembered(actor: str, key: IdempotencyKey, outcome: Outcome, now: Instant) -> Remembered:
    refused = None if outcome.refused is None else outcome.refused.value
    return Remembered(actor, key.key, now, key.fingerprint, refused, None, outcome.answer)


async def _write(session: AsyncSession, before: dict[str, Item], after: dict[str, Item]) -> None:
    new = [item for sku, item in after.items() if sku not in before]
    changed = [item for sku, item in after.items() if sku in before and item != before[sku]]
    await execute_many(session, _INSERT, new)
    await execute_many(session, _UPDATE, [_parameters(item) for item in changed])


def _parameters(item: Item) -> tuple[object, ...]:
    return (*(getattr(item, name) for name in _CHANGED), item.sku)
