"""Whose stock we list: a supplier, where its list is, and what became of each pull."""

from typing import Any, NamedTuple

from inventory_api.domain.catalog import Shown, rfc3339
from inventory_api.domain.types import Instant

SECRET_PREFIX = "INVENTORY_SUPPLIER_SECRET_"  # noqa: S105 - the beginning of a name
"""Only variables of the environment that begin so are ever sent to anybody."""

FORMATS = ("json", "ndjson", "csv")
PAGINGS = ("none", "next", "page", "offset")
SAMPLES_MAX = 20
"""Codes and rows of each kind that a report lists; the rest is counted only."""


class Shape(NamedTuple):
    """Where in an answer of the supplier what stands; paths are names with dots between them.

    Attributes:
        rows: of JSON, the list; empty: the document itself is the list.
        sku, quantity: in a row; of CSV the names of columns.
        total: how many rows there are in all, in the document, or in the end record of NDJSON.
        next: of JSON, the URL of the next page.
        end: of NDJSON, a member that only the last record has, which is no row.
    """

    rows: str = ""
    sku: str = "sku"
    quantity: str = "quantity"
    total: str | None = None
    next: str | None = None
    end: str | None = None
    delimiter: str = ","


class Paging(NamedTuple):
    """How a list is cut; `page` and `offset` are pulled several pages at a time.

    Attributes:
        parameter: of the query: a page's number, or how many rows are before it.
        first: number of the first page.
        size: rows of a full page; None: as many as the supplier likes (with `next` only).
        size_parameter: of the query, if the size has to be asked for.
    """

    kind: str = "none"
    parameter: str = "page"
    first: int = 1
    size: int = 500
    size_parameter: str | None = None


class Supplier(NamedTuple):
    """A row of the supplier table, in the order of its columns.

    `shape` and `paging` are JSON texts of those. What pulls leave behind, from `etag` to `run_id`,
    does not change the version.

    Attributes:
        missing: what becomes of a SKU that a whole list does not name: keep or zero.
        unmapped: what a code without a mapping is: `sku`, or `unknown`.
        last_rows: SKUs of ours in the last whole list.
        due_at: when the schedule pulls next; None without one.
        failures: pulls by the schedule that failed in a row.
        run_id: the pull that is under way.
    """

    code: str
    name: str
    location: str
    url: str
    format: str
    shape: str
    paging: str
    concurrency: int
    rate_per_s: int
    secret_header: str | None
    secret_env: str | None
    schedule_s: int | None
    missing: str
    partial_allowed: int
    bad_rows_percent_max: int
    unmapped: str
    etag: str | None
    last_modified: str | None
    last_rows: int | None
    due_at: Instant | None
    failures: int
    run_id: str | None
    status: str
    version: int
    created_at: Instant
    updated_at: Instant

    @property
    def actor(self) -> str:
        """Who acts in the ledger."""
        return f"supplier:{self.code}"


class Run(NamedTuple):
    """A row of the supplier_run table, in the order of its columns; `report` is JSON text.

    Attributes:
        applied: whether levels may have been changed.
        named: SKUs of ours that the list names with a quantity that can be used.
        changed, unchanged, refused: what became of them; `zeroed` are not named and were set to 0.
    """

    id: str
    supplier: str
    status: str
    actor: str
    started_at: Instant
    ended_at: Instant | None
    applied: int
    pages: int
    rows: int
    named: int
    changed: int
    unchanged: int
    zeroed: int
    refused: int
    unknown: int
    bad: int
    error: str | None
    report: str


def show_supplier(one: Supplier, shape: Shown, paging: Shown) -> Shown:
    """The shape of a supplier in answers; of the secret only where it comes from."""
    secret = None
    if one.secret_header is not None:
        secret = {"header": one.secret_header, "env": one.secret_env}
    return {
        "code": one.code,
        "name": one.name,
        "location": one.location,
        "url": one.url,
        "format": one.format,
        "shape": shape,
        "paging": paging,
        "limits": {"concurrency": one.concurrency, "rate_per_s": one.rate_per_s},
        "secret": secret,
        "schedule_s": one.schedule_s,
        "missing": one.missing,
        "partial_allowed": bool(one.partial_allowed),
        "bad_rows_percent_max": one.bad_rows_percent_max,
        "unmapped": one.unmapped,
        "status": one.status,
        "version": one.version,
        "created_at": rfc3339(one.created_at),
        "updated_at": rfc3339(one.updated_at),
    }


def show_run(run: Run, report: Any) -> Shown:  # Any: JSON, parsed
    """The shape of a run in answers."""
    return {
        **run._asdict(),
        "started_at": rfc3339(run.started_at),
        "ended_at": None if run.ended_at is None else rfc3339(run.ended_at),
        "applied": bool(run.applied),
        "report": report,
    }
