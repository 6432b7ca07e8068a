"""Whether the process lives, whether it can serve, and how it is doing."""

from starlette.responses import Response

from inventory_api.domain.unavailable import (
    Draining,
    StorageFailed,
    StorageUnreachable,
    Unavailable,
)
from inventory_api.store.schema import SchemaOutdated
from inventory_api.web.call import Call
from inventory_api.web.problems import Problem, retry_after
from inventory_api.web.reply import json_reply, reply
from inventory_api.web.routing import Router
from inventory_api.web.shapes import LiveAnswer, ReadyAnswer

router = Router("Health")


@router.get("/livez", needs="public", answer=LiveAnswer)
async def livez(_: Call) -> Response:
    """Tell that the process answers."""
    return json_reply({"status": "alive"})


@router.get(
    "/readyz",
    needs="public",
    answer=ReadyAnswer,
    errors=(Draining.code, StorageFailed.code, StorageUnreachable.code),
)
async def readyz(call: Call) -> Response | Problem:
    """Tell whether requests can be served: 200, or 503 with the checks that failed."""
    checks = {
        "accepts_changes": call.service.committer.is_open and not call.edge.is_draining(),
        "reads": True,
        "schema": True,
    }
    code = StorageFailed.code
    try:
        async with call.service.deadline():
            await call.service.database.check_schema()
    except SchemaOutdated:
        checks["schema"] = False
    except Unavailable as unavailable:
        checks["reads"] = False
        if isinstance(unavailable, StorageUnreachable):
            code = unavailable.code
    if all(checks.values()):
        return json_reply({"status": "ready", "checks": checks})
    if not checks["accepts_changes"]:
        code = Draining.code
    return Problem(code, {"checks": checks}, headers=[retry_after(1)])


@router.get("/metrics", needs="read", produces=("text/plain",))
async def metrics(call: Call) -> Response:
    """Tell the metrics, in the Prometheus text format."""
    body = call.service.metrics.exposition()
    return reply(body, content_type=(b"content-type", b"text/plain; version=0.0.4; charset=utf-8"))
