"""Every limit and choice of the service, with its unit and its reason."""

import os
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

CPU_COUNT = os.cpu_count() or 1
Positive = Annotated[int, Field(gt=0)]
Seconds = Annotated[float, Field(gt=0, le=3600)]
Bytes = Annotated[int, Field(gt=0)]


class Settings(BaseSettings):
    """Read once from `INVENTORY_*` in the environment, then handed down as an argument."""

    model_config = SettingsConfigDict(
        env_prefix="INVENTORY_", frozen=True, extra="forbid", hide_input_in_errors=True
    )

    database_url: str = Field(
        "sqlite+aiosqlite:///inventory.db", description="SQLAlchemy URL of the database"
    )
    database_password_file: Path | None = Field(
        None, description="file with the database's password, instead of one in the URL"
    )
    database_tls: Literal["disable", "prefer", "require", "verify-full"] = Field(
        "prefer", description="encryption of the way to PostgreSQL; verify-full checks the server"
    )
    database_tls_ca_file: Path | None = Field(
        None, description="certificates that verify-full trusts; left out: the system's"
    )
    database_unsafe_allowed: bool = Field(
        False, description="start on a replica, or where synchronous_commit is off"
    )
    migrate_at_start: bool | None = Field(
        None,
        description="bring the schema up to date when starting; left out: SQLite yes, "
        "PostgreSQL no, where an operator does it once for all processes",
    )
    host: str = Field("127.0.0.1", description="address to listen on; loopback unless a key exists")
    port: Annotated[int, Field(ge=0, le=65535)] = Field(8000, description="TCP port; 0 = any free")
    allowed_hosts: tuple[str, ...] = Field(
        ("*",), description="names accepted in the Host header; narrow it behind a proxy"
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="debug adds a line per request, which costs a tenth of the throughput"
    )
    log_json: bool | None = Field(
        None, description="JSON lines; left out: JSON unless stderr is a terminal"
    )

    check_deadline_s: Seconds = Field(5.0, description="seconds a read may take")
    change_deadline_s: Seconds = Field(3.0, description="seconds a change may take")
    start_deadline_s: Seconds = Field(
        30.0, description="seconds that each first write at the start may take, on a slow disk"
    )
    drain_deadline_s: Seconds = Field(
        6.0,
        description="seconds to answer what was accepted when stopping; with closing the "
        "connections and a foreign lock's wait it stays below 10, when orchestrators kill",
    )
    header_deadline_s: Seconds = Field(10.0, description="seconds to send a request's header")
    body_deadline_s: Seconds = Field(30.0, description="seconds to send a request's body")
    busy_timeout_s: Seconds = Field(
        2.0, description="seconds to wait for a foreign lock; below the change deadline"
    )

    lease_s: Seconds = Field(
        10.0,
        description="seconds of a background job's lease on PostgreSQL; when a process dies, "
        "another one takes its jobs over after that",
    )
    statement_timeout_s: Seconds = Field(
        10.0, description="seconds a statement may take on PostgreSQL; none should come near"
    )
    connect_timeout_s: Seconds = Field(
        2.0, description="seconds to reach PostgreSQL; below the change deadline"
    )
    migration_lock_s: Seconds = Field(
        60.0, description="seconds to wait for another process that migrates PostgreSQL"
    )
    batch_retries_max: Positive = Field(
        8, description="times a batch is tried again after a conflict between processes"
    )
    batch_retry_pause_s: Seconds = Field(
        0.005,
        description="seconds before the first retry, then doubled: all are over in half a deadline",
    )

    default_location: str = Field("main", description="location of a line that names none")
    transit_location: str = Field(
        "transit", description="location of goods under way whose transfer names none"
    )
    default_currency: Annotated[str, Field(pattern="^[A-Z]{3}$")] = Field(
        "CNY", description="currency of a price that names none"
    )

    idempotency_key_required: bool = Field(False, description="refuse writes without a key (428)")
    idempotency_keep_s: Positive = Field(
        7 * 24 * 3600, description="seconds an outcome is remembered; longer than any sane retry"
    )
    housekeeping_interval_s: Seconds = Field(
        60.0, description="seconds between removals of outdated idempotency records"
    )
    housekeeping_rows: Positive = Field(
        2_000, description="rows removed per transaction; keeps it shorter than one busy batch"
    )

    reservation_ttl_s: Positive = Field(
        900, description="seconds a reservation lives that names no `ttl_s`"
    )
    reservation_ttl_max_s: Positive = Field(
        30 * 24 * 3600, description="longest `ttl_s`; a hold that long is a promise: confirm it"
    )
    expiries_max: Positive = Field(
        100,
        description="reservations expired per transaction; so many are as quick as a busy batch",
    )
    expiry_sweep_s: Seconds = Field(
        1.0, description="seconds between looks for holds that are over; reads never count those"
    )

    count_approval_threshold: Annotated[int, Field(ge=0)] | None = Field(
        None,
        description="units of variance above which posting a count needs an approval, unless it "
        "says otherwise; not set: none does",
    )

    alert_margin_percent: Annotated[int, Field(ge=0, le=1_000)] = Field(
        10,
        description="percent of a reorder point, one unit at least, that must be available above it "
        "before `low` is told again; below, each sale and return around the point would be an alert. "
        "It applies to reorder points that are set from then on",
    )

    queue_commands_max: Positive = Field(
        10_000, description="changes that may wait; more get 503 overloaded at once"
    )
    batch_commands_max: Positive = Field(
        256, description="changes per transaction; the gain of one shared fsync is flat beyond"
    )
    batch_lines_max: Positive = Field(
        10_000, description="lines per transaction, so that one big call never delays many"
    )
    recent_levels_max: Annotated[int, Field(ge=0)] = Field(
        10_000,
        description="levels that the writer keeps in memory, 0.5 KiB each, so that what moves often "
        "needs no query; 0 = none",
    )
    lines_max: Positive = Field(10_000, description="lines per call")
    reader_connections: Positive = Field(
        max(2, CPU_COUNT), description="connections for reads; reads are CPU work, one per core"
    )
    check_chunk_lines: Positive = Field(
        1_000, description="lines per query of a batch check; chunks are gathered concurrently"
    )
    cache_kib: Positive = Field(
        16_384,
        description="KiB of database pages that a connection keeps; the system's own cache holds "
        "the rest, and a long export must not make the process grow",
    )
    wal_checkpoint_pages: Positive = Field(
        4_000,
        description="pages of 4 KiB in the write-ahead log before it is folded back; "
        "pages that change again before then are copied once",
    )

    outbound_private_hosts: tuple[str, ...] = Field(
        (),
        description="hosts that webhooks and suppliers may use although they are not public: "
        "names, `name:port`, or networks like `10.1.0.0/16`, which hold for every name that leads there",
    )
    outbound_http_hosts: tuple[str, ...] = Field(
        (), description="hosts, written alike, that may be called by http; all others by https only"
    )
    outbound_ca_file: Path | None = Field(
        None, description="certificates of your own to trust besides the usual ones"
    )
    outbound_lookup_timeout_s: Seconds = Field(
        5.0, description="seconds to look up a name; the system's resolver asks twice in that time"
    )
    outbound_connect_timeout_s: Seconds = Field(
        5.0, description="seconds to connect, over all addresses of a name, and again for TLS"
    )
    outbound_write_timeout_s: Seconds = Field(
        10.0, description="seconds in which another server must take a piece of the request"
    )
    outbound_read_timeout_s: Seconds = Field(
        10.0, description="seconds without a byte from another server"
    )
    outbound_deadline_s: Seconds = Field(
        15.0, description="seconds of one attempt in all, against a server that trickles"
    )
    outbound_reply_bytes_max: Bytes = Field(
        64 << 10, description="bytes read of a reply, unless the caller asks for a list"
    )
    outbound_host_concurrency: Positive = Field(
        10, description="open calls per host; a supplier has its own"
    )
    outbound_host_rate_per_s: Annotated[float, Field(gt=0)] = Field(
        100.0, description="calls per second and host that begin; a supplier has its own"
    )
    outbound_host_burst: Positive = Field(
        100, description="calls that may begin at once after a quiet time: a second's worth"
    )
    outbound_waiting_max: Positive = Field(
        1_000, description="calls that may wait per host; more are refused at once"
    )
    outbound_wait_max_s: Seconds = Field(
        30.0, description="seconds a call may wait for its turn, or for a pause the host asked for"
    )
    outbound_in_flight_max: Positive = Field(
        200, description="open calls to all hosts; a quarter of the usual limit of open files"
    )
    outbound_hosts_max: Positive = Field(
        1_000,
        description="hosts remembered, 2 KiB each and their connections; the longest unused is forgotten first",
    )
    outbound_keepalive_s: Seconds = Field(
        15.0, description="seconds an unused connection is kept; most servers close theirs later"
    )
    outbound_connection_age_max_s: Seconds = Field(
        60.0,
        description="seconds a connection is used again, so that a busy host's name is looked up "
        "and checked so often",
    )
    outbound_retries: Annotated[int, Field(ge=0, le=10)] = Field(
        3, description="times a call that may be repeated is tried again"
    )
    outbound_retry_pause_s: Seconds = Field(
        0.5, description="seconds that the first pause has at most, doubled each time"
    )
    outbound_retry_pause_max_s: Seconds = Field(
        10.0, description="seconds that no pause of our own exceeds"
    )
    outbound_retry_total_s: Seconds = Field(
        60.0, description="seconds after which a call is not tried again"
    )
    outbound_retry_after_max_s: Seconds = Field(
        3600.0, description="seconds of a `Retry-After` that are believed"
    )
    outbound_breaker_failures: Positive = Field(
        5, description="failures in a row after which a host is left alone; one may be chance"
    )
    outbound_breaker_open_s: Seconds = Field(
        30.0, description="seconds it is left alone; then one call tries"
    )

    supplier_poll_s: Seconds = Field(
        5.0, description="seconds between two looks for suppliers whose schedule is due"
    )
    supplier_pulls_max: Positive = Field(
        4, description="scheduled pulls at once; each may hold a page per open call in memory"
    )
    supplier_page_bytes_max: Bytes = Field(
        8 << 20, description="bytes of one page of a supplier's list, which is read whole"
    )
    supplier_list_bytes_max: Bytes = Field(
        1 << 30, description="bytes of a list in one document, which is read as it comes"
    )
    supplier_row_bytes_max: Bytes = Field(
        64 << 10, description="bytes of one row of a list; a longer one is a bad row, or bad JSON"
    )
    supplier_rows_max: Positive = Field(1_000_000, description="rows of one list")
    supplier_pages_max: Positive = Field(10_000, description="pages of one list")
    supplier_spool_bytes_max: Bytes = Field(
        256 << 20,
        description="bytes on disk while a list is not known to be whole: a million rows take 50 MB",
    )
    supplier_page_deadline_s: Seconds = Field(
        30.0, description="seconds that a supplier may take for a page, each time it is tried"
    )
    supplier_list_deadline_s: Seconds = Field(
        900.0, description="seconds that a supplier may take for a list in one document"
    )
    supplier_pull_deadline_s: Seconds = Field(
        3600.0,
        description="seconds of a whole pull; a million rows at 500 a page and 1/s take 2000",
    )
    supplier_chunk_rows: Annotated[int, Field(gt=0, le=10_000)] = Field(
        1_000, description="rows of a list that are looked up, and booked, together"
    )
    supplier_shrink_percent: Annotated[int, Field(ge=0, le=100)] = Field(
        50,
        description="a list that sets to 0 what it does not name is refused if it names less than "
        "this share of what the last one did; 0 = never",
    )
    supplier_retry_s: Seconds = Field(
        60.0, description="seconds until a failed pull is tried again, doubled each time"
    )
    supplier_runs_kept: Positive = Field(
        100, description="reports kept of each supplier: four days of hourly pulls"
    )
    supplier_codes_max: Positive = Field(1_000_000, description="codes of one supplier")
    webhooks_max: Positive = Field(
        100,
        description="webhooks that may exist; each has a call of its own under way, so keep it below "
        "`INVENTORY_OUTBOUND_IN_FLIGHT_MAX`",
    )
    webhook_concurrency: Positive = Field(
        8,
        description="attempts that begin at the same time, each a millisecond of work that requests "
        "wait for; one that waits for its receiver is none of them",
    )
    webhook_deadline_s: Seconds = Field(
        15.0, description="seconds of one attempt to deliver an event, in all"
    )
    webhook_retry_pause_s: Seconds = Field(
        5.0,
        description="seconds that the first pause after a failed attempt has at most, doubled each time",
    )
    webhook_retry_pause_max_s: Annotated[float, Field(gt=0, le=86_400)] = Field(
        36_000.0, description="seconds that no pause exceeds: ten hours, a night"
    )
    webhook_retry_after_max_s: Annotated[float, Field(gt=0, le=86_400)] = Field(
        3_600.0, description="seconds of a receiver's `Retry-After` that are believed"
    )
    webhook_give_up_s: Annotated[float, Field(gt=0, le=30 * 86_400)] = Field(
        259_200.0,
        description="seconds of failing after which a webhook is disabled: three days, a weekend",
    )
    webhook_secret_overlap_s: Annotated[float, Field(ge=0, le=30 * 86_400)] = Field(
        86_400.0, description="seconds for which the secret before a rotation signs as well: a day"
    )
    webhook_flush_s: Annotated[float, Field(gt=0, le=60)] = Field(
        0.2,
        description="seconds of deliveries written in one transaction; a crash repeats so much",
    )
    webhook_flush_events: Positive = Field(
        1_000, description="deliveries after which they are written at once, and a crash repeats"
    )
    webhook_deliveries_keep: Positive = Field(
        200, description="deliveries that are remembered of each webhook"
    )
    webhook_deliveries_keep_s: Positive = Field(
        30 * 24 * 3600, description="seconds that a delivery is remembered"
    )
    webhook_tick_s: Seconds = Field(
        1.0,
        description="seconds between looks for webhooks that other processes changed on PostgreSQL",
    )

    body_bytes_max: Bytes = Field(1 << 20, description="bytes of a request body")
    batch_bytes_max: Bytes = Field(8 << 20, description="bytes of a batch's body: 10,000 lines")
    import_row_bytes_max: Bytes = Field(64 << 10, description="bytes of one row of an import")
    header_bytes_max: Bytes = Field(16 << 10, description="bytes of a request's header block")
    url_bytes_max: Bytes = Field(8 << 10, description="bytes of a request's URL")
    page_max: Positive = Field(1_000, description="entries of one page of a list")
    page_lines_max: Positive = Field(
        10_000,
        description="lines of all documents of one page together, unless one has more: its memory",
    )
    export_page_rows: Positive = Field(
        2_000, description="rows per short read of an export; keeps the write-ahead log small"
    )
    report_movements_max: Positive = Field(
        1_000_000,
        description="movements since its window began that a report may span; summing so many "
        "takes half of a read's deadline",
    )
    import_chunk_rows: Positive = Field(
        500, description="rows of an import in flight; bounds memory and is two full batches"
    )
    feed_tick_s: Seconds = Field(
        0.25,
        description="seconds between looks for what other processes wrote on PostgreSQL, while "
        "somebody follows the feed; a process's own changes are told at once",
    )
    stream_heartbeat_s: Seconds = Field(
        10.0,
        description="seconds between heartbeats of a stream, below a proxy's patience; its key is "
        "checked with each, and a reader that takes nothing for so long is given up",
    )
    stream_retry_s: Seconds = Field(
        1.0, description="seconds after which a browser is asked to open a broken stream again"
    )
    stream_buffer_movements: Positive = Field(
        20_000,
        description="movements that a reader of the feed may leave unread before it is dropped: "
        "two of the largest batches",
    )
    connections_max: Positive = Field(2_000, description="open connections; more are refused")
    streams_per_key_max: Positive = Field(
        100, description="exports, imports, verifications and live streams open at once per API key"
    )
    requests_per_s: Annotated[int, Field(ge=0)] = Field(
        0, description="requests per second and API key, answered with 429 beyond; 0 = no limit"
    )
    failed_auth_per_minute: Positive = Field(
        60, description="refused keys per minute and client address before 429"
    )
    admin_key: SecretStr | None = Field(
        None, description="an admin key of your own, inv_<id>_<secret>, for the first start"
    )
