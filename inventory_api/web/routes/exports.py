"""Exports: everything as it was at one position of the ledger, as a stream."""

from typing import Annotated

from fastapi import Query
from starlette.responses import Response

from inventory_api.web.answers import require_locations
from inventory_api.web.call import Call
from inventory_api.web.exporting import (
    Export,
    as_csv,
    as_ndjson,
    items_export,
    levels_export,
    movements_export,
    reservations_export,
)
from inventory_api.web.problems import invalid
from inventory_api.web.reply import RawHeader
from inventory_api.web.routing import Router
from inventory_api.web.row_schemas import (
    ExportQuery,
    ItemExportQuery,
    LevelExportQuery,
    MovementExportQuery,
    ReservationExportQuery,
)
from inventory_api.web.streams import CSV, NDJSON, StreamReply

router = Router("Bulk")

PRODUCES = ("application/x-ndjson", "text/csv")


@router.get("/v1/export/levels", needs="read", produces=PRODUCES)
async def export_levels(call: Call, query: Annotated[LevelExportQuery, Query()]) -> Response:
    """Stream all levels as they are when the export begins, whatever changes meanwhile.

    NDJSON ends with `{"end":true,"rows":…,"as_of_seq":…}`; without that record it was cut off.
    CSV has no such line: there a cut breaks the transfer itself. In CSV a text that a spreadsheet
    would run as a formula begins with `'`, which an import takes off again.
    """
    export = levels_export(_page_rows(call), locations=_locations(call, query.location))
    return _reply(call, query, "levels", export)


@router.get("/v1/export/items", needs="read", produces=PRODUCES)
async def export_items(call: Call, query: Annotated[ItemExportQuery, Query()]) -> Response:
    """Stream all items by SKU; the catalogue has no history, so they are as each page finds them.

    In CSV, `columns=sku,name,barcode,price,currency` gives what an import takes.
    """
    export = items_export(_page_rows(call), status=query.status)
    return _reply(call, query, "items", export)


@router.get("/v1/export/movements", needs="read", produces=PRODUCES)
async def export_movements(call: Call, query: Annotated[MovementExportQuery, Query()]) -> Response:
    """Stream the ledger, from the movement behind `after` to the head when the export begins."""
    locations = _locations(call, query.location)
    export = movements_export(_page_rows(call), after=query.after, locations=locations)
    return _reply(call, query, "movements", export)


@router.get("/v1/export/reservations", needs="read", produces=PRODUCES)
async def export_reservations(
    call: Call, query: Annotated[ReservationExportQuery, Query()]
) -> Response:
    """Stream the reservations in the order in which they were made.

    A hold has no history of its own, so each is as its page finds it: with everything up to
    `as_of_seq` and maybe with what came later. One whose time is over is expired. CSV has a row
    for each location that each line takes from.
    """
    export = reservations_export(
        _page_rows(call),
        locations=call.principal.locations,
        status=query.status,
        clock=call.service.steady_clock,
    )
    return _reply(call, query, "reservations", export)


def _page_rows(call: Call) -> int:
    rows: int = call.service.settings.export_page_rows
    return rows


def _locations(call: Call, wanted: str | None) -> frozenset[str] | None:
    """The only locations that may be shown; None shows all."""
    if wanted is None:
        return call.principal.locations
    require_locations(call, {wanted})
    return frozenset({wanted})


def _reply(call: Call, query: ExportQuery, name: str, export: Export) -> Response:
    if query.format == "csv" or (query.format is None and _accepts_csv(call)):
        pieces = as_csv(call.service, export, query.columns)
        headers = [CSV, _attachment(f"{name}.csv")]
    elif query.columns is not None:
        raise invalid("columns", "is for CSV only", "仅适用于 CSV")
    else:
        pieces = as_ndjson(call.service, export)
        headers = [NDJSON, _attachment(f"{name}.ndjson")]
    return StreamReply(
        pieces,
        headers=[*headers, (b"vary", b"accept")],
        streams=call.edge.streams,
        caller=call.principal.id,
    )


def _accepts_csv(call: Call) -> bool:
    """Whether CSV is asked for, and NDJSON is not."""
    accepted = call.fields.get(b"accept", b"").lower()
    return b"text/csv" in accepted and b"application/x-ndjson" not in accepted


def _attachment(name: str) -> RawHeader:
    return (b"content-disposition", f'attachment; filename="{name}"'.encode())
