"""What inbounds and transfers have in common: how they are asked for, found and listed."""

from collections.abc import Mapping
from typing import Any

import orjson
from starlette.responses import Response

from inventory_api.domain.rejections import Code
from inventory_api.domain.shipment import (
    Announce,
    Cancel,
    Receive,
    Reschedule,
    ShipmentKind,
    show_shipment,
)
from inventory_api.store.shipments import consignments_of, find_shipments, leading_shipments
from inventory_api.web.answers import answered, etag, key_of, require_locations
from inventory_api.web.call import Call
from inventory_api.web.paging import partly_shown, position_of
from inventory_api.web.problems import Problem
from inventory_api.web.reply import json_reply
from inventory_api.web.shipment_schemas import ShipmentQuery

Fields = Mapping[str, Any]  # Any: JSON values

# Of lines, which are refused together.
LINE_ERRORS = (
    Code.UNKNOWN_SKU,
    Code.UNKNOWN_LOCATION,
    Code.ITEM_ARCHIVED,
    Code.LOCATION_ARCHIVED,
    Code.QUANTITY_OUT_OF_RANGE,
)
SETTLE_ERRORS = (
    Code.UNKNOWN_ID,
    Code.NOT_OPEN,
    Code.ITEM_ARCHIVED,
    Code.LOCATION_ARCHIVED,
    Code.QUANTITY_OUT_OF_RANGE,
)


async def announced(call: Call, command: Announce, body: Fields) -> Response | Problem:
    """A new shipment, at its path."""
    require_locations(call, {location for _, location in command.level_keys()})
    outcome = await call.service.submit(command, actor=call.principal.id, key=key_of(call, body))
    if outcome.refused is not None:
        return answered(outcome, refused_status=409)
    name = orjson.loads(outcome.answer)["id"]
    location = (b"location", f"/v1/{command.of}s/{name}".encode())
    return answered(outcome, status=201, headers=[location])


async def changed(
    call: Call, command: Receive | Cancel | Reschedule, body: Fields
) -> Response | Problem:
    """A shipment after a change of it."""
    outcome = await call.service.submit(command, actor=call.principal.id, key=key_of(call, body))
    refused_status = 409 if outcome.refused in LINE_ERRORS else None
    return answered(outcome, refused_status=refused_status)


async def found(call: Call, kind: ShipmentKind, name: str) -> Response | Problem:
    """One shipment, if it is of this kind and the caller may see all of it."""
    async with call.service.reading() as session:
        consignment = (await consignments_of(session, [name])).get(name)
    if consignment is None or consignment.shipment.kind != kind:
        return Problem(Code.UNKNOWN_ID)
    if not consignment.is_seen_by(call.principal.locations):
        return Problem(Code.UNKNOWN_ID)
    headers = [etag(consignment.shipment.version)]
    return json_reply(show_shipment(consignment), headers=headers)


async def listed(call: Call, kind: ShipmentKind, query: ShipmentQuery) -> Response:
    """A page of the shipments of a kind, without those that the caller may not see."""
    (after,) = position_of(query.cursor, "")
    async with call.service.reading() as session:
        names = await find_shipments(
            session,
            kind=kind,
            after=after,
            limit=query.limit,
            status=query.status,
            reference=query.reference,
        )
        lines_max = call.service.settings.page_lines_max
        known = await leading_shipments(session, names, lines_max=lines_max)
    visible = call.principal.locations
    shown = [show_shipment(one) for one in known.values() if one.is_seen_by(visible)]
    return json_reply(partly_shown(shown, asked=names, looked_at=known, limit=query.limit))
