"""Imports: rows of any number, streamed in, with a result for each of them streamed out."""

from collections.abc import AsyncIterator, Sequence
from functools import partial
from typing import Annotated

from fastapi import Query
from starlette.responses import Response

from inventory_api.web.call import Call
from inventory_api.web.importing import (
    AdjustmentImporter,
    Arrivals,
    Importer,
    ItemImporter,
    LevelImporter,
    run,
)
from inventory_api.web.routing import Router
from inventory_api.web.row_schemas import AdjustmentRow, ImportQuery, ItemRow, LevelRow, sheet_of
from inventory_api.web.rows import CSVRows, JSONRows, Row
from inventory_api.web.streams import NDJSON, DuplexReply

router = Router("Bulk")

PRODUCES = ("application/x-ndjson",)
# Read at a time: some 500 rows, four milliseconds.
SLICE_BYTES = 16 << 10
ITEMS = sheet_of(ItemRow)
LEVELS = sheet_of(LevelRow)
ADJUSTMENTS = sheet_of(AdjustmentRow)


@router.post(
    "/v1/import/items",
    needs="write",
    consumes={
        "text/csv": "sku,name,barcode,price,currency\nP007,Headset,4006381333948,459.00,CNY\n",
        "application/x-ndjson": '{"sku":"P007","name":"Headset","price":"459.00"}\n',
    },
    produces=PRODUCES,
)
async def import_the_items(call: Call, query: Annotated[ImportQuery, Query()]) -> Response:
    """Create and change items from CSV or NDJSON.

    Columns: `sku,name,barcode,price,currency`, in any order; the last three may be missing. What
    is missing stays as it is, an empty cell (or null) empties it; a price without a currency
    keeps the item's, or gets the default one.

    The answer is NDJSON, one line per row with its `status` (`created`, `updated`, `unchanged`,
    `rejected`, `failed`) while the body is still being read, and at last a summary. Row numbers
    start at 1, without the header and blank lines. Send a broken import again, whole, under the
    same Idempotency-Key: rows that were done are told as they were (`replayed`) and not done
    again.
    """
    return await _reply(ItemImporter(call, ITEMS, dry_run=query.dry_run))


@router.post(
    "/v1/import/levels",
    needs="write",
    consumes={
        "text/csv": "sku,location,on_hand\nP004,main,78\n",
        "application/x-ndjson": '{"sku":"P004","location":"main","on_hand":78}\n',
    },
    produces=PRODUCES,
)
async def import_the_levels(call: Call, query: Annotated[ImportQuery, Query()]) -> Response:
    """Book counts from CSV or NDJSON, whatever was there before.

    Columns: `sku,location,on_hand`; without a location the default one. Each row is an operation
    of its own with reason `opening_balance`. Results as for items, with `status` `applied`,
    `rejected` or `failed`. A dry run judges each chunk of rows on its running balance.
    """
    return await _reply(LevelImporter(call, LEVELS, dry_run=query.dry_run))


@router.post(
    "/v1/import/adjustments",
    needs="write",
    consumes={
        "text/csv": "sku,delta,reason,reference,line_id\nP005,-1,sale,order:1002,order:1002/1\n",
        "application/x-ndjson": '{"sku":"P005","delta":-1,"reason":"sale"}\n',
    },
    produces=PRODUCES,
)
async def import_the_adjustments(call: Call, query: Annotated[ImportQuery, Query()]) -> Response:
    """Add units and take them away, from CSV or NDJSON.

    Columns: `sku,location,delta,reason,reference,occurred_at,line_id`; all but `sku` and `delta`
    may be missing or empty. Each row is an operation of its own; without a reason `other`.
    Results as for levels. A row whose `line_id` is in the ledger is a `duplicate` and does
    nothing. Without `line_id`s and without an Idempotency-Key, rows that are sent again are
    booked again.
    """
    return await _reply(AdjustmentImporter(call, ADJUSTMENTS, dry_run=query.dry_run))


async def _reply(importer: Importer) -> Response:
    """The answer, which begins when the header of the rows is known to be right."""
    call = importer.call
    row_bytes_max = call.service.settings.import_row_bytes_max
    if call.fields[b"content-type"].lower().startswith(b"text/csv"):
        reader: CSVRows | JSONRows = CSVRows(importer.sheet.columns, row_bytes_max)
    else:
        reader = JSONRows(row_bytes_max)
    rest = _arrivals(call.stream(), reader)
    first = await anext(rest)
    return DuplexReply(
        partial(run, importer, _all(first, rest)),
        headers=[NDJSON],
        streams=call.edge.streams,
        caller=call.principal.id,
    )


async def _arrivals(pieces: AsyncIterator[bytes], reader: CSVRows | JSONRows) -> Arrivals:
    """The rows as they arrive, a few at a time: others have their turn in between."""
    async for piece in pieces:
        for start in range(0, len(piece), SLICE_BYTES):
            rows = reader.feed(piece[start : start + SLICE_BYTES])
            if reader.has_header:
                yield rows
        if reader.has_header:
            yield ()
    yield reader.end()


async def _all(first: Sequence[Row], rest: Arrivals) -> Arrivals:
    yield first
    async for rows in rest:
        yield rows
