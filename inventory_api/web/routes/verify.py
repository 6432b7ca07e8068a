"""Verification: the ledger recomputed while it grows."""

from collections.abc import AsyncGenerator

import orjson
from starlette.responses import Response

from inventory_api.store.verify import Verification
from inventory_api.web.call import Call
from inventory_api.web.problem_kinds import HTTPCode
from inventory_api.web.problems import Problem
from inventory_api.web.routing import Router
from inventory_api.web.streams import NDJSON, StreamReply

router = Router("Bulk")


@router.get("/v1/verify", needs="read", produces=("application/x-ndjson",))
async def verify_the_ledger(call: Call) -> Response:
    """Recompute everything from the ledger while serving.

    NDJSON, one line per finding with the rule that is broken and the place; no finding is a good
    sign. The last line tells how much was looked at: `"ok":true` if nothing was found. A key for
    some locations only can't ask for the whole.
    """
    if call.principal.locations is not None:
        raise Problem(HTTPCode.FORBIDDEN, {"locations": sorted(call.principal.locations)})
    return StreamReply(
        _findings(call), headers=[NDJSON], streams=call.edge.streams, caller=call.principal.id
    )


async def _findings(call: Call) -> AsyncGenerator[bytes, None]:
    service = call.service
    verification = Verification(service.reading, page_rows=service.settings.export_page_rows)
    async for page in verification.pages():
        yield b"".join([orjson.dumps(finding.show()) + b"\n" for finding in page])
    yield orjson.dumps(verification.summary()) + b"\n"
