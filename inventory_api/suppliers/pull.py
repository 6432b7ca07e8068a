"""One pull, from the first request to the report.

The phases, in order: list, survey, judge, book, zero. Nothing is booked in the first three: only a
list that is known to be whole goes on, or a part of one if the supplier says that parts will do.
"""

import asyncio
from collections.abc import Callable
from contextlib import aclosing, suppress
from dataclasses import fields
from itertools import islice
from typing import Any

import orjson

from inventory_api.domain.supplier import Paging, Run, Shape, Supplier
from inventory_api.domain.types import LocationCode
from inventory_api.domain.unavailable import Unavailable
from inventory_api.outbound.messages import check_header
from inventory_api.service import Service
from inventory_api.store.supplier_codes import count_stocked
from inventory_api.store.supplier_runs import Begun
from inventory_api.store.suppliers import fit_location
from inventory_api.suppliers import runs
from inventory_api.suppliers.booking import Booking
from inventory_api.suppliers.failure import PullFailed
from inventory_api.suppliers.intake import Intake
from inventory_api.suppliers.listing import Listing, ListLimits, Source
from inventory_api.suppliers.runs import End
from inventory_api.suppliers.spool import Spool
from inventory_api.suppliers.tally import Tally

Tell = Callable[[dict[str, Any]], None]  # Any: JSON values
"""Is told how far a pull has come."""


async def pull(service: Service, begun: Begun, *, is_forced: bool, tell: Tell) -> Run:
    """Pull what was begun, and write its report, whatever comes of it.

    Forced, it reads the list even if it is the one of the last time, and believes it even if it is
    much shorter. Cancelled because the service stops, it ends with its report like any other.
    """
    tally = Tally()
    one = Pull(service, begun, tally, is_forced=is_forced, tell=tell)
    try:
        async with asyncio.timeout(service.settings.supplier_pull_deadline_s):
            ended = await runs.kept(service, begun, one.run())
    except PullFailed as failure:
        ended = End("failed", failure.code, str(failure), failure.retry_after_s)
    except Unavailable as unavailable:
        ended = End("failed", unavailable.code, str(unavailable))
    except TimeoutError:
        ended = End("failed", "too_slow", "the whole pull took too long")
    except asyncio.CancelledError:
        ended = runs.broken_off(service)
        # What can't be written any more is written off by the next start.
        with suppress(Unavailable):
            run = await runs.end(service, begun, tally, ended)
            if ended.error == "draining":
                return run
        raise
    except Exception:
        # A defect: whoever waits for the pull sees it, and the next one can begin.
        await runs.end(service, begun, tally, End("failed", "internal"))
        raise
    return await runs.end(service, begun, tally, ended)


class Pull:
    """The phases of one pull."""

    def __init__(
        self, service: Service, begun: Begun, tally: Tally, *, is_forced: bool, tell: Tell
    ) -> None:
        assert begun.supplier is not None
        assert begun.run is not None
        self._service = service
        self._settings = service.settings
        self._supplier: Supplier = begun.supplier
        self._is_forced = is_forced
        self._tally = tally
        self._tell = tell
        self._booking = Booking(
            service,
            begun.supplier,
            begun.run.id,
            fence=begun.fence,
            tally=tally,
            tell=lambda: self._progress("book"),
        )

    async def run(self) -> End:
        """All phases.

        Raises:
            PullFailed: the list can't be used.
            Unavailable: the service stops, or the storage does not recover.
        """
        async with self._service.reading() as session:
            if not await fit_location(session, self._supplier):
                raise PullFailed("location", "the location is archived, or no supplier's any more")
        with Spool(self._settings.supplier_spool_bytes_max) as spool:
            listing = Listing(self._service.outbound, self._source(), self._limits())
            is_whole = await self._list(listing, spool)
            if not listing.is_modified:
                return End("not_modified")
            named = await self._survey(spool)
            await self._judge(named, is_whole=is_whole)
            await self._booking.book(spool)
            if is_whole and self._supplier.missing == "zero":
                await self._zero(spool)
        if not is_whole:
            return End("partial", detail="only a part of the list came")
        return End("complete", etag=listing.etag, last_modified=listing.last_modified)

    async def _list(self, listing: Listing, spool: Spool) -> bool:
        """Read the list into the spool; whether it is whole."""
        tally, is_whole = self._tally, True
        intake = Intake(self._service, self._supplier, spool, tally)
        try:
            async with aclosing(listing.pieces()) as pieces:
                async for piece in pieces:
                    tally.pages += piece.pages
                    tally.bytes += piece.bytes
                    await intake.take(piece.rows)
                    self._progress("list")
        except PullFailed as failure:
            if not (failure.is_cut and self._supplier.partial_allowed and tally.rows):
                raise
            tally.remarks.append(f"{failure.code}: {failure}")
            is_whole = False
        await intake.end()
        return is_whole

    async def _survey(self, spool: Spool) -> int:
        """Count what the list says of our SKUs; how many it names, usably or not."""
        tally, named, total = self._tally, spool.named(), 0
        while chunk := list(islice(named, self._settings.supplier_chunk_rows)):
            total += len(chunk)
            for one in chunk:
                tally.named += one.units is not None
                if one.is_contradicted:
                    tally.bad_row(one.lines[-1], "contradicts", one.code)
            await asyncio.sleep(0)
        return total

    async def _judge(self, named: int, *, is_whole: bool) -> None:
        """Refuse a list that looks like a mistake.

        Raises:
            PullFailed: too many of its rows are bad, or it is much shorter than the last one.
        """
        tally, supplier = self._tally, self._supplier
        if tally.bad * 100 > supplier.bad_rows_percent_max * tally.rows:
            raise PullFailed("bad_rows", f"{tally.bad} of {tally.rows} rows can't be used")
        if self._is_forced or not is_whole or supplier.missing != "zero":
            return
        before = supplier.last_rows
        if before is None:
            async with self._service.reading() as session:
                before = await count_stocked(session, LocationCode(supplier.location))
        if named * 100 < before * self._settings.supplier_shrink_percent:
            raise PullFailed("shrunk", f"it names {named} of our SKUs, and {before} the last time")

    async def _zero(self, spool: Spool) -> None:
        if self._tally.unread:
            self._tally.remarks.append(
                f"nothing was set to 0: {self._tally.unread} rows do not tell what they are about"
            )
            return
        await self._booking.zero(spool)

    def _progress(self, phase: str) -> None:
        self._tell({"phase": phase, **self._tally.progress()})

    def _source(self) -> Source:
        supplier = self._supplier
        paging = Paging(**orjson.loads(supplier.paging))
        has_validators = supplier.etag is not None or supplier.last_modified is not None
        return Source(
            supplier,
            Shape(**orjson.loads(supplier.shape)),
            paging,
            self._secret(),
            is_conditional=has_validators and paging.kind == "none" and not self._is_forced,
        )

    def _secret(self) -> dict[str, str]:
        """The secret's header; its value is in no answer, log or report."""
        name, env = self._supplier.secret_header, self._supplier.secret_env
        if name is None or env is None:
            return {}
        value = self._service.supplier_secrets.get(env)
        if value is None:
            raise PullFailed("secret", f"the environment has no {env}")
        try:
            check_header(name, value)
        except ValueError:
            raise PullFailed("secret", f"what {env} holds can't be sent as a header") from None
        return {name: value}

    def _limits(self) -> ListLimits:
        names = (field.name for field in fields(ListLimits))
        return ListLimits(**{name: getattr(self._settings, f"supplier_{name}") for name in names})
