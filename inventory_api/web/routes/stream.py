"""The ledger as a live stream, for browsers and for scripts."""

import re
from functools import partial
from typing import Annotated

from fastapi import Query
from starlette.responses import Response

from inventory_api.domain.unavailable import Unavailable
from inventory_api.feed import Wanted
from inventory_api.store.ledger import read_head
from inventory_api.web.answers import require_locations
from inventory_api.web.call import Call, credential
from inventory_api.web.description import LAST_EVENT_ID
from inventory_api.web.events import Form, Lines, ServerSentEvents
from inventory_api.web.live import LiveStream, Pace
from inventory_api.web.problems import invalid
from inventory_api.web.routing import Router
from inventory_api.web.row_schemas import StreamQuery
from inventory_api.web.streams import StreamReply

router = Router("Ledger")

_SEQ = re.compile(rb"[0-9]{1,18}")
PRODUCES = {
    "text/event-stream": 'event: position\ndata: {"position":5}\nid: 5\nretry: 1000\n\n'
    'event: movement\ndata: {"seq":6,"type":"adjust","sku":"P001","location":"main"}\nid: 6\n\n',
    "application/x-ndjson": '{"event":"position","position":5}\n'
    '{"seq":6,"type":"adjust","sku":"P001","location":"main"}\n',
}


@router.get("/v1/movements/stream", needs="read", produces=PRODUCES, headers=(LAST_EVENT_ID,))
async def follow_the_movements(call: Call, query: Annotated[StreamQuery, Query()]) -> Response:
    """Follow the ledger live, as server-sent events or as NDJSON; it does not end by itself.

    Each `movement` is the object that the list shows, and its `seq` is the event's id. It begins
    behind `Last-Event-ID`, or behind `after`, or at the head. `position` says how far everything
    wanted was sent, at the beginning and with each heartbeat. The last event says why a stream
    ends: `lagging`, or `closing` with a code.
    """
    if query.location is not None:
        require_locations(call, {query.location})
    settings = call.service.settings
    form = _form(call, query)
    stream = LiveStream(
        call.service.feed,
        form,
        Pace(heartbeat_s=settings.stream_heartbeat_s, retry_s=settings.stream_retry_s),
        after=await _start(call, query.after),
        wanted=Wanted(
            sku=query.sku,
            location=query.location,
            type=query.type,
            locations=call.principal.locations,
        ),
        is_admitted=partial(_is_admitted, call),
    )
    return StreamReply(
        stream.pieces(),
        # A proxy that gathers an answer before it hands it on would hold back every event.
        headers=[form.content_type, (b"vary", b"accept"), (b"x-accel-buffering", b"no")],
        streams=call.edge.streams,
        caller=call.principal.id,
        stall_s=settings.stream_heartbeat_s,
        farewell=stream.end,
    )


async def _start(call: Call, after: int | None) -> int:
    """Where the stream begins.

    Raises:
        Invalid: the position is none, or is beyond the head: then it is another ledger's, and to
            go on from here would leave out what the reader has never seen.
    """
    asked, name = after, "after"
    if (sent := call.fields.get(b"last-event-id")) is not None:
        name = "Last-Event-ID"
        if not _SEQ.fullmatch(sent):
            raise invalid(name, "must be the id of an event", "必须是事件的 id")
        asked = int(sent)
    async with call.service.reading() as session:
        head = (await read_head(session)).seq
    if asked is not None and asked > head:
        raise invalid(name, f"must be at most {head}", f"不得大于 {head}")
    return head if asked is None else asked


async def _is_admitted(call: Call) -> bool:
    try:
        return await call.edge.owner(credential(call.fields)) == call.principal
    except Unavailable:
        # Who is let in is not known now; neither can anything new be read and sent. Ask again.
        return True


def _form(call: Call, query: StreamQuery) -> Form:
    accepted = call.fields.get(b"accept", b"").lower()
    takes_lines = b"application/x-ndjson" in accepted and b"text/event-stream" not in accepted
    if query.format == "ndjson" or (query.format is None and takes_lines):
        return Lines()
    return ServerSentEvents()
