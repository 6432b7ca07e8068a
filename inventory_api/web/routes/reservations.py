"""Reservations: hold, declare, confirm, fulfill, release, extend."""

from collections.abc import Mapping
from typing import Annotated, Any

import orjson
from fastapi import Query
from starlette.responses import Response

from inventory_api.domain.rejections import Code
from inventory_api.domain.reservation import (
    Hold,
    Part,
    Reserve,
    ReserveLine,
    Settle,
    Sourcing,
    hold_at,
    show_hold,
)
from inventory_api.store.holds import current_hold, find_holds, holds_of, leading_holds
from inventory_api.web.answers import answered, etag, key_of, require_locations
from inventory_api.web.call import Call
from inventory_api.web.hold_schemas import (
    DeclareBody,
    ExtendBody,
    ReferencePath,
    ReservationQuery,
    ReserveBody,
    SettleBody,
)
from inventory_api.web.paging import partly_shown, position_of
from inventory_api.web.problems import Problem, invalid
from inventory_api.web.reply import RawHeader, json_reply
from inventory_api.web.routing import Router
from inventory_api.web.schemas import ID
from inventory_api.web.shapes import ReservationAnswer, ReservationList

router = Router("Reservations")
Fields = Mapping[str, Any]  # Any: JSON values

RESERVE_ERRORS = (
    Code.INSUFFICIENT_STOCK,
    Code.UNKNOWN_SKU,
    Code.UNKNOWN_LOCATION,
    Code.ITEM_ARCHIVED,
    Code.LOCATION_ARCHIVED,
    Code.IN_TRANSIT,
    Code.TOO_MANY_COMPONENTS,
)
SETTLE_ERRORS = (
    Code.UNKNOWN_ID,
    Code.RESERVATION_NOT_ACTIVE,
    Code.RESERVATION_EXPIRED,
    Code.NOT_OPEN,
)


@router.post(
    "/v1/reservations",
    needs="write",
    answer=ReservationAnswer,
    status=201,
    errors=(*RESERVE_ERRORS, Code.ALREADY_EXISTS),
    batch=True,
    example={
        "reference": "cart:8f2",
        "ttl_s": 600,
        "lines": [{"sku": "P001", "quantity": 2}],
    },
)
async def reserve(call: Call, body: ReserveBody) -> Response | Problem:
    """Hold stock for a while: all lines or none, or what there is with `allow_partial`.

    A line without a location is sourced among the locations that sell: from one that has all of
    it if there is one, else from several.
    """
    return await _reserve(call, body, body.get("reference"), declared=False)


@router.put(
    "/v1/reservations/by-reference/{reference}",
    needs="write",
    answer=ReservationAnswer,
    also={201: ReservationAnswer},
    errors=(*RESERVE_ERRORS, *SETTLE_ERRORS[:-1], Code.ALREADY_EXISTS),
    batch=True,
    example={"ttl_s": 600, "lines": [{"sku": "P001", "quantity": 3}]},
)
async def declare_a_reservation(
    call: Call, reference: ReferencePath, body: DeclareBody
) -> Response | Problem:
    """Declare what a reference shall hold from now on, whatever it held before.

    The service books the difference, never counts the caller's own hold against it, and renews
    its life. No lines release it; where nothing is held they show the last reservation as it is.
    """
    return await _reserve(call, body, reference, declared=True)


@router.get("/v1/reservations", needs="read", answer=ReservationList)
async def list_the_reservations(
    call: Call, query: Annotated[ReservationQuery, Query()]
) -> Response:
    """List reservations in the order in which they were made."""
    (after,) = position_of(query.cursor, "")
    async with call.service.reading() as session:
        ids = await find_holds(
            session,
            after=after,
            limit=query.limit,
            status=query.status,
            reference=query.reference,
            now=call.service.steady_clock(),
        )
        lines_max = call.service.settings.page_lines_max
        holds = await leading_holds(session, ids, lines_max=lines_max)
    seen = [one for one in holds.values() if one.is_seen_by(call.principal.locations)]
    shown = [_shown(call, one) for one in seen]
    shown = [one for one in shown if query.status in (None, one["status"])]
    return json_reply(partly_shown(shown, asked=ids, looked_at=holds, limit=query.limit))


@router.get(
    "/v1/reservations/{reservation_id}",
    needs="read",
    answer=ReservationAnswer,
    errors=(Code.UNKNOWN_ID,),
)
async def get_a_reservation(call: Call, reservation_id: ID) -> Response | Problem:
    """Show a reservation; at the end of its life it is expired, to the microsecond."""
    async with call.service.reading() as session:
        hold = (await holds_of(session, [reservation_id])).get(reservation_id)
    return _found(call, hold)


@router.get(
    "/v1/reservations/by-reference/{reference}",
    needs="read",
    answer=ReservationAnswer,
    errors=(Code.UNKNOWN_ID,),
)
async def get_a_reservation_by_reference(
    call: Call, reference: ReferencePath
) -> Response | Problem:
    """Show the open reservation of a reference, or the last one if none is open."""
    async with call.service.reading() as session:
        hold = await current_hold(session, reference)
    return _found(call, hold)


@router.post(
    "/v1/reservations/{reservation_id}/confirm",
    needs="write",
    answer=ReservationAnswer,
    errors=(*SETTLE_ERRORS, Code.INSUFFICIENT_STOCK, Code.ALREADY_EXISTS),
    example={"lines": [{"sku": "P001", "quantity": 1}]},
)
async def confirm_a_reservation(
    call: Call, reservation_id: ID, body: SettleBody | None = None
) -> Response | Problem:
    """Promise what is held firmly: it is paid and will not expire.

    If the hold has expired it is taken again where it was, if it is still free: then the answer
    says `recovered`. If the cart has a new hold meanwhile, that one counts.
    """
    return await _settle(call, "confirm", reservation_id, body or {})


@router.post(
    "/v1/reservations/{reservation_id}/fulfill",
    needs="write",
    answer=ReservationAnswer,
    errors=(*SETTLE_ERRORS, Code.INSUFFICIENT_STOCK),
    example={"lines": [{"sku": "P001", "quantity": 1}]},
)
async def fulfill_a_reservation(
    call: Call, reservation_id: ID, body: SettleBody | None = None
) -> Response | Problem:
    """Ship what is confirmed: it leaves the shelf."""
    return await _settle(call, "fulfill", reservation_id, body or {})


@router.post(
    "/v1/reservations/{reservation_id}/release",
    needs="write",
    answer=ReservationAnswer,
    errors=SETTLE_ERRORS,
    example={"lines": [{"sku": "P001", "quantity": 1}]},
)
async def release_a_reservation(
    call: Call, reservation_id: ID, body: SettleBody | None = None
) -> Response | Problem:
    """Give back what is held or confirmed."""
    return await _settle(call, "release", reservation_id, body or {})


@router.post(
    "/v1/reservations/{reservation_id}/extend",
    needs="write",
    answer=ReservationAnswer,
    errors=SETTLE_ERRORS[:-1],
    example={"ttl_s": 600},
)
async def extend_a_reservation(
    call: Call, reservation_id: ID, body: ExtendBody | None = None
) -> Response | Problem:
    """Let a hold live so long from now on."""
    ttl_us = _ttl_us(call, body or {})
    command = Settle(
        kind="extend", id=reservation_id, ttl_us=ttl_us, visible=call.principal.locations
    )
    return await _submitted(call, command, body or {})


async def _reserve(
    call: Call, body: Fields, reference: str | None, *, declared: bool
) -> Response | Problem:
    lines = tuple(
        ReserveLine(line["sku"], line.get("location"), line["quantity"]) for line in body["lines"]
    )
    require_locations(call, {line.location for line in lines if line.location is not None})
    command = Reserve(
        lines=lines,
        ttl_us=_ttl_us(call, body),
        reference=reference,
        declared=declared,
        allow_partial=body.get("allow_partial", False),
        sourcing=Sourcing(body.get("sourcing", "priority")),
        visible=call.principal.locations,
        note=body.get("note"),
    )
    return await _submitted(call, command, body)


async def _settle(call: Call, kind: str, reservation_id: str, body: Fields) -> Response | Problem:
    parts = tuple(
        Part(line["sku"], line.get("location"), line.get("quantity"))
        for line in body.get("lines", ())
    )
    command = Settle(
        kind=kind,
        id=reservation_id,
        lines=parts,
        visible=call.principal.locations,
        note=body.get("note"),
    )
    return await _submitted(call, command, body)


async def _submitted(call: Call, command: Reserve | Settle, body: Fields) -> Response | Problem:
    outcome = await call.service.submit(command, actor=call.principal.id, key=key_of(call, body))
    headers: list[RawHeader] = []
    status = 200
    if isinstance(command, Reserve) and outcome.refused is None:
        told = orjson.loads(outcome.answer)
        if told["created"]:
            status = 201
            headers = [(b"location", f"/v1/reservations/{told['id']}".encode())]
    # Lines are refused together, whatever the code of the first one.
    refused_status = 409 if outcome.refused in RESERVE_ERRORS else None
    return answered(outcome, status=status, headers=headers, refused_status=refused_status)


def _ttl_us(call: Call, body: Fields) -> int:
    settings = call.service.settings
    ttl_s = body.get("ttl_s") or settings.reservation_ttl_s
    if ttl_s > settings.reservation_ttl_max_s:
        most = settings.reservation_ttl_max_s
        raise invalid("ttl_s", f"must be at most {most}", f"最多 {most}")
    return int(ttl_s * 1_000_000)


def _found(call: Call, hold: Hold | None) -> Response | Problem:
    if hold is None or not hold.is_seen_by(call.principal.locations):
        return Problem(Code.UNKNOWN_ID)
    return json_reply(_shown(call, hold), headers=[etag(hold.reservation.version)])


def _shown(call: Call, hold: Hold) -> dict[str, Any]:  # Any: JSON values
    return show_hold(hold_at(hold, call.service.steady_clock()))
