"""Stock: how much there is, and every way to change it."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from fastapi import Query
from starlette.responses import Response

from inventory_api.clock import new_id
from inventory_api.domain.catalog import show_level
from inventory_api.domain.commands import Command, Line, Mode
from inventory_api.domain.outcome import Outcome
from inventory_api.domain.rejections import Code
from inventory_api.domain.types import SKU, Instant, Level, LocationCode
from inventory_api.store.availability import Stock, stock_of
from inventory_api.store.catalog import find_location
from inventory_api.store.database import Session
from inventory_api.store.levels import (
    Author,
    as_of,
    change_policy,
    etag_of,
    list_levels,
    matches,
    without_due_list,
)
from inventory_api.store.snapshot import levels_of
from inventory_api.web.answers import answered, etag, key_of, require_locations
from inventory_api.web.call import Call
from inventory_api.web.paging import cursor_after, page, position_of
from inventory_api.web.positions import position_in_ledger
from inventory_api.web.problems import Problem, detail, invalid
from inventory_api.web.reply import json_reply
from inventory_api.web.routing import Router
from inventory_api.web.schemas import (
    AdjustBody,
    AsOfQuery,
    CheckBody,
    LocationPath,
    PolicyBody,
    SetBody,
    SKUPath,
    StockQuery,
    TransferBody,
)
from inventory_api.web.shapes import ChangeAnswer, CheckAnswer, LevelList, LevelShown, StockAnswer

router = Router("Stock")
Fields = Mapping[str, Any]  # Any: JSON values

CHANGE_ERRORS = (
    Code.INSUFFICIENT_STOCK,
    Code.QUANTITY_OUT_OF_RANGE,
    Code.ITEM_ARCHIVED,
    Code.LOCATION_ARCHIVED,
    Code.IS_KIT,
)


@router.post(
    "/v1/stock/adjust",
    needs="write",
    answer=ChangeAnswer,
    errors=CHANGE_ERRORS,
    batch=True,
    example={
        "mode": "atomic",
        "reason": "sale",
        "reference": "order:1001",
        "lines": [{"sku": "P001", "location": "main", "delta": -2}],
    },
)
async def adjust_stock(call: Call, body: AdjustBody) -> Response | Problem:
    """Add units to levels, or take them away.

    Whether a line asks or tells is its reason's matter: `damaged expired lost theft cycle_count
    correction quality_control` are facts and are booked as long as on hand stays at or above
    zero; every other withdrawal must leave what is promised to others.
    """
    service, reason = call.service, body.get("reason") or "other"
    lines = [service.adjust_line(line, reason) for line in body["lines"]]
    return await _change(call, "adjust", reason, lines, body)


@router.post(
    "/v1/stock/set",
    needs="write",
    answer=ChangeAnswer,
    errors=(Code.STALE_QUANTITY, *CHANGE_ERRORS),
    batch=True,
    example={
        "reason": "cycle_count",
        "lines": [{"sku": "P003", "location": "main", "on_hand": 149, "expected_on_hand": 150}],
    },
)
async def set_stock(call: Call, body: SetBody) -> Response | Problem:
    """Book counts.

    `expected_on_hand` is what the counter believed to be there; null books the count whatever
    was there, and has to be said.
    """
    service, reason = call.service, body.get("reason") or "cycle_count"
    lines = tuple(service.set_line(line, reason) for line in body["lines"])
    return await _change(call, "set", reason, lines, body)


@router.post(
    "/v1/stock/transfer",
    needs="write",
    answer=ChangeAnswer,
    errors=(Code.SAME_LOCATION, *CHANGE_ERRORS),
    batch=True,
    example={"lines": [{"sku": "P002", "from": "main", "to": "quarantine", "quantity": 5}]},
)
async def transfer_stock(call: Call, body: TransferBody) -> Response | Problem:
    """Move units between locations, in one step."""
    service, reason = call.service, body.get("reason") or "transfer"
    lines = tuple(service.transfer_line(line, reason) for line in body["lines"])
    require_locations(call, {line.target for line in lines})
    return await _change(call, "transfer", reason, lines, body)


@router.post(
    "/v1/stock/check",
    needs="read",
    answer=CheckAnswer,
    batch=True,
    example={"lines": [{"sku": "P001", "quantity": 3, "location": "main"}, {"sku": "P999"}]},
)
async def check_stock(call: Call, body: CheckBody) -> Response:
    """Ask how many can be sold, line by line; a line that can't be told has an error of its own.

    Without a location a line counts all that sell. What the reservation under `exclude_reference`
    holds counts as available, so that a shopper's own hold does not block the page.
    """
    lines = body["lines"]
    named = {line["location"] for line in lines if line.get("location") is not None}
    require_locations(call, {code for code in named if code is not None})
    answer = await call.service.check(
        lines,
        locations=call.principal.locations,
        exclude_reference=body.get("exclude_reference"),
    )
    for result in answer["results"]:
        if "error" in result:
            result["error"]["detail"] = detail(result["error"]["code"], call.language)
    return json_reply(answer)


@router.get("/v1/stock", needs="read", answer=LevelList)
async def list_stock(call: Call, query: Annotated[StockQuery, Query()]) -> Response:
    """List levels by SKU and location, as they are or were."""
    after = position_of(query.cursor, "", "")
    locations = call.principal.locations
    if query.location is not None:
        require_locations(call, {query.location})
        locations = frozenset({query.location})
    async with call.service.reading() as session:
        seq = await position_in_ledger(session, query.as_of)
        # What a level is now says nothing about what it was: then the page is filtered here.
        levels = found = await list_levels(
            session,
            after=after,
            limit=query.limit,
            locations=locations,
            status=query.status if query.as_of is None else None,
        )
        if query.as_of is None:
            found = await without_due_list(session, levels, call.service.steady_clock())
        else:
            found = await as_of(session, levels, seq)
        found = [one for one in found if query.status is None or matches(one, query.status)]
    last = levels[-1] if levels else None
    cursor = cursor_after(last.sku, last.location) if last else None
    listed = page([show_level(one) for one in found], query.limit, None)
    listed["next_cursor"] = cursor if len(levels) == query.limit else None
    return json_reply({"as_of_seq": seq, **listed})


@router.get("/v1/stock/{sku}", needs="read", answer=StockAnswer, errors=(Code.UNKNOWN_SKU,))
async def get_stock(
    call: Call, sku: SKUPath, query: Annotated[AsOfQuery, Query()]
) -> Response | Problem:
    """Show an item's stock over its locations; `available` counts those that sell.

    A kit has no levels: `kits` shows how many can be assembled where, and what limits them.
    """
    if query.as_of is None:
        stock: Stock | None = await call.service.stock(sku)
    else:
        stock = await _past_stock(call, sku, query.as_of)
    if stock is None:
        return Problem(Code.UNKNOWN_SKU)
    levels = stock.levels
    allowed = call.principal.locations
    if allowed is not None:
        levels = [level for level in levels if level.location in allowed]
    sellable = [level for level in levels if level.location in stock.sellable]
    shown = {
        "sku": sku,
        "name": stock.name,
        "on_hand": sum(level.on_hand for level in levels),
        "reserved": sum(level.reserved for level in levels),
        "committed": sum(level.committed for level in levels),
        "safety_stock": sum(level.safety_stock for level in levels),
        "incoming": sum(level.incoming for level in levels),
        "available": sum(level.available for level in sellable),
        "as_of_seq": stock.seq,
        "levels": [show_level(level) for level in levels],
    }
    if stock.recipe:
        kits = stock.kits_seen_by(allowed)
        shown["on_hand"] = sum(one.on_hand for one in kits)
        shown["available"] = sum(one.available for one in kits if one.location in stock.sellable)
        shown["kits"] = [one.show() for one in kits]
    return json_reply(shown)


@router.get(
    "/v1/stock/{sku}/{location}",
    needs="read",
    answer=LevelShown,
    errors=(Code.UNKNOWN_SKU, Code.UNKNOWN_LOCATION),
)
async def get_level(
    call: Call, sku: SKUPath, location: LocationPath, query: Annotated[AsOfQuery, Query()]
) -> Response | Problem:
    """Show one level, as it is or was; where nothing ever moved it is zero at version 0.

    Of a kit it is how many can be assembled there.
    """
    require_locations(call, (location,))
    if query.as_of is None:
        level: Level | None = await call.service.level(sku, location)
    else:
        level = await _past_level(call, sku, location, query.as_of)
    if level is None:
        return await _empty_level(call, sku, location, query.as_of)
    return json_reply(show_level(level), headers=[etag(etag_of(level))])


@router.patch(
    "/v1/stock/{sku}/{location}",
    needs="write",
    answer=LevelShown,
    errors=(
        Code.UNKNOWN_SKU,
        Code.UNKNOWN_LOCATION,
        Code.ITEM_ARCHIVED,
        Code.LOCATION_ARCHIVED,
        Code.IS_KIT,
        Code.VERSION_MISMATCH,
    ),
    if_match=True,
    example={"safety_stock": 5, "reorder_point": 20, "reorder_to": 100},
)
async def change_a_policy(
    call: Call, sku: SKUPath, location: LocationPath, body: PolicyBody
) -> Response | Problem:
    """Change what a level keeps back, how far it may be oversold, and when to reorder."""
    if not body:
        raise invalid("body", "must name at least one field", "必须至少包含一个字段")
    require_locations(call, (location,))

    author = Author(call.principal.id, new_id(), call.key)

    async def work(session: Session, now: Instant) -> Outcome:
        key = (SKU(sku), LocationCode(location))
        changes = dict(body)
        return await change_policy(
            session,
            key,
            changes,
            if_match=call.if_match,
            by=author,
            now=now,
            margin_percent=call.service.settings.alert_margin_percent,
        )

    outcome = await call.service.transact(work, actor=call.principal.id, key=key_of(call, body))
    return answered(outcome)


async def _change(
    call: Call, kind: str, reason: str, lines: Sequence[Line], body: Fields
) -> Response | Problem:
    """Have a command decided; a refused batch is 409, whatever the code of its first line."""
    require_locations(call, (line.location for line in lines))
    command = Command(
        kind,
        tuple(lines),
        Mode(body.get("mode", "atomic")),
        reason,
        body.get("reference"),
        body.get("occurred_at"),
        body.get("note"),
        visible=call.principal.locations,
    )
    outcome = await call.service.submit(command, actor=call.principal.id, key=key_of(call, body))
    return answered(outcome, refused_status=409)


async def _past_stock(call: Call, sku: str, moment: str) -> Stock | None:
    """An item as it was; the position and the levels are read together."""
    async with call.service.reading() as session:
        seq = await position_in_ledger(session, moment)
        stock = (await stock_of(session, [sku], Instant(0))).get(sku)
        if stock is None:
            return None
        levels = await as_of(session, stock.levels, seq)
        return stock._replace(levels=levels, parts=await as_of(session, stock.parts, seq), seq=seq)


async def _past_level(call: Call, sku: str, location: str, moment: str) -> Level | None:
    key = (SKU(sku), LocationCode(location))
    async with call.service.reading() as session:
        seq = await position_in_ledger(session, moment)
        found = await levels_of(session, [key])
        return next(iter(await as_of(session, list(found.values()), seq)), None)


async def _empty_level(
    call: Call, sku: str, location: str, moment: str | None
) -> Response | Problem:
    """Where nothing ever moved, or a kit, of which nothing ever does."""
    stock: Stock | None
    if moment is None:
        stock = await call.service.stock(sku)
    else:
        stock = await _past_stock(call, sku, moment)
    if stock is None:
        return Problem(Code.UNKNOWN_SKU)
    async with call.service.reading() as session:
        if await find_location(session, location) is None:
            return Problem(Code.UNKNOWN_LOCATION)
    level = Level(SKU(sku), LocationCode(location))
    shown = show_level(level)
    for kit in stock.kits_seen_by(frozenset({location})):
        shown |= {"on_hand": kit.on_hand, "available": kit.available}
    return json_reply(shown, headers=[etag(etag_of(level))])
