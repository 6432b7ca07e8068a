"""Counts: what is on the shelf, against what the books said when it was counted."""

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Annotated

import orjson
from fastapi import Query
from starlette.responses import Response

from inventory_api.domain.catalog import Item
from inventory_api.domain.count_report import (
    CELLS,
    Price,
    cells,
    report_lines,
    show_report,
)
from inventory_api.domain.count_sheet import (
    CountSheet,
    OpenCount,
    RecordCount,
    SettleCount,
    Tallied,
    Tally,
    is_hidden,
    show_sheet,
    show_tallied,
)
from inventory_api.domain.principal import Scope
from inventory_api.domain.rejections import Code
from inventory_api.domain.types import SKU, LocationCode
from inventory_api.store.catalog import find_items
from inventory_api.store.counts import find_counts, lines_of, sheets_of
from inventory_api.store.database import Session
from inventory_api.web.answers import answered, etag, key_of, require_locations
from inventory_api.web.call import Call
from inventory_api.web.count_schemas import CountBody, CountQuery, RecordBody, VarianceQuery
from inventory_api.web.count_shapes import CountAnswer, CountList, VarianceAnswer
from inventory_api.web.paging import cursor_after, page, position_of
from inventory_api.web.problem_kinds import HTTPCode
from inventory_api.web.problems import Invalid, InvalidField, Problem, field_path
from inventory_api.web.reply import RawHeader, json_reply, reply
from inventory_api.web.routing import Router
from inventory_api.web.rows import csv_text
from inventory_api.web.schemas import ID
from inventory_api.web.streams import CSV

router = Router("Counts")

CHANGE_ERRORS = (Code.UNKNOWN_ID, Code.VERSION_MISMATCH, Code.COUNT_NOT_OPEN)
# A line with one of these is one of several: the whole is a conflict and nothing that is not found.
OF_LINES = frozenset({Code.UNKNOWN_SKU, Code.UNKNOWN_VERSION})


@router.post(
    "/v1/counts",
    needs="write",
    answer=CountAnswer,
    status=201,
    errors=(
        Code.UNKNOWN_SKU,
        Code.UNKNOWN_LOCATION,
        Code.ITEM_ARCHIVED,
        Code.LOCATION_ARCHIVED,
        Code.TOO_MANY_LINES,
    ),
    batch=True,
    example={"skus": ["P001", "P002"], "reference": "stocktake:2026"},
)
async def open_a_count(call: Call, body: CountBody) -> Response | Problem:
    """Open a count: each line remembers the level as it is now, and sales go on meanwhile.

    Without `skus` everything that is at the location is counted. A blind count shows what it
    expects to nobody but an admin until it is posted.
    """
    skus = body.get("skus") or ()
    _refuse_repeated(("skus", index, sku) for index, sku in enumerate(skus))
    location = LocationCode(body.get("location") or call.service.default_location)
    require_locations(call, {location})
    command = OpenCount(
        location=location,
        skus=tuple(map(SKU, skus)),
        blind=body.get("blind", False),
        approval_threshold=_threshold(call, body),
        reference=body.get("reference"),
        note=body.get("note"),
        lines_max=call.service.settings.lines_max,
        sees_expected=_sees_expected(call),
        visible=call.principal.locations,
    )
    outcome = await call.service.submit(command, actor=call.principal.id, key=key_of(call, body))
    headers: list[RawHeader] = []
    if outcome.refused is None:
        path = f"/v1/counts/{orjson.loads(outcome.answer)['id']}"
        headers = [(b"location", path.encode())]
    refused_status = 409 if outcome.refused in OF_LINES else None
    return answered(outcome, status=201, headers=headers, refused_status=refused_status)


@router.get("/v1/counts", needs="read", answer=CountList)
async def list_the_counts(call: Call, query: Annotated[CountQuery, Query()]) -> Response:
    """List counts without their lines, in the order in which they were opened."""
    (after,) = position_of(query.cursor, "")
    if query.location is not None:
        require_locations(call, {query.location})
    async with call.service.reading() as session:
        sheets = await find_counts(
            session,
            after=after,
            limit=query.limit,
            status=query.status,
            location=query.location,
            reference=query.reference,
            locations=call.principal.locations,
        )
    cursor = cursor_after(sheets[-1].id) if sheets else None
    return json_reply(page([show_sheet(sheet) for sheet in sheets], query.limit, cursor))


@router.get("/v1/counts/{count_id}", needs="read", answer=CountAnswer, errors=(Code.UNKNOWN_ID,))
async def get_a_count(call: Call, count_id: ID) -> Response | Problem:
    """Show a count with its lines."""
    async with call.service.reading() as session:
        if (sheet := await _find(call, session, count_id)) is None:
            return Problem(Code.UNKNOWN_ID)
        lines = await lines_of(session, count_id)
    told = Tallied(sheet, tuple(lines), _sees_expected(call))
    return json_reply(show_tallied(told), headers=[etag(sheet.version)])


@router.get(
    "/v1/counts/{count_id}/variance",
    needs="read",
    answer=VarianceAnswer,
    errors=(Code.UNKNOWN_ID,),
    produces=("text/csv",),
)
async def report_the_variance(
    call: Call, count_id: ID, query: Annotated[VarianceQuery, Query()]
) -> Response | Problem:
    """Report how far the books were from the shelf, in units and by the prices of today.

    The largest variance comes first. The report of a count that is not posted is provisional. As
    CSV it has the lines only.
    """
    async with call.service.reading() as session:
        if (sheet := await _find(call, session, count_id)) is None:
            return Problem(Code.UNKNOWN_ID)
        lines = await lines_of(session, count_id)
        prices = _prices(await find_items(session, [line.sku for line in lines]))
    hidden = is_hidden(sheet, sees_expected=_sees_expected(call))
    ordered = report_lines(lines, prices, hidden=hidden)
    headers = [etag(sheet.version), (b"vary", b"accept")]
    if query.format == "csv" or (query.format is None and _accepts_csv(call)):
        rows = [CELLS, *(cells(sheet, line, hidden=hidden) for line in ordered)]
        name = f'attachment; filename="variance-{count_id}.csv"'.encode()
        headers.append((b"content-disposition", name))
        return reply(csv_text(rows), content_type=CSV, headers=headers)
    return json_reply(show_report(sheet, ordered, hidden=hidden), headers=headers)


@router.post(
    "/v1/counts/{count_id}/lines",
    needs="write",
    answer=CountAnswer,
    errors=(*CHANGE_ERRORS, *OF_LINES, Code.ITEM_ARCHIVED, Code.TOO_MANY_LINES),
    batch=True,
    if_match=True,
    example={"lines": [{"sku": "P001", "counted": 49}]},
)
async def record_a_count(call: Call, count_id: ID, body: RecordBody) -> Response | Problem:
    """Record what was counted, again if need be; the answer shows these lines.

    It is measured against the level as the line saw it at the opening, or as it was at the
    `level_version` that the counter saw. A SKU that is not on the count is added. An approval is
    taken back.
    """
    _refuse_repeated(
        ("lines", index, "sku", line["sku"]) for index, line in enumerate(body["lines"])
    )
    tallies = tuple(
        Tally(SKU(line["sku"]), line["counted"], line.get("level_version"))
        for line in body["lines"]
    )
    command = RecordCount(
        id=count_id,
        lines=tallies,
        if_match=call.if_match,
        lines_max=call.service.settings.lines_max,
        sees_expected=_sees_expected(call),
        visible=call.principal.locations,
    )
    outcome = await call.service.submit(command, actor=call.principal.id, key=key_of(call, body))
    return answered(outcome, refused_status=409 if outcome.refused in OF_LINES else None)


@router.post(
    "/v1/counts/{count_id}/approve",
    needs="admin",
    answer=CountAnswer,
    errors=CHANGE_ERRORS,
    if_match=True,
)
async def approve_a_count(call: Call, count_id: ID) -> Response | Problem:
    """Approve a count as it is recorded now, so that large variances may be posted too.

    With If-Match it is the version that was read which is approved, and no later one.
    """
    return await _settle(call, "approve", count_id)


@router.post(
    "/v1/counts/{count_id}/post",
    needs="write",
    answer=CountAnswer,
    errors=(
        *CHANGE_ERRORS,
        Code.NOTHING_COUNTED,
        Code.APPROVAL_REQUIRED,
        Code.STALE_QUANTITY,
        Code.INSUFFICIENT_STOCK,
        Code.QUANTITY_OUT_OF_RANGE,
        Code.ITEM_ARCHIVED,
        Code.LOCATION_ARCHIVED,
    ),
    if_match=True,
)
async def post_a_count(call: Call, count_id: ID) -> Response | Problem:
    """Post a count: book each variance onto the level as it is now, all lines or none.

    What was sold, received or moved since the level was seen stays. A level that was counted by
    somebody else since is refused with `stale_quantity`: count it again. Lines that nobody counted
    are left alone.
    """
    return await _settle(call, "post", count_id)


@router.post(
    "/v1/counts/{count_id}/cancel",
    needs="write",
    answer=CountAnswer,
    errors=CHANGE_ERRORS,
    if_match=True,
)
async def cancel_a_count(call: Call, count_id: ID) -> Response | Problem:
    """Cancel a count; nothing is booked."""
    return await _settle(call, "cancel", count_id)


async def _settle(call: Call, verb: str, count_id: str) -> Response | Problem:
    command = SettleCount(
        verb=verb,
        id=count_id,
        if_match=call.if_match,
        lines_max=call.service.settings.lines_max,
        sees_expected=_sees_expected(call),
        visible=call.principal.locations,
    )
    outcome = await call.service.submit(command, actor=call.principal.id, key=key_of(call, None))
    return answered(outcome)


async def _find(call: Call, session: Session, count_id: str) -> CountSheet | None:
    """The count, unless the caller may not hear of its location."""
    sheet = (await sheets_of(session, [count_id])).get(count_id)
    allowed = call.principal.locations
    return None if sheet is None or not (allowed is None or sheet.location in allowed) else sheet


def _sees_expected(call: Call) -> bool:
    return Scope.ADMIN in call.principal.scopes


def _threshold(call: Call, body: CountBody) -> int | None:
    """The threshold that is asked for; who may not approve can't do without an approval."""
    usual: int | None = call.service.settings.count_approval_threshold
    wanted = body.get("approval_threshold", usual)
    is_laxer = usual is not None and (wanted is None or wanted > usual)
    if is_laxer and Scope.ADMIN not in call.principal.scopes:
        raise Problem(HTTPCode.FORBIDDEN, {"needs": "admin", "approval_threshold": usual})
    return wanted


def _refuse_repeated(named: Iterable[tuple[str | int, ...]]) -> None:
    """Refuse what names an item twice: which of the two is meant nobody knows.

    Each is the place in the body and, last, the SKU.
    """
    seen: set[str | int] = set()
    repeated = []
    for *place, sku in named:
        if sku in seen:
            repeated.append(field_path(tuple(place)))
        seen.add(sku)
    if repeated:
        raise Invalid(
            [
                InvalidField(path, "repeated", "must not be repeated", "不得重复")
                for path in repeated
            ]
        )


def _prices(items: Mapping[str, Item]) -> dict[SKU, Price]:
    return {
        SKU(sku): Price(Decimal(item.amount), item.currency)
        for sku, item in items.items()
        if item.amount is not None and item.currency is not None
    }


def _accepts_csv(call: Call) -> bool:
    """Whether CSV is asked for, and JSON is not."""
    accepted = call.fields.get(b"accept", b"").lower()
    return b"text/csv" in accepted and b"application/json" not in accepted
