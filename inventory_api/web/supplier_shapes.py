"""What is answered about suppliers, for the docs page."""

from typing import Any, Literal

from typing_extensions import TypedDict


class ShapeShown(TypedDict):
    """Where in an answer of the supplier what stands."""

    rows: str
    sku: str
    quantity: str
    total: str | None
    next: str | None
    end: str | None
    delimiter: str


class PagingShown(TypedDict):
    """How the list is cut."""

    kind: Literal["none", "next", "page", "offset"]
    parameter: str
    first: int
    size: int
    size_parameter: str | None


class LimitsShown(TypedDict):
    """What the supplier's server bears."""

    concurrency: int
    rate_per_s: int


class SecretShown(TypedDict):
    """Where a header's value comes from."""

    header: str
    env: str


class SupplierAnswer(TypedDict):
    """A supplier, without its secret."""

    code: str
    name: str
    location: str
    url: str
    format: Literal["json", "ndjson", "csv"]
    shape: ShapeShown
    paging: PagingShown
    limits: LimitsShown
    secret: SecretShown | None
    schedule_s: int | None
    missing: Literal["keep", "zero"]
    partial_allowed: bool
    bad_rows_percent_max: int
    unmapped: Literal["sku", "unknown"]
    status: Literal["active", "archived"]
    version: int
    created_at: str
    updated_at: str


class SupplierList(TypedDict):
    """A page of suppliers."""

    items: list[SupplierAnswer]
    next_cursor: str | None


class RunAnswer(TypedDict):
    """A pull and its report; while it runs its numbers are 0 and the report is empty."""

    id: str
    supplier: str
    status: Literal["running", "complete", "not_modified", "partial", "failed"]
    actor: str
    started_at: str
    ended_at: str | None
    applied: bool
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
    report: dict[str, Any]  # Any: JSON values


class RunList(TypedDict):
    """A page of runs."""

    items: list[RunAnswer]
    next_cursor: str | None


class CodeShown(TypedDict):
    """What a code means."""

    code: str
    sku: str


class CodeList(TypedDict):
    """A page of codes."""

    items: list[CodeShown]
    next_cursor: str | None


class CodesAnswer(TypedDict):
    """How many codes were set and removed, and how many there are now."""

    supplier: str
    set: int
    removed: int
    codes: int
