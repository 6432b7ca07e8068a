"""The composition root: builds every part, hands it its arguments, and stops it again."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable
from contextlib import asynccontextmanager

from inventory_api import __version__, clock
from inventory_api.attempt import Limits, Work
from inventory_api.committer import Committer
from inventory_api.domain.catalog import Item, Location
from inventory_api.domain.commands import AdjustLine, Command
from inventory_api.domain.outcome import Outcome
from inventory_api.domain.principal import APIKey, Principal, Scope
from inventory_api.domain.types import SKU, Instant, LocationCode
from inventory_api.domain.unavailable import Unavailable
from inventory_api.keyring import Keyring
from inventory_api.service import ACTOR, Service
from inventory_api.settings import Settings
from inventory_api.store.catalog import create_item, create_location, find_location, list_items
from inventory_api.store.database import Database, Session
from inventory_api.store.keys import PREFIX, all_keys, create_key, digest_of, keys_version
from inventory_api.store.ledger import read_head
from inventory_api.store.options import DatabaseOptions
from inventory_api.telemetry import Metrics, get_logger
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
    transfers,
    verify,
)
from inventory_api.web.streams import OpenStreams
from inventory_api.workers.expiry import sweep
from inventory_api.workers.housekeeping import keep_house
from inventory_api.workers.turns import Turn

logger = get_logger(__name__)

# The busiest first: routes are tried in order. `explain` stands before the path of a level.
ROUTERS = (
    movements.router,
    stock.router,
    reservations.router,
    counts.router,
    inbounds.router,
    transfers.router,
    items.router,
    locations.router,
    reports.router,
    exports.router,
    imports.router,
    verify.router,
    keys.router,
    health.router,
)
# 128 random bits in base64.
SECRET_LENGTH_MIN = 22

DEMO = (
    ("P001", "笔记本电脑", 50, "5999.00"),
    ("P002", "无线鼠标", 200, "89.00"),
    ("P003", "机械键盘", 150, "399.00"),
    ("P004", "显示器", 80, "1299.00"),
    ("P005", "USB-C扩展坞", 120, "199.00"),
)


# For the commit that is under way when everything else has ended.
LAST_WAIT_S = 0.5
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
    ("Bulk", "Exports and imports of any size, and the proof that the books balance."),
    ("API keys", "Who may."),
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
) -> AsyncIterator[Service]:
    """The running service, without HTTP; leaving it answers what was accepted and closes the file.

    `now` is the time of the day, which may jump; `steady` the clock that holds live by: left out,
    one that does not jump if `now` is the system's, else `now`.

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
    async with Database(database_options(settings)) as database:
        if steady is None:
            async with database.reader() as session:
                head = await read_head(session)
            time_of_day = await database.now()
            steady = (
                clock.SteadyClock(head.recorded_at, wall=lambda: time_of_day or now())
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
            metrics=metrics,
            clock=now,
            steady_clock=steady,
        )
        async with _running(service):
            await _prepare(service)
            yield service


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

    app.state.edge = Edge(
        service=service,
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
    app.add_schema("/openapi.json")
    # Now, and not at the first request: a route that declares nothing must not start.
    app.middleware_stack = app.build_middleware_stack()
    return app


@asynccontextmanager
async def _running(service: Service) -> AsyncIterator[None]:
    """The tasks of a service: the writer, which drains at the end, and those that just end."""
    holder = clock.new_id()
    turns = {name: Turn(service, name, holder) for name in ("housekeeping", "expiry")}
    committing = asyncio.create_task(service.committer.run(), name="committer")
    others = [
        *(_start(work, name) for name, work in service.reads().items()),
        _start(keep_house(service, turns["housekeeping"]), "housekeeping"),
        _start(sweep(service, turns["expiry"]), "expiry_sweep"),
    ]
    try:
        yield
    finally:
        now_s = asyncio.get_running_loop().time()
        since_s = now_s if service.stopping_since is None else service.stopping_since
        ends_s = since_s + service.settings.drain_deadline_s
        await _give_back(turns.values(), until_s=ends_s)
        service.committer.drain()
        left_s = ends_s - asyncio.get_running_loop().time()
        await asyncio.wait([committing], timeout=max(left_s, LAST_WAIT_S))
        for task in (committing, *others):
            task.cancel()
        await asyncio.gather(committing, *others, return_exceptions=True)


async def _give_back(turns: Iterable[Turn], *, until_s: float) -> None:
    """Let other processes do the background jobs at once; without it they wait for the leases."""
    try:
        async with asyncio.timeout_at(until_s):
            for turn in turns:
                await turn.give_back()
    except TimeoutError:
        logger.warning("leases_kept", code="deadline")
    except Unavailable as unavailable:
        logger.warning("leases_kept", code=unavailable.code)


def _start(work: Coroutine[None, None, None], name: str) -> asyncio.Task[None]:
    task = asyncio.create_task(work, name=name)
    task.add_done_callback(_log_death)
    return task


def _log_death(task: asyncio.Task[None]) -> None:
    """A task that should run for ever and does not is a defect that somebody must see."""
    if not task.cancelled() and (error := task.exception()) is not None:
        logger.error("task_died", task=task.get_name(), exc_info=error)


async def _prepare(service: Service) -> None:
    """What must be there before the first request: two locations and the keys."""
    await _ensure_location(service, service.settings.default_location, sellable=True)
    await _ensure_location(
        service, service.settings.transit_location, kind="transit", sellable=False
    )
    if (given := service.settings.admin_key) is not None:
        await add_key(service, given.get_secret_value(), name="INVENTORY_ADMIN_KEY")
    async with service.reading() as session:
        service.keyring.replace(await all_keys(session), await keys_version(session))


async def _ensure_location(
    service: Service, code: str, *, kind: str = "warehouse", sellable: bool
) -> None:
    async def work(session: Session, now: Instant) -> Outcome:
        if await find_location(session, code) is not None:
            return Outcome(b"{}")
        location = Location(code, code, kind, int(sellable), 0, "active", 1, now, now)
        return await create_location(session, location)

    await _write(service, work)


async def _write(service: Service, work: Work) -> None:
    """A write of the service's own, which may take longer than a caller would wait."""
    await service.committer.transact(
        work, actor=ACTOR, deadline_s=service.settings.start_deadline_s
    )


async def add_key(
    service: Service, presented: str, *, name: str, scope: Scope = Scope.ADMIN
) -> None:
    """Store a key that was made elsewhere, unless its id is known.

    Raises:
        ValueError: it is not `inv_<id>_<secret>` with a secret of 22 characters or more.
    """
    prefix, _, rest = presented.partition("_")
    key_id, _, secret = rest.partition("_")
    if prefix != PREFIX or not key_id.isalnum() or len(secret) < SECRET_LENGTH_MIN:
        raise ValueError("An API key is inv_<id>_<secret>, the secret at least 22 characters long.")

    async def work(session: Session, now: Instant) -> Outcome:
        key = APIKey(key_id, name, digest_of(secret), f'["{scope}"]', None, now, None, None)
        return await create_key(session, key)

    await _write(service, work)


async def load_demo(service: Service) -> bool:
    """Put the five sample goods into a database without items; whether it did.

    They are at the default location; a second one, which does not sell, is there to move them to.
    """
    async with service.database.reader() as session:
        if await list_items(session, q=None, status=None, after="", limit=1):
            return False
    await _ensure_location(service, "quarantine", sellable=False)
    for sku, name, _, amount in DEMO:

        async def work(
            session: Session, now: Instant, sku: str = sku, name: str = name, amount: str = amount
        ) -> Outcome:
            item = Item(sku, name, None, amount, "CNY", "{}", "active", 1, now, now)
            return await create_item(session, item)

        await _write(service, work)
    location = LocationCode(service.settings.default_location)
    lines = tuple(
        AdjustLine(SKU(sku), location, units, "opening_balance") for sku, _, units, _ in DEMO
    )
    command = Command("adjust", lines, reason="opening_balance", reference="demo")
    deadline_s = service.settings.start_deadline_s
    await service.committer.submit(command, actor=ACTOR, deadline_s=deadline_s)
    return True
