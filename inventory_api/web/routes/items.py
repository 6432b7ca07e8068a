"""The catalogue: what is stocked."""

from typing import Annotated, Any
from urllib.parse import quote

import orjson
from fastapi import Query
from starlette.responses import Response

from inventory_api.domain.catalog import Item
from inventory_api.domain.outcome import Outcome
from inventory_api.domain.rejections import Code
from inventory_api.domain.types import SKU, Instant, Recipe
from inventory_api.store.catalog import (
    change_item,
    create_item,
    find_item,
    list_items,
    shown_items,
)
from inventory_api.store.database import Session
from inventory_api.web.answers import answered, etag, key_of
from inventory_api.web.call import Call
from inventory_api.web.paging import cursor_after, page, position_of
from inventory_api.web.problems import Problem, invalid
from inventory_api.web.reply import json_reply
from inventory_api.web.routing import Router
from inventory_api.web.schemas import ItemBody, ItemChange, ItemQuery, SKUPath
from inventory_api.web.shapes import ItemAnswer, ItemList

router = Router("Items")
KIT_ERRORS = (Code.UNFIT_COMPONENT, Code.HAD_STOCK, Code.ITEM_IN_USE)
EXAMPLE = {
    "sku": "P006",
    "name": "Webcam",
    "barcode": "4006381333931",
    "unit_price": {"amount": "249.00", "currency": "CNY"},
    "attributes": {"colour": "black"},
}


@router.post(
    "/v1/items",
    needs="write",
    answer=ItemAnswer,
    status=201,
    errors=(Code.ALREADY_EXISTS, *KIT_ERRORS),
    example=EXAMPLE,
)
async def create_an_item(call: Call, body: ItemBody) -> Response | Problem:
    """Add an item to the catalogue; one with `components` is a kit of those.

    A kit has no stock of its own: it can be sold as often as its components allow.
    """
    recipe = _recipe(body)

    async def work(session: Session, now: Instant) -> Outcome:
        amount, currency = _price(call, body.get("unit_price"))
        attributes = orjson.dumps(body.get("attributes", {})).decode()
        sku, name, barcode = body["sku"], body["name"], body.get("barcode")
        item = Item(sku, name, barcode, amount, currency, attributes, "active", 1, now, now)
        return await create_item(session, item, recipe)

    outcome = await call.service.transact(work, actor=call.principal.id, key=key_of(call, body))
    location = (b"location", f"/v1/items/{quote(body['sku'], safe='')}".encode())
    return answered(outcome, status=201, headers=[location] if outcome.refused is None else [])


@router.get("/v1/items", needs="read", answer=ItemList)
async def list_the_items(call: Call, query: Annotated[ItemQuery, Query()]) -> Response:
    """List items by SKU.

    `q` finds a part of the SKU or of the name, or a whole barcode.
    """
    (after,) = position_of(query.cursor, "")
    async with call.service.reading() as session:
        items = await list_items(
            session, q=query.q, status=query.status, after=after, limit=query.limit
        )
        shown = await shown_items(session, items)
    cursor = cursor_after(items[-1].sku) if items else None
    return json_reply(page(shown, query.limit, cursor))


@router.get("/v1/items/{sku}", needs="read", answer=ItemAnswer, errors=(Code.UNKNOWN_SKU,))
async def get_an_item(call: Call, sku: SKUPath) -> Response | Problem:
    """Show an item."""
    async with call.service.reading() as session:
        item = await find_item(session, sku)
        if item is None:
            return Problem(Code.UNKNOWN_SKU)
        (shown,) = await shown_items(session, [item])
    return json_reply(shown, headers=[etag(item.version)])


@router.patch(
    "/v1/items/{sku}",
    needs="write",
    answer=ItemAnswer,
    errors=(Code.UNKNOWN_SKU, Code.VERSION_MISMATCH, *KIT_ERRORS),
    if_match=True,
    example={"unit_price": {"amount": "5799.00", "currency": "CNY"}},
)
async def change_an_item(call: Call, sku: SKUPath, body: ItemChange) -> Response | Problem:
    """Change an item; what is left out stays as it is.

    `components` make it a kit, unless it has had stock; null or an empty list make it a plain
    item again. What is held already keeps the components that it was held with.
    """
    if not body:
        raise invalid("body", "must name at least one field", "必须至少包含一个字段")
    changes: dict[str, Any] = dict(body)  # Any: values of columns
    if "unit_price" in changes:
        changes["amount"], changes["currency"] = _price(call, changes.pop("unit_price"))
    if "attributes" in changes:
        changes["attributes"] = orjson.dumps(changes["attributes"]).decode()
    recipe = _recipe(body) if "components" in changes else None
    changes.pop("components", None)
    return await _change(call, sku, changes, body, recipe)


@router.delete(
    "/v1/items/{sku}",
    needs="write",
    answer=ItemAnswer,
    errors=(Code.UNKNOWN_SKU, Code.VERSION_MISMATCH, Code.ITEM_IN_USE),
    if_match=True,
)
async def archive_an_item(call: Call, sku: SKUPath) -> Response | Problem:
    """Archive an item; its history stays, and a PATCH of `status` brings it back.

    An item that has stock, holds or promises anywhere, or is a part of a kit that is active, can't
    be archived.
    """
    return await _change(call, sku, {"status": "archived"}, None)


async def _change(
    call: Call,
    sku: str,
    changes: dict[str, Any],  # Any: values of columns
    body: object,
    recipe: Recipe | None = None,
) -> Response | Problem:
    async def work(session: Session, now: Instant) -> Outcome:
        steady = call.service.steady_clock()
        return await change_item(
            session,
            sku,
            changes,
            if_match=call.if_match,
            now=now,
            steady=steady,
            recipe=recipe,
        )

    outcome = await call.service.transact(work, actor=call.principal.id, key=key_of(call, body))
    return answered(outcome)


def _recipe(body: ItemBody | ItemChange) -> Recipe:
    """The components that are given, by SKU; each once."""
    given = body.get("components") or []
    recipe = tuple(sorted((SKU(one["sku"]), one["quantity"]) for one in given))
    if len({sku for sku, _ in recipe}) < len(recipe):
        raise invalid("components", "must name each item once", "每个商品只能出现一次")
    return recipe


def _price(call: Call, price: Any) -> tuple[str | None, str | None]:  # Any: a Price or None
    if price is None:
        return None, None
    return price["amount"], price.get("currency", call.service.settings.default_currency)
