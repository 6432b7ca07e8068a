"""A supplier's list as it comes in: one document or many pages, within the supplier's limits."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple

from inventory_api.domain.supplier import Paging, Shape, Supplier
from inventory_api.outbound.client import Outbound
from inventory_api.outbound.errors import OutboundError
from inventory_api.outbound.limits import HostLimits
from inventory_api.outbound.messages import OutboundRequest
from inventory_api.suppliers.failure import PullFailed, Truncated
from inventory_api.suppliers.pages import next_url, page_url
from inventory_api.suppliers.readers import Ending, reader_of
from inventory_api.suppliers.rows import Parts, Row, path_of, read_row

# Read at a time: some 500 rows, a few milliseconds; then others have their turn.
SLICE_BYTES = 16 << 10
NOT_MODIFIED = 304
_UNPROVEN = "nothing shows that the list is whole: its length is not told, and nothing ends it"


@dataclass(frozen=True, slots=True)
class ListLimits:
    """Bounds of a list; each is the setting of its name behind `supplier_`."""

    page_bytes_max: int
    list_bytes_max: int
    row_bytes_max: int
    rows_max: int
    pages_max: int
    page_deadline_s: float
    list_deadline_s: float


class Source(NamedTuple):
    """Where the list is and how it reads.

    Attributes:
        headers: of each request, with the secret.
        is_conditional: whether the list is wanted only if it is not the one of the last time.
    """

    supplier: Supplier
    shape: Shape
    paging: Paging
    headers: Mapping[str, str]
    is_conditional: bool


class _Page(NamedTuple):
    """A page, read."""

    parts: Sequence[Parts]
    ending: Ending
    bytes: int


class Piece(NamedTuple):
    """Some rows, and how many pages and bytes brought them."""

    rows: Sequence[Row]
    pages: int
    bytes: int


class Listing:
    """One reading of a list.

    Attributes:
        is_modified: whether it is another one than the last time; known at the end.
        etag, last_modified: for the next time; of a list in one document only, since those of a
            page say nothing about the others.
    """

    def __init__(self, outbound: Outbound, source: Source, limits: ListLimits) -> None:
        self.is_modified = True
        self.etag: str | None = None
        self.last_modified: str | None = None
        self._outbound = outbound
        self._source = source
        self._limits = limits
        self._total: int | None = None
        self._line = 0
        self._is_over = False
        is_csv = source.supplier.format == "csv"
        shape = source.shape
        self._sku = (shape.sku,) if is_csv else path_of(shape.sku)
        self._quantity = (shape.quantity,) if is_csv else path_of(shape.quantity)

    async def pieces(self) -> AsyncGenerator[Piece, None]:
        """The rows in the order of the list.

        Raises:
            PullFailed: it is not whole, or can't be read. What came before stands if it is cut.
        """
        kinds = {"none": self._document, "next": self._linked}
        pieces = kinds.get(self._source.paging.kind, self._numbered)()
        async with aclosing(pieces):
            async for piece in pieces:
                if self._line > self._limits.rows_max:
                    raise PullFailed("too_large", f"more than {self._limits.rows_max} rows")
                yield piece
        if self._total is not None and self._line != self._total:
            raise Truncated(f"{self._line} rows came of the {self._total} that were declared")

    async def _document(self) -> AsyncGenerator[Piece, None]:
        """One document of any length; its rows are given while it comes in."""
        limits, supplier = self._limits, self._source.supplier
        reader = reader_of(supplier.format, self._source.shape, limits.row_bytes_max)
        request = self._request(supplier.url, limits.list_bytes_max, limits.list_deadline_s)
        try:
            async with self._outbound.stream(request) as reply:
                if reply.status == NOT_MODIFIED and self._source.is_conditional:
                    self.is_modified = False
                    return
                _check(reply.status, reply.retry_after_s)
                async for data in reply:
                    for start in range(0, len(data), SLICE_BYTES):
                        piece = data[start : start + SLICE_BYTES]
                        yield Piece(self._rows(reader.feed(piece)), 0, len(piece))
        except OutboundError as error:
            raise _failed(error, is_cut=self._line > 0) from error
        parts, ending = reader.end()
        yield Piece(self._rows(parts), 1, 0)
        if not ending.is_proven and not reply.is_framed:
            raise Truncated(_UNPROVEN)
        self._total = ending.total
        self.etag = _validator(reply.headers, "etag")
        self.last_modified = _validator(reply.headers, "last-modified")

    async def _linked(self) -> AsyncGenerator[Piece, None]:
        """Pages of which each names the next."""
        url, seen = self._source.supplier.url, set[str]()
        while True:
            if len(seen) >= self._limits.pages_max:
                raise PullFailed("too_large", f"more than {self._limits.pages_max} pages")
            seen.add(url)
            page = await self._page(url)
            yield self._piece(page)
            if page.ending.next is None:
                return
            url = next_url(self._outbound.policy, url, page.ending.next)
            if url in seen:
                raise PullFailed("malformed", "the links between the pages go round in a circle")

    async def _numbered(self) -> AsyncGenerator[Piece, None]:
        """Pages by number or offset; without a total they end with an empty one."""
        first = await self._page(self._url(0))
        yield self._piece(first)
        if not first.parts:
            return
        before, self._is_over = first, False
        async with aclosing(self._in_order(self._pages(first))) as pages:
            async for page in pages:
                if page.parts and (self._is_over or self._is_short(before)):
                    raise PullFailed("malformed", "a page is not full, and more rows follow")
                self._is_over = self._is_over or not page.parts
                yield self._piece(page)
                before = page
        if self._total is None and not self._is_over:
            raise PullFailed("too_large", f"more than {self._limits.pages_max} pages")

    async def _in_order(self, last: int) -> AsyncGenerator[_Page, None]:
        """The pages behind the first, as many at a time as the supplier bears."""
        tasks: deque[asyncio.Task[_Page]] = deque()
        upcoming = iter(range(1, last))
        try:
            while True:
                room = 0 if self._is_over else self._source.supplier.concurrency - len(tasks)
                for index in islice(upcoming, room):
                    tasks.append(asyncio.create_task(self._page(self._url(index))))
                if not tasks:
                    return
                page = await tasks[0]
                del tasks[0]
                yield page
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _pages(self, first: _Page) -> int:
        """How many pages there are; if nobody tells, they end with an empty one."""
        total, size = first.ending.total, self._source.paging.size
        if total is None:
            return self._limits.pages_max
        pages = -(-total // size)
        if pages > self._limits.pages_max:
            raise PullFailed("too_large", f"more than {self._limits.pages_max} pages")
        return pages

    def _is_short(self, page: _Page) -> bool:
        """Whether nothing may follow: behind a short page, offsets would leave rows out."""
        paging = self._source.paging
        return paging.kind == "offset" and len(page.parts) < paging.size

    def _url(self, index: int) -> str:
        return page_url(self._source.supplier.url, self._source.paging, index)

    async def _page(self, url: str) -> _Page:
        """One page, whole; the client tries again if it does not come."""
        limits, supplier = self._limits, self._source.supplier
        request = self._request(url, limits.page_bytes_max, limits.page_deadline_s)
        try:
            reply = await self._outbound.send(request)
        except OutboundError as error:
            raise _failed(error, is_cut=True) from error
        _check(reply.status, reply.retry_after_s)
        reader = reader_of(supplier.format, self._source.shape, limits.row_bytes_max)
        parts: list[Parts] = []
        for start in range(0, len(reply.body), SLICE_BYTES):
            parts += reader.feed(reply.body[start : start + SLICE_BYTES])
            await asyncio.sleep(0)
        rest, ending = reader.end()
        is_framed = {"content-length", "transfer-encoding"} & reply.headers.keys()
        if not ending.is_proven and not is_framed:
            raise Truncated(_UNPROVEN)
        return _Page(parts + rest, ending, len(reply.body))

    def _piece(self, page: _Page) -> Piece:
        if self._line and page.ending.total != self._total:
            raise PullFailed("changed", "the declared total changed while the list was pulled")
        self._total = page.ending.total
        return Piece(self._rows(page.parts), 1, page.bytes)

    def _rows(self, parts: Sequence[Parts]) -> list[Row]:
        rows = []
        for one in parts:
            self._line += 1
            rows.append(read_row(self._line, one, sku=self._sku, quantity=self._quantity))
        return rows

    def _request(self, url: str, bytes_max: int, deadline_s: float) -> OutboundRequest:
        supplier = self._source.supplier
        headers = dict(self._source.headers)
        if self._source.is_conditional:
            if supplier.etag is not None:
                headers["if-none-match"] = supplier.etag
            if supplier.last_modified is not None:
                headers["if-modified-since"] = supplier.last_modified
        return OutboundRequest(
            "GET",
            url,
            "supplier",
            headers=headers,
            limits=HostLimits(supplier.concurrency, float(supplier.rate_per_s)),
            body_bytes_max=bytes_max,
            deadline_s=deadline_s,
        )


def _check(status: int, retry_after_s: float | None) -> None:
    if status == 200:
        return
    if 300 <= status < 400 and status != NOT_MODIFIED:
        raise PullFailed("redirected", f"the supplier answered {status}: name the final URL")
    raise PullFailed(
        "status", f"the supplier answered {status}", retry_after_s=retry_after_s, is_cut=True
    )


def _failed(error: OutboundError, *, is_cut: bool) -> PullFailed:
    return PullFailed(error.code, str(error), retry_after_s=error.retry_after_s, is_cut=is_cut)


def _validator(headers: Mapping[str, str], name: str) -> str | None:
    """What the next request sends back, if it can be sent."""
    text = headers.get(name, "")
    is_fit = 0 < len(text) <= 255 and text.isascii() and text.isprintable()
    return text if is_fit else None
