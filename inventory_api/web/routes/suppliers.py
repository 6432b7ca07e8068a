"""Suppliers: where their stock lists are, and what became of each pull."""

from collections.abc import Mapping
from typing import Annotated, Any

import orjson
from fastapi import Query
from starlette.responses import Response

from inventory_api.domain.outcome import Outcome
from inventory_api.domain.rejections import Code
from inventory_api.domain.supplier import Paging, Shape, Supplier
from inventory_api.domain.types import Instant
from inventory_api.outbound.errors import ForbiddenAddress
from inventory_api.outbound.messages import check_header
from inventory_api.store.database import Session
from inventory_api.store.supplier_codes import list_codes, put_codes
from inventory_api.store.supplier_runs import find_run, list_runs, shown_run
from inventory_api.store.suppliers import (
    change_supplier,
    create_supplier,
    find_supplier,
    forget_validators,
    list_suppliers,
    shown_supplier,
)
from inventory_api.suppliers.runs import begin
from inventory_api.web.answers import REPLAYED, answered, etag, key_of
from inventory_api.web.call import Call
from inventory_api.web.paging import cursor_after, page, position_of
from inventory_api.web.problems import Problem, from_outcome, invalid
from inventory_api.web.pulling import PullReply
from inventory_api.web.reply import json_reply, reply
from inventory_api.web.routing import Router
from inventory_api.web.schemas import Page
from inventory_api.web.supplier_schemas import (
    CodesBody,
    PullBody,
    SupplierBody,
    SupplierChange,
    SupplierPath,
)
from inventory_api.web.supplier_shapes import (
    CodeList,
    CodesAnswer,
    RunList,
    SupplierAnswer,
    SupplierList,
)

router = Router("Suppliers")

Fields = Mapping[str, Any]  # Any: checked values of a body
# One call at a time, and as slow as a careful person: what any server bears.
LIMITS = {"concurrency": 2, "rate_per_s": 5}
PRODUCES = ("application/x-ndjson",)
EXAMPLE = {
    "code": "acme",
    "name": "Acme Trading",
    "url": "https://feeds.example.com/stock",
    "format": "json",
    "shape": {"rows": "items", "sku": "code", "quantity": "stock", "total": "total"},
    "paging": {"kind": "page", "parameter": "page", "size": 500, "size_parameter": "per_page"},
    "limits": {"concurrency": 5, "rate_per_s": 20},
    "secret": {"header": "X-Api-Key", "env": "INVENTORY_SUPPLIER_SECRET_ACME"},
    "schedule_s": 3600,
    "missing": "zero",
}


@router.post(
    "/v1/suppliers",
    needs="admin",
    answer=SupplierAnswer,
    status=201,
    errors=(Code.ALREADY_EXISTS, Code.NOT_SUPPLIER_LOCATION),
    example=EXAMPLE,
)
async def create_a_supplier(call: Call, body: SupplierBody) -> Response | Problem:
    """Add a supplier whose stock list is pulled.

    Its stock is at a location of its own, of kind `supplier`, which is made with it unless it is
    there: `location`, or else the supplier's code. It does not sell until a PATCH of the location
    says so. The secret is a header whose value is in the service's environment.
    """
    code = body["code"]
    columns = _columns(call, {"limits": LIMITS, "shape": {}, "paging": {}, **body})
    _check_paging(_new(code, columns, call.service.clock()))

    async def work(session: Session, now: Instant) -> Outcome:
        columns["due_at"] = None if columns.get("schedule_s") is None else now
        return await create_supplier(session, _new(code, columns, now))

    outcome = await call.service.transact(work, actor=call.principal.id, key=key_of(call, body))
    return answered(outcome, status=201)


@router.get("/v1/suppliers", needs="admin", answer=SupplierList)
async def list_the_suppliers(call: Call, query: Annotated[Page, Query()]) -> Response:
    """List suppliers by code."""
    (after,) = position_of(query.cursor, "")
    async with call.service.reading() as session:
        found = await list_suppliers(session, after=after, limit=query.limit)
    cursor = cursor_after(found[-1].code) if found else None
    return json_reply(page([shown_supplier(one) for one in found], query.limit, cursor))


@router.get(
    "/v1/suppliers/{supplier}", needs="admin", answer=SupplierAnswer, errors=(Code.UNKNOWN_ID,)
)
async def get_a_supplier(call: Call, supplier: SupplierPath) -> Response | Problem:
    """Show a supplier, without its secret."""
    async with call.service.reading() as session:
        found = await find_supplier(session, supplier)
    if found is None:
        return Problem(Code.UNKNOWN_ID)
    return json_reply(shown_supplier(found), headers=[etag(found.version)])


@router.patch(
    "/v1/suppliers/{supplier}",
    needs="admin",
    answer=SupplierAnswer,
    errors=(Code.UNKNOWN_ID, Code.VERSION_MISMATCH),
    if_match=True,
    example={"schedule_s": 600},
)
async def change_a_supplier(
    call: Call, supplier: SupplierPath, body: SupplierChange
) -> Response | Problem:
    """Change a supplier; what is left out stays, and `shape`, `paging` and `limits` are replaced.

    The next pull reads the whole list, also one that the supplier says is the same. A pull that is
    under way goes on as it began.
    """
    if not body:
        raise invalid("body", "must name at least one field", "必须至少包含一个字段")
    columns = _columns(call, body)
    async with call.service.reading() as session:
        found = await find_supplier(session, supplier)
    if found is not None:
        _check_paging(found._replace(**columns))
    return await _change(call, supplier, columns, body)


@router.delete(
    "/v1/suppliers/{supplier}",
    needs="admin",
    answer=SupplierAnswer,
    errors=(Code.UNKNOWN_ID, Code.VERSION_MISMATCH),
    if_match=True,
)
async def archive_a_supplier(call: Call, supplier: SupplierPath) -> Response | Problem:
    """Archive a supplier: it is not pulled any more; a PATCH of `status` brings it back.

    Its location and its stock stay as they are.
    """
    return await _change(call, supplier, {"status": "archived"}, None)


@router.get(
    "/v1/suppliers/{supplier}/runs", needs="admin", answer=RunList, errors=(Code.UNKNOWN_ID,)
)
async def list_the_runs(
    call: Call, supplier: SupplierPath, query: Annotated[Page, Query()]
) -> Response | Problem:
    """List the pulls of a supplier, the last one first; so many reports are kept and no more."""
    (before,) = position_of(query.cursor, "")
    async with call.service.reading() as session:
        if await find_supplier(session, supplier) is None:
            return Problem(Code.UNKNOWN_ID)
        runs = await list_runs(session, supplier, before=before or None, limit=query.limit)
    cursor = cursor_after(runs[-1].id) if runs else None
    return json_reply(page([shown_run(run) for run in runs], query.limit, cursor))


@router.get(
    "/v1/suppliers/{supplier}/codes", needs="admin", answer=CodeList, errors=(Code.UNKNOWN_ID,)
)
async def list_the_codes(
    call: Call, supplier: SupplierPath, query: Annotated[Page, Query()]
) -> Response | Problem:
    """List what a supplier's codes mean, by code."""
    (after,) = position_of(query.cursor, "")
    async with call.service.reading() as session:
        if await find_supplier(session, supplier) is None:
            return Problem(Code.UNKNOWN_ID)
        codes = await list_codes(session, supplier, after=after, limit=query.limit)
    cursor = cursor_after(codes[-1][0]) if codes else None
    shown = [{"code": code, "sku": sku} for code, sku in codes]
    return json_reply(page(shown, query.limit, cursor))


@router.put(
    "/v1/suppliers/{supplier}/codes",
    needs="admin",
    answer=CodesAnswer,
    errors=(Code.UNKNOWN_ID, Code.UNKNOWN_SKU, Code.TOO_MANY_CODES),
    batch=True,
    example={"codes": [{"code": "A-1001", "sku": "P001"}, {"code": "A-1002", "sku": "P002"}]},
)
async def put_the_codes(call: Call, supplier: SupplierPath, body: CodesBody) -> Response | Problem:
    """Set what a supplier's codes mean, up to 10,000 at a time; all of them or none.

    `sku: null` takes a meaning away. Codes that are not named keep theirs. Spaces around a code
    are no part of it, here and in lists. The next pull reads the whole list.
    """
    meanings = {one["code"]: one["sku"] for one in body["codes"]}
    if len(meanings) < len(body["codes"]):
        raise invalid("codes", "must name each code once", "每个代码只能出现一次")
    codes_max = call.service.settings.supplier_codes_max

    async def work(session: Session, now: Instant) -> Outcome:
        if await find_supplier(session, supplier, lock=True) is None:
            return Outcome(b"{}", Code.UNKNOWN_ID)
        await forget_validators(session, supplier, now)
        return await put_codes(session, supplier, meanings, codes_max=codes_max)

    outcome = await call.service.transact(work, actor=call.principal.id, key=key_of(call, body))
    return answered(outcome)


@router.post(
    "/v1/suppliers/{supplier}/pull",
    needs="admin",
    errors=(Code.UNKNOWN_ID, Code.SUPPLIER_ARCHIVED, Code.PULL_RUNNING),
    produces=PRODUCES,
    example={"force": False},
)
async def pull_a_supplier(
    call: Call, supplier: SupplierPath, body: PullBody | None = None
) -> Response | Problem:
    """Pull a supplier's list now, and tell how far it has come.

    The answer is NDJSON: `{"phase":"started","run":…}`, progress as it comes, and at last the
    report with `"end":true`. Who hangs up ends the pull. With `force` the list is read even if it
    is the same as the last time, and believed even if it is much shorter. A retry under the same
    Idempotency-Key pulls nothing: it is answered with the report as it is now.
    """
    key = key_of(call, body)
    begun = await begin(call.service, supplier, actor=call.principal.id, key=key)
    if begun.outcome.refused is not None:
        return from_outcome(begun.outcome.refused, begun.outcome.answer)
    if begun.run is None:
        return await _told_again(call, begun.outcome)
    return PullReply(call, begun, is_forced=bool(body and body.get("force")))


async def _told_again(call: Call, outcome: Outcome) -> Response:
    """The report of a run that was begun before; what was remembered if it is forgotten."""
    shown = orjson.loads(outcome.answer)
    async with call.service.reading() as session:
        run = await find_run(session, shown["id"])
    told = orjson.dumps({"end": True, **(shown if run is None else shown_run(run))}) + b"\n"
    return reply(told, content_type=(b"content-type", b"application/x-ndjson"), headers=[REPLAYED])


async def _change(
    call: Call, supplier: str, columns: dict[str, Any], body: object
) -> Response | Problem:
    async def work(session: Session, now: Instant) -> Outcome:
        if "schedule_s" in columns:
            columns["due_at"] = None if columns["schedule_s"] is None else now
            columns["failures"] = 0
        return await change_supplier(session, supplier, columns, if_match=call.if_match, now=now)

    outcome = await call.service.transact(work, actor=call.principal.id, key=key_of(call, body))
    return answered(outcome)


def _check_paging(supplier: Supplier) -> None:
    """Refuse links to next pages without a place for them: the first page would pass for the list.

    Raises:
        Invalid: names `paging.kind`.
    """
    is_linked = orjson.loads(supplier.paging)["kind"] == "next"
    if is_linked and (supplier.format != "json" or orjson.loads(supplier.shape)["next"] is None):
        raise invalid(
            "paging.kind",
            "next needs the format json and shape.next, where a page names the next one",
            "next 需要 json 格式和 shape.next",
        )


def _columns(call: Call, body: Fields) -> dict[str, Any]:
    """The columns that a body names.

    Raises:
        Invalid: the URL may not be called, or the header can't be sent.
    """
    columns = {name: value for name, value in body.items() if name in Supplier._fields}
    if "url" in body:
        _check_url(call, body["url"])
    if "shape" in body:
        columns["shape"] = orjson.dumps(Shape(**body["shape"])._asdict()).decode()
    if "paging" in body:
        columns["paging"] = orjson.dumps(Paging(**body["paging"])._asdict()).decode()
    if "limits" in body:
        columns |= {**LIMITS, **body["limits"]}
    if "partial_allowed" in body:
        columns["partial_allowed"] = int(body["partial_allowed"])
    if "secret" in body:
        secret = body["secret"] or {"header": None, "env": None}
        _check_header(secret["header"])
        columns |= {"secret_header": secret["header"], "secret_env": secret["env"]}
    return columns


def _check_url(call: Call, url: str) -> None:
    try:
        call.service.outbound.policy.target(url)
    except ForbiddenAddress as error:
        raise invalid("url", f"may not be called: {error}", f"不允许访问: {error}") from None


def _check_header(name: str | None) -> None:
    try:
        check_header(name or "x", "")
    except ValueError as error:
        raise invalid("secret.header", str(error), "不能作为标头发送") from None


def _new(code: str, columns: Fields, now: Instant) -> Supplier:
    """A new supplier, with what its body leaves out."""
    blank = dict.fromkeys(Supplier._fields)
    usual = {
        "name": code,
        "missing": "keep",
        "partial_allowed": 0,
        "bad_rows_percent_max": 5,
        "unmapped": "sku",
        "failures": 0,
        "status": "active",
        "version": 1,
    }
    at = {"code": code, "created_at": now, "updated_at": now}
    given: dict[str, Any] = {**blank, **usual, **columns, **at}
    return Supplier._make({**given, "location": given["location"] or code}.values())
