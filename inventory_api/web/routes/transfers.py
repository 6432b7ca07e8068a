"""Transfers in two steps: shipped from one location, received at another."""

from collections.abc import Iterator
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
from inventory_api.web.problems import Invalid, InvalidField, Problem
from inventory_api.web.routing import Router
from inventory_api.web.schemas import ID
from inventory_api.web.shipment_schemas import (
    CancelTransferBody,
    ReceiveTransferBody,
    ScheduleBody,
    ShipBody,
    ShipmentQuery,
)
from inventory_api.web.shipment_shapes import TransferAnswer, TransferList
from inventory_api.web.shipments import (
    LINE_ERRORS,
    SETTLE_ERRORS,
    Fields,
    announced,
    changed,
    found,
    listed,
)

router = Router("Transfers")


@router.post(
    "/v1/transfers",
    needs="write",
    answer=TransferAnswer,
    status=201,
    errors=(Code.INSUFFICIENT_STOCK, *LINE_ERRORS, Code.SAME_LOCATION, Code.NOT_TRANSIT),
    batch=True,
    example={
        "from": "main",
        "to": "quarantine",
        "reference": "truck:12",
        "lines": [{"sku": "P002", "quantity": 5}],
    },
)
async def ship_a_transfer(call: Call, body: ShipBody) -> Response | Problem:
    """Ship goods to another of our locations: they leave at once, and are expected there.

    Until they are received they are in the transit location, which does not sell: no unit is
    counted twice, and none is lost from the books on its way.
    """
    asked: Fields = body
    target, service = asked["to"], call.service
    command = Announce(
        lines=tuple(ExpectLine(line["sku"], target, line["quantity"]) for line in asked["lines"]),
        reference=asked.get("reference"),
        expected_at=asked.get("expected_at"),
        source=asked.get("from") or service.default_location,
        transit=asked.get("via") or service.settings.transit_location,
        visible=call.principal.locations,
        note=asked.get("note"),
    )
    return await announced(call, command, body)


@router.get("/v1/transfers", needs="read", answer=TransferList)
async def list_the_transfers(call: Call, query: Annotated[ShipmentQuery, Query()]) -> Response:
    """List transfers in the order in which they were shipped."""
    return await listed(call, "transfer", query)


@router.get(
    "/v1/transfers/{transfer_id}", needs="read", answer=TransferAnswer, errors=(Code.UNKNOWN_ID,)
)
async def get_a_transfer(call: Call, transfer_id: ID) -> Response | Problem:
    """Show a transfer, and what of it is still under way."""
    return await found(call, "transfer", transfer_id)


@router.patch(
    "/v1/transfers/{transfer_id}",
    needs="write",
    answer=TransferAnswer,
    errors=(Code.UNKNOWN_ID, Code.NOT_OPEN, Code.VERSION_MISMATCH),
    if_match=True,
    example={"expected_at": "2030-12-08T09:00:00Z"},
)
async def reschedule_a_transfer(
    call: Call, transfer_id: ID, body: ScheduleBody
) -> Response | Problem:
    """Expect what is under way at another time, or at an unknown one."""
    command = Reschedule(
        id=transfer_id,
        of="transfer",
        expected_at=body["expected_at"],
        if_match=call.if_match,
        visible=call.principal.locations,
    )
    return await changed(call, command, body)


@router.post(
    "/v1/transfers/{transfer_id}/receive",
    needs="write",
    answer=TransferAnswer,
    errors=(*SETTLE_ERRORS, Code.INSUFFICIENT_STOCK),
    batch=True,
    example={"lines": [{"sku": "P002", "quantity": 4, "missing": 1, "reason": "lost"}]},
)
async def receive_a_transfer(
    call: Call, transfer_id: ID, body: ReceiveTransferBody | None = None
) -> Response | Problem:
    """Put on the shelf what has arrived, and write off what is `missing`, with its reason.

    Without `lines` everything that is open has arrived. What is neither stays under way.
    """
    told: Fields = body or {}
    if wrong := list(_discrepancies(told)):
        raise Invalid(wrong)
    arrivals = tuple(
        Arrival(line["sku"], None, line["quantity"], line.get("missing", 0), line.get("reason"))
        for line in told.get("lines", ())
    )
    command = Receive(
        id=transfer_id,
        of="transfer",
        lines=arrivals,
        visible=call.principal.locations,
        note=told.get("note"),
    )
    return await changed(call, command, told)


@router.post(
    "/v1/transfers/{transfer_id}/cancel",
    needs="write",
    answer=TransferAnswer,
    errors=(*SETTLE_ERRORS, Code.INSUFFICIENT_STOCK),
    batch=True,
    example={"lines": [{"sku": "P002", "quantity": 1}]},
)
async def cancel_a_transfer(
    call: Call, transfer_id: ID, body: CancelTransferBody | None = None
) -> Response | Problem:
    """Take back to the source what is under way, or the parts in `lines`."""
    told: Fields = body or {}
    withdrawals = tuple(
        Withdrawal(line["sku"], None, line.get("quantity")) for line in told.get("lines", ())
    )
    command = Cancel(
        id=transfer_id,
        of="transfer",
        lines=withdrawals,
        visible=call.principal.locations,
        note=told.get("note"),
    )
    return await changed(call, command, told)


def _discrepancies(body: Fields) -> Iterator[InvalidField]:
    """What is wrong about lines although each of their fields is good."""
    for index, line in enumerate(body.get("lines", ())):
        missing = line.get("missing", 0)
        if missing and line.get("reason") is None:
            field = f"lines[{index}].reason"
            yield InvalidField(
                field, "missing", "must say why units are missing", "必须说明缺失原因"
            )
        if not missing + line["quantity"]:
            field = f"lines[{index}].quantity"
            message = "must be at least 1 if nothing is missing"
            yield InvalidField(field, "value_error", message, "没有缺失时必须至少为 1")
