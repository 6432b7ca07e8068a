"""The process that serves: sockets, signals, and an end that loses nothing."""

import asyncio
import gc
from types import FrameType

import uvicorn

from inventory_api.app import create_app, open_service
from inventory_api.preparation import load_demo
from inventory_api.service import Service
from inventory_api.settings import Settings
from inventory_api.telemetry import get_logger
from inventory_api.web.middleware import Traffic
from inventory_api.web.protocol import ConnectionLimits, guarded
from inventory_api.web.streams import OpenStreams

logger = get_logger(__name__)

try:
    import uvloop
except ImportError:  # there is none for Windows
    new_event_loop = asyncio.new_event_loop
else:
    new_event_loop = uvloop.new_event_loop

# Allocations between two looks of the cycle collector: those of several full batches.
GC_ALLOCATIONS = 200_000
# The storage failed: the supervisor must start a new process, which reads what the disk holds.
EXIT_STORAGE_FAILED = 74


class Server(uvicorn.Server):
    """Uvicorn, which on a signal first answers what it has let in and refuses the rest."""

    def __init__(
        self, config: uvicorn.Config, service: Service, traffic: Traffic, streams: OpenStreams
    ) -> None:
        super().__init__(config)
        self._streams = streams
        self._service = service
        self._traffic = traffic
        self.stopping = asyncio.Event()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002 - uvicorn's
        """Begin to drain; a second signal ends at once."""
        if self.stopping.is_set():
            self.force_exit = self.should_exit = True
        asyncio.get_running_loop().call_soon_threadsafe(self.stopping.set)

    async def watch(self) -> None:
        """Wait for a signal or for the storage's failure, then drain and end."""
        waits = {
            asyncio.create_task(self.stopping.wait()),
            asyncio.create_task(self._service.committer.failed.wait()),
        }
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in waits:
                task.cancel()
        self._traffic.draining = True
        # They may go on for hours; their clients see that they are not whole.
        self._streams.cut()
        self._service.stopping_since = asyncio.get_running_loop().time()
        logger.info("draining", in_flight=self._traffic.in_flight)
        try:
            async with asyncio.timeout(self._service.settings.drain_deadline_s):
                await self._traffic.idle()
        except TimeoutError:
            logger.warning("drain_deadline", in_flight=self._traffic.in_flight)
        self.should_exit = True


async def serve(settings: Settings, *, demo: bool) -> int:
    """Serve until stopped; the exit code: 0, or not 0 if the storage failed.

    Raises:
        AlreadyServed, SchemaOutdated, DatabaseDamaged, NoKeyError, OSError: it can't start.
    """
    async with open_service(settings) as service:
        _tune_collector()
        if demo and await load_demo(service):
            logger.info("demo_loaded", items=5)
        traffic = Traffic()
        app = create_app(service, traffic)
        config = uvicorn.Config(
            app,
            host=settings.host,
            port=settings.port,
            http=guarded(
                ConnectionLimits(
                    connections_max=settings.connections_max,
                    head_bytes_max=settings.url_bytes_max + settings.header_bytes_max,
                    head_s=settings.header_deadline_s,
                    body_s=settings.body_deadline_s,
                )
            ),
            lifespan="off",
            ws="none",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            backlog=settings.connections_max,
            timeout_graceful_shutdown=1,
        )
        server = Server(config, service, traffic, app.state.edge.streams)
        watching = asyncio.create_task(server.watch())
        if service.keyring.anonymous is not None:
            logger.warning(
                "open_on_loopback",
                advice="No API key exists: everybody on this machine may do everything.",
            )
        logger.info("serving", url=f"http://{settings.host}:{settings.port}", docs="/docs")
        await server.serve()
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
        return EXIT_STORAGE_FAILED if service.committer.failed.is_set() else 0


def _tune_collector() -> None:
    """Let the cycle collector look less often, and not at what stays for ever.

    A batch of 1,000 lines makes 10,000 tuples and dicts without a cycle; looking through them
    every 700 took 40 % of the time of such a batch (docs/decisions.md).
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(GC_ALLOCATIONS, 20, 50)
