"""Inbounds: goods expected from outside, received, cancelled or put off."""

from typing import Annotated

from fastapi import Query
from starlette.responses import Response

from inventory_api.domain.rejections import Code
from inventory_api.domain.shipment import (
    Announce,
    Arrival,
    Cancel,
    ExpectLine,
    Receive,
    Reschedule,
    Withdrawal,
)
from inventory_api.web.call import Call
from inventory_api.web.problems import Problem
from inventory_api.web.routing import Router
from inventory_api.web.schemas import ID
from inventory_api.web.shipment_schemas import (
    CancelInboundBody,
    InboundBody,
    ReceiveInboundBody,
    ScheduleBody,
    ShipmentQuery,
)
from inventory_api.web.shipment_shapes import InboundAnswer, InboundList
from inventory_api.web.shipments import (
    LINE_ERRORS,
    SETTLE_ERRORS,
    Fields,
    announced,
    changed,
    found,
    listed,
)

router = Router("Inbound")


@router.post(
    "/v1/inbounds",
    needs="write",
    answer=InboundAnswer,
    status=201,
    errors=LINE_ERRORS,
    batch=True,
    example={
        "reference": "po:77",
        "expected_at": "2030-12-01T09:00:00Z",
        "lines": [{"sku": "P001", "location": "main", "quantity": 20}],
    },
)
async def expect_an_inbound(call: Call, body: InboundBody) -> Response | Problem:
    """Expect goods: they count as `incoming`, and not as available, until they are received.

    A date that is to come is told as `next_available_at` to whoever asks for more than there is.
    """
    asked: Fields = body
    somewhere = call.service.default_location
    command = Announce(
        lines=tuple(
            ExpectLine(line["sku"], line.get("location") or somewhere, line["quantity"])
            for line in asked["lines"]
        ),
        reference=asked.get("reference"),
        expected_at=asked.get("expected_at"),
        visible=call.principal.locations,
        note=asked.get("note"),
    )
    return await announced(call, command, body)


@router.get("/v1/inbounds", needs="read", answer=InboundList)
async def list_the_inbounds(call: Call, query: Annotated[ShipmentQuery, Query()]) -> Response:
    """List inbounds in the order in which they were made."""
    return await listed(call, "inbound", query)


@router.get(
    "/v1/inbounds/{inbound_id}", needs="read", answer=InboundAnswer, errors=(Code.UNKNOWN_ID,)
)
async def get_an_inbound(call: Call, inbound_id: ID) -> Response | Problem:
    """Show an inbound, and what of it is still open."""
    return await found(call, "inbound", inbound_id)


@router.patch(
    "/v1/inbounds/{inbound_id}",
    needs="write",
    answer=InboundAnswer,
    errors=(Code.UNKNOWN_ID, Code.NOT_OPEN, Code.VERSION_MISMATCH),
    if_match=True,
    example={"expected_at": "2030-12-08T09:00:00Z"},
)
async def reschedule_an_inbound(
    call: Call, inbound_id: ID, body: ScheduleBody
) -> Response | Problem:
    """Expect what is open of an inbound at another time, or at an unknown one."""
    command = Reschedule(
        id=inbound_id,
        of="inbound",
        expected_at=body["expected_at"],
        if_match=call.if_match,
        visible=call.principal.locations,
    )
    return await changed(call, command, body)


@router.post(
    "/v1/inbounds/{inbound_id}/receive",
    needs="write",
    answer=InboundAnswer,
    errors=SETTLE_ERRORS,
    batch=True,
    example={"lines": [{"sku": "P001", "quantity": 12}]},
)
async def receive_an_inbound(
    call: Call, inbound_id: ID, body: ReceiveInboundBody | None = None
) -> Response | Problem:
    """Put on the shelf what has come: everything, or the parts in `lines`; the rest stays open.

    What has come is a fact: more than was expected is booked too, and what comes after the end.
    """
    told: Fields = body or {}
    arrivals = tuple(
        Arrival(line["sku"], line.get("location"), line["quantity"])
        for line in told.get("lines", ())
    )
    command = Receive(
        id=inbound_id,
        of="inbound",
        lines=arrivals,
        visible=call.principal.locations,
        note=told.get("note"),
    )
    return await changed(call, command, told)


@router.post(
    "/v1/inbounds/{inbound_id}/cancel",
    needs="write",
    answer=InboundAnswer,
    errors=SETTLE_ERRORS,
    batch=True,
    example={"lines": [{"sku": "P001", "quantity": 8}]},
)
async def cancel_an_inbound(
    call: Call, inbound_id: ID, body: CancelInboundBody | None = None
) -> Response | Problem:
    """Expect no more what is open, or the parts in `lines`."""
    told: Fields = body or {}
    withdrawals = tuple(
        Withdrawal(line["sku"], line.get("location"), line.get("quantity"))
        for line in told.get("lines", ())
    )
    command = Cancel(
        id=inbound_id,
        of="inbound",
        lines=withdrawals,
        visible=call.principal.locations,
        note=told.get("note"),
    )
    return await changed(call, command, told)
