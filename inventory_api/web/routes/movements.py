"""The ledger: every movement, the operations behind them, and what makes up a number."""

from typing import Annotated

from fastapi import Query
from starlette.responses import Response

from inventory_api.domain.catalog import show_level, show_movement, show_operation
from inventory_api.domain.kits import Assembly
from inventory_api.domain.rejections import Code
from inventory_api.domain.types import Level, Movement
from inventory_api.store.availability import stock_of
from inventory_api.store.holds import Promise, promises_at
from inventory_api.store.ledger import (
    Filter,
    Step,
    find_operation,
    list_movements,
    movements_of,
    read_head,
)
from inventory_api.store.shipments import Expectation, expected_at_levels
from inventory_api.web.answers import require_locations
from inventory_api.web.call import Call
from inventory_api.web.paging import cursor_after, page, position_of
from inventory_api.web.problems import Problem
from inventory_api.web.reply import json_reply
from inventory_api.web.routing import Router
from inventory_api.web.schemas import ID, ExplainQuery, MovementQuery, SKUPath
from inventory_api.web.shapes import ExplainAnswer, MovementList, OperationAnswer

router = Router("Ledger")
# Of each level: the rest is in the list of reservations.
PROMISES_MAX = 100


@router.get("/v1/movements", needs="read", answer=MovementList)
async def list_the_movements(call: Call, query: Annotated[MovementQuery, Query()]) -> Response:
    """List movements in the order of the ledger, from the one behind `after`."""
    (after,) = position_of(query.cursor, query.after)
    wanted = Filter(
        sku=query.sku,
        location=query.location,
        reference=query.reference,
        operation_id=query.operation_id,
        reservation_id=query.reservation_id,
        locations=call.principal.locations,
    )
    async with call.service.reading() as session:
        head = await read_head(session)
        movements = await list_movements(session, wanted, after=after, limit=query.limit)
    cursor = cursor_after(movements[-1].seq) if movements else None
    shown = [show_movement(movement) for movement in movements]
    return json_reply({"head": head.seq, **page(shown, query.limit, cursor)})


@router.get(
    "/v1/operations/{operation_id}",
    needs="read",
    answer=OperationAnswer,
    errors=(Code.UNKNOWN_ID,),
)
async def get_an_operation(call: Call, operation_id: ID) -> Response | Problem:
    """Show an operation with its first 1,000 movements; the list of movements has the rest.

    If there are more, `next_cursor` is where `/v1/movements?operation_id=…&cursor=…` goes on.
    """
    wanted = Filter(operation_id=operation_id, locations=call.principal.locations)
    async with call.service.reading() as session:
        operation = await find_operation(session, operation_id)
        if operation is None:
            return Problem(Code.UNKNOWN_ID)
        limit = call.service.settings.page_max
        movements = await list_movements(session, wanted, after=0, limit=limit)
    if not movements:
        return Problem(Code.UNKNOWN_ID)
    last = movements[-1].seq
    has_more = len(movements) == limit and last < operation.last_seq
    return json_reply(
        {
            **show_operation(operation),
            "movements": [show_movement(movement) for movement in movements],
            "next_cursor": cursor_after(last) if has_more else None,
        }
    )


@router.get(
    "/v1/stock/{sku}/explain", needs="read", answer=ExplainAnswer, errors=(Code.UNKNOWN_SKU,)
)
async def explain_stock(
    call: Call, sku: SKUPath, query: Annotated[ExplainQuery, Query()]
) -> Response | Problem:
    """Explain an item's numbers: what is held, promised, kept back and expected, and what moved.

    Of a kit: how many each component allows, location by location.
    """
    if query.location is not None:
        require_locations(call, {query.location})
    async with call.service.reading() as session:
        stock = (await stock_of(session, [sku], call.service.steady_clock())).get(sku)
        if stock is None:
            return Problem(Code.UNKNOWN_SKU)
        levels = [level for level in stock.levels if _is_wanted(call, query, level)]
        steps = [step for level in levels for step in _last_steps(level, query.limit)]
        movements = await movements_of(session, steps)
        now = call.service.steady_clock()
        keys = [level[:2] for level in levels]
        promises = await promises_at(session, keys, now, limit=PROMISES_MAX)
        awaited = [level[:2] for level in levels if level.incoming]
        expected = await expected_at_levels(session, awaited, limit=PROMISES_MAX)
    sellable = [level for level in levels if level.location in stock.sellable]
    explained = {
        "sku": sku,
        "name": stock.name,
        "as_of_seq": stock.seq,
        "available": sum(level.available for level in sellable),
        "levels": [
            _explained(level, movements, promises, expected, sells=level in sellable)
            for level in levels
        ],
    }
    if stock.recipe:
        kits = [kit for kit in stock.kits_seen_by(None) if _is_wanted(call, query, kit)]
        selling = [kit for kit in kits if kit.location in stock.sellable]
        explained["available"] = sum(kit.available for kit in selling)
        explained["kits"] = [{**kit.explain(), "sellable": kit in selling} for kit in kits]
    return json_reply(explained)


def _is_wanted(call: Call, query: ExplainQuery, one: Level | Assembly) -> bool:
    allowed = call.principal.locations
    if allowed is not None and one.location not in allowed:
        return False
    return query.location in (None, one.location)


def _last_steps(level: Level, limit: int) -> list[Step]:
    """Versions have no gap, so the newest movements of a level are known by their keys."""
    first = max(1, level.version - limit + 1)
    return [(version, level.sku, level.location) for version in range(first, level.version + 1)]


def _explained(
    level: Level,
    movements: list[Movement],
    promises: list[Promise],
    expected: list[Expectation],
    *,
    sells: bool,
) -> dict[str, object]:
    own = [show_movement(one) for one in movements if one.location == level.location]
    here = [one for one in promises if one.location == level.location]
    return {
        **show_level(level),
        "sellable": sells,
        "explanation": (
            f"{level.available} available = {level.on_hand} on hand - {level.reserved} reserved"
            f" - {level.committed} committed - {level.safety_stock} safety stock"
        ),
        "holds": [one.show(one.held) for one in here if one.held],
        "promises": [one.show(one.committed) for one in here if one.committed],
        "expected": [one.show() for one in expected if one.location == level.location],
        "movements": own[::-1],
    }
