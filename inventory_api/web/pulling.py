"""A pull as an answer: what has come so far, line by line, and at last the report."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import orjson
from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope, Send

from inventory_api.domain.unavailable import Unavailable
from inventory_api.store.supplier_runs import Begun, shown_run
from inventory_api.suppliers.pull import pull
from inventory_api.suppliers.runs import broken_off, end
from inventory_api.suppliers.tally import Tally
from inventory_api.web.call import Call
from inventory_api.web.streams import NDJSON, DuplexReply, Spool, disconnected


class PullReply(DuplexReply):
    """Makes the pull while it is sent. A client that hangs up ends it, and so does a stop.

    Who has hung up gets no more; at a stop the report, which tells why, still ends the answer.
    """

    def __init__(self, call: Call, begun: Begun, *, is_forced: bool) -> None:
        super().__init__(
            self._pull,
            headers=[NDJSON],
            streams=call.edge.streams,
            caller=call.principal.id,
            farewell=self._break_off,
        )
        self._service = call.service
        self._begun = begun
        self._is_forced = is_forced
        self._making: asyncio.Task[object] | None = None
        self._has_left = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._receive = receive
        try:
            await super().__call__(scope, receive, send)
        except asyncio.CancelledError:
            if not self._has_left:
                raise
            # The pull was cancelled, and not the request.
            raise ClientDisconnect from None
        finally:
            if self._making is None:
                # The caller has too many streams already, or left: the next pull must not wait.
                with suppress(Unavailable):
                    await end(self._service, self._begun, Tally(), broken_off(self._service))

    async def _pull(self, spool: Spool) -> None:
        self._making = asyncio.current_task()
        assert self._begun.run is not None
        spool.write(_line({"phase": "started", "run": self._begun.run.id}))
        with self._ended_by_hanging_up():
            run = await pull(
                self._service,
                self._begun,
                is_forced=self._is_forced,
                tell=lambda progress: spool.write(_line(progress)),
            )
        spool.write(_line({"end": True, **shown_run(run)}))

    @contextmanager
    def _ended_by_hanging_up(self) -> Iterator[None]:
        """The pull is broken off inside when the client closes its connection."""

        def end_it(leaving: asyncio.Task[None]) -> None:
            if not leaving.cancelled():
                self._has_left = True
                self._break_off()

        # The body was read: nothing comes any more but the end of the connection.
        leaving = asyncio.create_task(disconnected(self._receive))
        leaving.add_done_callback(end_it)
        try:
            yield
        finally:
            leaving.remove_done_callback(end_it)
            leaving.cancel()

    def _break_off(self) -> None:
        """End the pull, once: what comes then is its report."""
        if self._making is not None and not self._making.cancelling():
            self._making.cancel()


def _line(value: dict[str, object]) -> bytes:
    return orjson.dumps(value) + b"\n"
