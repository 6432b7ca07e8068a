"""The composition root: builds every part, hands it its arguments, and stops it again."""

import os
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import fields

from inventory_api import __version__, clock
from inventory_api.attempt import Limits
from inventory_api.committer import Committer
from inventory_api.domain.principal import Principal
from inventory_api.domain.supplier import SECRET_PREFIX
from inventory_api.domain.types import Instant
from inventory_api.keyring import Keyring
from inventory_api.outbound.addresses import HostList
from inventory_api.outbound.client import Outbound
from inventory_api.outbound.limits import OutboundLimits
from inventory_api.outbound.network import Resolver
from inventory_api.outbound.targets import Policy
from inventory_api.preparation import prepare
from inventory_api.service import Service
from inventory_api.settings import Settings
from inventory_api.store.database import Database
from inventory_api.store.ledger import read_head
from inventory_api.store.options import DatabaseOptions
from inventory_api.tasks import running
from inventory_api.telemetry import Metrics
from inventory_api.web.application import Application
from inventory_api.web.auth import Authenticator
from inventory_api.web.call import Edge
from inventory_api.web.docs_page import docs_routes
from inventory_api.web.middleware import GateLimits, Traffic
from inventory_api.web.routes import (
    counts,
    exports,
    health,
    imports,
    inbounds,
    items,
    keys,
    locations,
    movements,
    reports,
    reservations,
    stock,
    stream,
    suppliers,
    transfers,
    verify,
    webhooks,
)
from inventory_api.web.streams import OpenStreams
from inventory_api.web.webhook_description import webhook_descriptions

# The busiest first: routes are tried in order. `explain` stands before the path of a level.
ROUTERS = (
    movements.router,
    stock.router,
    reservations.router,
    counts.router,
    inbounds.router,
    transfers.router,
    stream.router,
    items.router,
    locations.router,
    reports.router,
    suppliers.router,
    exports.router,
    imports.router,
    verify.router,
    keys.router,
    webhooks.router,
    health.router,
)


# What a stream's heartbeat asks about its key on PostgreSQL may be so old: a thousand streams beat
# a hundred times per second, and cost one query.
KEYS_AGE_S = 1.0
LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})

TAGS = (
    ("Stock", "How much can be sold, and every way to change it."),
    ("Ledger", "Every movement in order, and what makes up a number."),
    ("Reservations", "Exact holds, from the cart to the shipment."),
    ("Counts", "What is on the shelf, against what the books said."),
    ("Inbound", "What is expected from outside, and what of it has come."),
    ("Transfers", "Goods under way between two locations, and what of them has arrived."),
    ("Items", "The catalogue: what is stocked."),
    ("Locations", "Where it is."),
    ("Reports", "What the ledger says about what to order."),
    ("Suppliers", "Stock that lives elsewhere, pulled from lists of its owners."),
    ("Bulk", "Exports and imports of any size, and the proof that the books balance."),
    ("API keys", "Who may."),
    ("Webhooks", "Events of the ledger, sent to servers of yours."),
    ("Health", "Whether the service lives and is ready, and its metrics."),
)


class NoKeyError(RuntimeError):
    """An open service would be reachable from other machines."""


@asynccontextmanager
async def open_service(
    settings: Settings,
    *,
    now: Callable[[], Instant] = clock.now,
    steady: Callable[[], Instant] | None = None,
    resolver: Resolver | None = None,
    environment: Mapping[str, str] = os.environ,
) -> AsyncIterator[Service]:
    """The running service, without HTTP; leaving it answers what was accepted and closes the file.

    `now` is the time of the day, which may jump; `steady` the clock that holds live by: left out,
    one that does not jump if `now` is the system's, else `now`. `resolver` looks up the names of
    other servers; left out, the system's. `environment` has the suppliers' secrets.

    Raises:
        AlreadyServed, SchemaOutdated, DatabaseDamaged, DatabaseUnsafe: it can't be opened.
    """
    metrics = Metrics()
    limits = Limits(
        queue_commands_max=settings.queue_commands_max,
        batch_commands_max=settings.batch_commands_max,
        batch_lines_max=settings.batch_lines_max,
        expiries_max=settings.expiries_max,
        retries_max=settings.batch_retries_max,
        retry_pause_s=settings.batch_retry_pause_s,
        recent_levels_max=settings.recent_levels_max,
    )
    async with (
        _open_outbound(settings, metrics, resolver) as outbound,
        Database(database_options(settings)) as database,
    ):
        if steady is None:
            async with database.reader() as session:
                head = await read_head(session)
            time_of_day = await database.now()
            # What a file holds was written by its only clock. A shared ledger may be ahead of
            # its server, by a machine whose clock is: that must end nobody's hold.
            at_least = Instant(0) if database.is_shared else head.recorded_at
            steady = (
                clock.SteadyClock(at_least, wall=lambda: time_of_day or now())
                if now is clock.now
                else now
            )
        committer = Committer(
            database,
            clock=now,
            steady_clock=steady,
            new_id=clock.new_id,
            metrics=metrics,
            limits=limits,
        )
        keyring = Keyring(clock=now, is_open=settings.host in LOOPBACK)
        service = Service(
            settings=settings,
            database=database,
            committer=committer,
            keyring=keyring,
            outbound=outbound,
            metrics=metrics,
            clock=now,
            steady_clock=steady,
            supplier_secrets={
                name: value for name, value in environment.items() if name.startswith(SECRET_PREFIX)
            },
        )
        async with running(service):
            await prepare(service)
            yield service


def _open_outbound(settings: Settings, metrics: Metrics, resolver: Resolver | None) -> Outbound:
    """The client for other servers; each of its limits is the setting of that name."""
    names = (field.name for field in fields(OutboundLimits))
    return Outbound(
        Policy(
            private=HostList.parse(settings.outbound_private_hosts),
            plain=HostList.parse(settings.outbound_http_hosts),
        ),
        OutboundLimits(**{name: getattr(settings, f"outbound_{name}") for name in names}),
        registry=metrics.registry,
        resolver=resolver,
        ca_file=settings.outbound_ca_file,
    )


def database_options(
    settings: Settings, *, migrates: bool = False, read_only: bool = False
) -> DatabaseOptions:
    """What the settings say about the database; `migrates` whatever they say about that."""
    return DatabaseOptions(
        url=settings.database_url,
        migrate_at_start=True if migrates else settings.migrate_at_start,
        reader_connections=settings.reader_connections,
        busy_timeout_s=settings.busy_timeout_s,
        cache_kib=settings.cache_kib,
        wal_checkpoint_pages=settings.wal_checkpoint_pages,
        statement_timeout_s=settings.statement_timeout_s,
        connect_timeout_s=settings.connect_timeout_s,
        migration_lock_s=settings.migration_lock_s,
        password_file=settings.database_password_file,
        tls=settings.database_tls,
        tls_ca_file=settings.database_tls_ca_file,
        unsafe_allowed=settings.database_unsafe_allowed,
        read_only=read_only,
    )


def create_app(service: Service, traffic: Traffic | None = None) -> Application:
    """The HTTP application of a running service.

    `traffic` counts the requests in flight; a server that wants to drain hands in its own.

    Raises:
        NoKeyError: it would be open to other machines.
    """
    settings = service.settings
    if settings.host not in LOOPBACK and service.keyring.is_empty:
        raise NoKeyError(
            f"No API key exists, so {settings.host} would be open to everyone who reaches it:"
            " make one with `inventory-api keys create`, or listen on 127.0.0.1."
        )
    traffic = traffic or Traffic()
    app = Application(
        title="Inventory API",
        version=__version__,
        description="Stock that is never oversold, and a ledger that explains every number.",
        tags=TAGS,
        metrics=service.metrics,
        traffic=traffic,
        limits=GateLimits(
            url_bytes_max=settings.url_bytes_max,
            header_bytes_max=settings.header_bytes_max,
            allowed_hosts=settings.allowed_hosts,
        ),
    )
    authenticator = Authenticator(
        service.keyring,
        timer=time.monotonic,
        requests_per_s=settings.requests_per_s,
        failures_per_minute=settings.failed_auth_per_minute,
    )

    async def authenticate(credential: bytes | None, address: str) -> Principal:
        await service.know_keys()
        return authenticator(credential, address)

    async def owner(credential: bytes | None) -> Principal | None:
        if service.database.is_shared:
            await service.know_keys(within_s=KEYS_AGE_S)
        return authenticator.owner(credential)

    app.state.edge = Edge(
        service=service,
        owner=owner,
        authenticate=authenticate if service.database.is_shared else authenticator,
        metrics=service.metrics,
        open_to_any_name="*" not in settings.allowed_hosts,
        is_draining=lambda: traffic.draining,
        streams=OpenStreams(settings.streams_per_key_max),
        key_required=settings.idempotency_key_required,
        body_bytes_max=settings.body_bytes_max,
        batch_bytes_max=settings.batch_bytes_max,
    )
    app.add(ROUTERS)
    app.add_public(docs_routes(title="Inventory API"))
    app.describe_webhooks(webhook_descriptions())
    app.add_schema("/openapi.json")
    # Now, and not at the first request: a route that declares nothing must not start.
    app.middleware_stack = app.build_middleware_stack()
    return app
