"""Reports: what the ledger tells about what to do next."""

from typing import Annotated

from fastapi import Query
from starlette.responses import Response

from inventory_api.domain.catalog import rfc3339
from inventory_api.domain.replenishment import Terms, show_proposal
from inventory_api.domain.types import SKU, Instant, LocationCode
from inventory_api.store.demand import DAY
from inventory_api.web.answers import require_locations
from inventory_api.web.call import Call
from inventory_api.web.exporting import as_csv, as_ndjson
from inventory_api.web.paging import cursor_after, position_of
from inventory_api.web.problems import invalid
from inventory_api.web.reply import RawHeader, json_reply
from inventory_api.web.report_schemas import ReplenishmentAnswer, ReplenishmentQuery
from inventory_api.web.reporting import START, Report, basis_of, proposals, report_export
from inventory_api.web.routing import Router
from inventory_api.web.schemas import parse_instant
from inventory_api.web.streams import CSV, NDJSON, StreamReply

router = Router("Reports")
VARY: RawHeader = (b"vary", b"accept")


@router.get(
    "/v1/reports/replenishment",
    needs="read",
    answer=ReplenishmentAnswer,
    produces=("application/x-ndjson", "text/csv"),
)
async def propose_orders(call: Call, query: Annotated[ReplenishmentQuery, Query()]) -> Response:
    """Propose orders: what each level sells, how long it lasts, and how much to order when.

    Daily demand is the units that were sold and fulfilled, days without any counted. The reorder
    point is the demand of the lead time and a safety margin for the service level; the quantity
    goes up to the level's `reorder_to`, less what is available and incoming. As JSON it comes in
    pages; as NDJSON or CSV all of it is streamed, like an export.
    """
    kind = query.format or _accepted(call)
    report = _report(call, query)
    if query.columns is not None and kind != "csv":
        raise invalid("columns", "is for CSV only", "仅适用于 CSV")
    if kind == "json":
        return await _page(call, query, report)
    if query.cursor is not None:
        raise invalid("cursor", "is for JSON only", "仅适用于 JSON")
    export = report_export(report, call.service.settings.page_max)
    if kind == "csv":
        pieces, media = as_csv(call.service, export, query.columns), CSV
    else:
        pieces, media = as_ndjson(call.service, export), NDJSON
    name = f'attachment; filename="replenishment.{kind}"'.encode()
    return StreamReply(
        pieces,
        headers=[media, (b"content-disposition", name), VARY],
        streams=call.edge.streams,
        caller=call.principal.id,
    )


async def _page(call: Call, query: ReplenishmentQuery, report: Report) -> Response:
    sku, location = position_of(query.cursor, *START)
    after = (SKU(sku), LocationCode(location))
    async with call.service.reading() as session:
        basis = await basis_of(session, report)
        found = await proposals(session, report, basis, after, query.limit)
    shown = {
        "since": rfc3339(Instant(basis.window.start)),
        "until": rfc3339(report.until),
        "as_of_seq": basis.window.seq,
        "items": [show_proposal(one) for one in found.rows],
        "next_cursor": None if found.last is None else cursor_after(*found.last),
    }
    return json_reply(shown, headers=[VARY])


def _report(call: Call, query: ReplenishmentQuery) -> Report:
    locations = call.principal.locations
    if query.location is not None:
        require_locations(call, {query.location})
        locations = frozenset({query.location})
    return Report(
        until=_until(call, query),
        days=query.days,
        terms=Terms(
            float(query.service_level),
            query.lead_time_days,
            query.lead_time_deviation_days,
            query.review_days,
        ),
        by_value=None if query.classes == "none" else query.classes == "value",
        shares=(query.class_a / 100, query.class_b / 100),
        locations=locations,
        only_due=query.due,
        movements_max=call.service.settings.report_movements_max,
        clock=call.service.steady_clock,
    )


def _until(call: Call, query: ReplenishmentQuery) -> Instant:
    if query.until is None:
        now: Instant = call.service.steady_clock()
        return now
    try:
        until = parse_instant(query.until)
        # The first of the days may lie before the first year.
        rfc3339(Instant(until - query.days * DAY))
    except (ValueError, OverflowError) as error:
        message = "must be a time of RFC 3339 with a zone"
        raise invalid("until", message, "必须是带时区的 RFC 3339 时间") from error
    return Instant(until)


def _accepted(call: Call) -> str:
    """JSON, unless the header asks for one of the others and not for it."""
    accepted = call.fields.get(b"accept", b"").lower()
    if b"application/json" in accepted:
        return "json"
    if b"application/x-ndjson" in accepted:
        return "ndjson"
    return "csv" if b"text/csv" in accepted else "json"
