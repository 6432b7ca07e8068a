"""Suppliers, what their codes mean, and what became of each pull."""

from sqlalchemy import CheckConstraint, ForeignKey, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from inventory_api.store.columns import CLUSTERED, STRICT, Table, table


class SupplierRow(Table):
    """A supplier: where its list is, how it reads, and what the last pulls left behind."""

    __tablename__ = "supplier"
    code: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    location: Mapped[str] = mapped_column(ForeignKey("location.code"))
    url: Mapped[str]
    format: Mapped[str]
    shape: Mapped[str]
    paging: Mapped[str]
    concurrency: Mapped[int]
    rate_per_s: Mapped[int]
    secret_header: Mapped[str | None]
    secret_env: Mapped[str | None]
    schedule_s: Mapped[int | None]
    missing: Mapped[str]
    partial_allowed: Mapped[int]
    bad_rows_percent_max: Mapped[int]
    unmapped: Mapped[str]
    etag: Mapped[str | None]
    last_modified: Mapped[str | None]
    last_rows: Mapped[int | None]
    due_at: Mapped[int | None]
    failures: Mapped[int]
    run_id: Mapped[str | None]
    status: Mapped[str]
    version: Mapped[int]
    created_at: Mapped[int]
    updated_at: Mapped[int]
    __table_args__ = (
        CheckConstraint("format IN ('json', 'ndjson', 'csv')", "format"),
        CheckConstraint("missing IN ('keep', 'zero')", "missing"),
        CheckConstraint("unmapped IN ('sku', 'unknown')", "unmapped"),
        CheckConstraint("partial_allowed IN (0, 1)", "partial_allowed"),
        CheckConstraint("concurrency >= 1 AND rate_per_s >= 1", "limits"),
        CheckConstraint("(secret_header IS NULL) = (secret_env IS NULL)", "secret"),
        CheckConstraint("status IN ('active', 'archived')", "status"),
        # Two would set each other's levels.
        Index(None, "location", unique=True),
        Index(
            "ix_supplier_due_at",
            "due_at",
            sqlite_where=text("due_at IS NOT NULL"),
            postgresql_where=text("due_at IS NOT NULL"),
        ),
        STRICT,
    )


class SupplierCodeRow(Table):
    """Which of our items a supplier's code means."""

    __tablename__ = "supplier_code"
    supplier: Mapped[str] = mapped_column(ForeignKey("supplier.code"), primary_key=True)
    code: Mapped[str] = mapped_column(primary_key=True)
    sku: Mapped[str] = mapped_column(ForeignKey("item.sku"))
    __table_args__ = (CLUSTERED,)


class SupplierRunRow(Table):
    """One pull; the last ones of each supplier are kept."""

    __tablename__ = "supplier_run"
    id: Mapped[str] = mapped_column(primary_key=True)
    supplier: Mapped[str] = mapped_column(ForeignKey("supplier.code"))
    status: Mapped[str]
    actor: Mapped[str]
    started_at: Mapped[int]
    ended_at: Mapped[int | None]
    applied: Mapped[int]
    pages: Mapped[int]
    rows: Mapped[int]
    named: Mapped[int]
    changed: Mapped[int]
    unchanged: Mapped[int]
    zeroed: Mapped[int]
    refused: Mapped[int]
    unknown: Mapped[int]
    bad: Mapped[int]
    error: Mapped[str | None]
    report: Mapped[str]
    __table_args__ = (
        CheckConstraint(
            "status IN ('running', 'complete', 'not_modified', 'partial', 'failed')", "status"
        ),
        CheckConstraint("applied IN (0, 1)", "applied"),
        CheckConstraint("(status = 'running') = (ended_at IS NULL)", "ended_at"),
        Index(None, "supplier", "id"),
        # Few at any time: what a crash interrupted is found without a look at the history.
        Index(
            "ix_supplier_run_running",
            "supplier",
            unique=True,
            sqlite_where=text("status = 'running'"),
            postgresql_where=text("status = 'running'"),
        ),
        STRICT,
    )


SUPPLIER, SUPPLIER_CODE, SUPPLIER_RUN = map(table, (SupplierRow, SupplierCodeRow, SupplierRunRow))
