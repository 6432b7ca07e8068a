"""Where stock is."""

from typing import Annotated, Any
from urllib.parse import quote

from fastapi import Query
from starlette.responses import Response

from inventory_api.domain.catalog import Location, show_location
from inventory_api.domain.outcome import Outcome
from inventory_api.domain.rejections import Code
from inventory_api.domain.types import Instant
from inventory_api.store.catalog import (
    change_location,
    create_location,
    find_location,
    list_locations,
)
from inventory_api.store.database import Session
from inventory_api.web.answers import answered, etag, key_of, require_locations
from inventory_api.web.call import Call
from inventory_api.web.paging import cursor_after, page, position_of
from inventory_api.web.problems import Problem, invalid
from inventory_api.web.reply import json_reply
from inventory_api.web.routing import Router
from inventory_api.web.schemas import LocationBody, LocationChange, LocationPath, Page
from inventory_api.web.shapes import LocationAnswer, LocationList

router = Router("Locations")
SELLING_KINDS = ("warehouse", "store")


@router.post(
    "/v1/locations",
    needs="write",
    answer=LocationAnswer,
    status=201,
    errors=(Code.ALREADY_EXISTS,),
    example={"code": "store-1", "name": "Store 1", "kind": "store", "sellable": True},
)
async def create_a_location(call: Call, body: LocationBody) -> Response | Problem:
    """Add a location: a warehouse, unless said otherwise.

    Warehouses and stores sell unless said otherwise; suppliers and goods in transit do not.
    """
    require_locations(call, (body["code"],))
    kind = body.get("kind", "warehouse")

    async def work(session: Session, now: Instant) -> Outcome:
        location = Location(
            code=body["code"],
            name=body.get("name", body["code"]),
            kind=kind,
            sellable=int(body.get("sellable", kind in SELLING_KINDS)),
            priority=body.get("priority", 0),
            status="active",
            version=1,
            created_at=now,
            updated_at=now,
        )
        return await create_location(session, location)

    outcome = await call.service.transact(work, actor=call.principal.id, key=key_of(call, body))
    header = (b"location", f"/v1/locations/{quote(body['code'], safe='')}".encode())
    return answered(outcome, status=201, headers=[header] if outcome.refused is None else [])


@router.get("/v1/locations", needs="read", answer=LocationList)
async def list_the_locations(call: Call, query: Annotated[Page, Query()]) -> Response:
    """List locations by code."""
    (after,) = position_of(query.cursor, "")
    async with call.service.reading() as session:
        locations = await list_locations(session, after=after, limit=query.limit)
    cursor = cursor_after(locations[-1].code) if locations else None
    return json_reply(page([show_location(one) for one in locations], query.limit, cursor))


@router.get(
    "/v1/locations/{code}", needs="read", answer=LocationAnswer, errors=(Code.UNKNOWN_LOCATION,)
)
async def get_a_location(call: Call, code: LocationPath) -> Response | Problem:
    """Show a location."""
    async with call.service.reading() as session:
        location = await find_location(session, code)
    if location is None:
        return Problem(Code.UNKNOWN_LOCATION)
    return json_reply(show_location(location), headers=[etag(location.version)])


@router.patch(
    "/v1/locations/{code}",
    needs="write",
    answer=LocationAnswer,
    errors=(Code.UNKNOWN_LOCATION, Code.VERSION_MISMATCH, Code.LOCATION_IN_USE),
    if_match=True,
    example={"priority": 10},
)
async def change_a_location(
    call: Call, code: LocationPath, body: LocationChange
) -> Response | Problem:
    """Change a location; what is left out stays as it is.

    `status: archived` closes it; one that has stock, holds or promises can't be closed.
    """
    if not body:
        raise invalid("body", "must name at least one field", "必须至少包含一个字段")
    require_locations(call, (code,))
    changes: dict[str, Any] = dict(body)  # Any: values of columns
    if "sellable" in changes:
        changes["sellable"] = int(changes["sellable"])

    async def work(session: Session, now: Instant) -> Outcome:
        steady = call.service.steady_clock()
        return await change_location(
            session, code, changes, if_match=call.if_match, now=now, steady=steady
        )

    outcome = await call.service.transact(work, actor=call.principal.id, key=key_of(call, body))
    return answered(outcome)
