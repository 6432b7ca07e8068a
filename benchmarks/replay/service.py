"""The shop's side of the HTTP interface: sends, and sends again until an answer is final."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import httpx

from benchmarks.replay.forecast import Key
from benchmarks.replay.shop import CHARGES, Invoice, Item

# Any: JSON as the service sends it; what matters in it is compared field by field.
Record = dict[str, Any]

RETRIED = frozenset({429, 503, 504})
ATTEMPTS_MAX = 30
PAUSE_FIRST_S = 0.05
PAUSE_MAX_S = 2.0
SET_LINES = 1_000
PAGE_ROWS = 1_000
# A sweep comes within a second and ends 500 holds or more; a loaded machine takes its time.
REACH_TRIES = 600
REACH_PAUSE_S = 0.1
OPENING_REFERENCE = "replay:opening"
CURRENCY = "GBP"


class ReplayError(Exception):
    """The service gave an answer that ends the replay, or none."""


class Answer(NamedTuple):
    """A final answer, after `attempts` requests with the same key."""

    status: int
    body: Record
    is_replayed: bool
    attempts: int


class Service:
    """A client of one connection per request under way; every write can be repeated by its key.

    One client with a pool of 64 connections looks at all of them for each request, which cost it
    more time than all the rest.
    """

    def __init__(self, clients: Iterable[httpx.AsyncClient]) -> None:
        self.idle = list(clients)

    @contextmanager
    def client(self) -> Iterator[httpx.AsyncClient]:
        """A client of one's own; there must not be more users than clients."""
        http = self.idle.pop()
        try:
            yield http
        finally:
            self.idle.append(http)

    async def post(self, path: str, body: Record, key: str) -> Answer:
        """Send until the answer is final.

        503 says that nothing was applied, 504 and a lost connection say nothing at all: with the
        same key, all three are asked again, and the change happens once.
        """
        content = json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
        headers = {"Content-Type": "application/json", "Idempotency-Key": key}
        pause, last = PAUSE_FIRST_S, "no answer"
        with self.client() as http:
            for attempt in range(1, ATTEMPTS_MAX + 1):
                try:
                    response = await http.post(path, content=content, headers=headers)
                except httpx.TransportError as error:
                    last = repr(error)
                else:
                    if response.status_code not in RETRIED:
                        return _answer(response, attempt)
                    last = f"{response.status_code} {response.text[:200]}"
                    pause = max(pause, float(response.headers.get("Retry-After", 0)))
                await asyncio.sleep(pause)
                pause = min(pause * 2, PAUSE_MAX_S)
        raise ReplayError(f"POST {path} with key {key}: {last}, {ATTEMPTS_MAX} times")

    async def get(self, path: str) -> Record:
        """One small answer."""
        with self.client() as http:
            response = await http.get(path)
        response.raise_for_status()
        body: Record = response.json()
        return body

    async def version(self) -> str:
        """The version that the running service says it is."""
        return str((await self.get("/openapi.json"))["info"]["version"])

    async def head(self) -> int:
        """The number of the ledger's last movement, 0 when it is empty."""
        return int((await self.get("/v1/movements?limit=1"))["head"])

    async def create_location(self) -> None:
        """Where charges are counted; `main` is there from the first start."""
        body = {"code": CHARGES, "name": "Fees and vouchers", "kind": "store", "sellable": False}
        answer = await self.post("/v1/locations", body, f"location:{CHARGES}")
        if answer.status not in (200, 201):
            raise ReplayError(f"location {CHARGES}: {answer.status} {answer.body}")

    async def create_items(self, items: Iterable[Item]) -> None:
        """Stream the goods in; a repeated import creates nothing twice."""
        headers = {"Content-Type": "text/csv", "Idempotency-Key": "replay:items"}
        last: Record = {}
        async for record in self._records("POST", "/v1/import/items", headers, _csv(items)):
            if "error" in record:
                raise ReplayError(f"import of items: {record}")
            last = record
        if not last.get("end"):
            raise ReplayError(f"import of items broke off after {last}")

    async def set_opening(self, opening: dict[Key, int]) -> list[Answer]:
        """Count everything into the empty shop."""
        lines = [
            {"sku": sku, "location": location, "on_hand": units, "expected_on_hand": 0}
            for (sku, location), units in opening.items()
        ]
        answers = []
        for start in range(0, len(lines), SET_LINES):
            body = {
                "mode": "atomic",
                "reason": "opening_balance",
                "reference": OPENING_REFERENCE,
                "lines": lines[start : start + SET_LINES],
            }
            answer = await self.post("/v1/stock/set", body, f"opening:{start}")
            if answer.status != httpx.codes.OK:
                raise ReplayError(f"opening stock: {answer.status} {answer.body}")
            answers.append(answer)
        return answers

    def held_for_s(self, _: Invoice, /) -> float:
        """How long after its answer an invoice has units that it gives back by itself."""
        return 0.0

    async def book(self, invoice: Invoice) -> Answer:
        """One invoice, one operation; its number is its key."""
        reason = invoice.lines[0].reason
        lines: list[Record] = []
        for line in invoice.lines:
            entry: Record = {"sku": line.sku, "location": line.location, "delta": line.delta}
            if line.reason != reason:
                entry["reason"] = line.reason
            lines.append(entry)
        body = {
            "mode": "atomic",
            "reason": reason,
            "reference": reference_of(invoice),
            "occurred_at": f"{invoice.occurred_at:%Y-%m-%dT%H:%M:%SZ}",
            "lines": lines,
        }
        return await self.post("/v1/stock/adjust", body, reference_of(invoice))

    async def reservations(self) -> AsyncIterator[Record]:
        """Every reservation, by pages."""
        cursor = ""
        while True:
            after = f"&cursor={cursor}" if cursor else ""
            page = await self.get(f"/v1/reservations?limit={PAGE_ROWS}{after}")
            for record in page["items"]:
                yield record
            cursor = page["next_cursor"]
            if cursor is None:
                return

    async def reach(self, head: int) -> None:
        """Wait until the ledger is so long, but not for ever: then the comparison tells why."""
        for _ in range(REACH_TRIES):
            if await self.head() >= head:
                return
            await asyncio.sleep(REACH_PAUSE_S)

    async def export(self, what: str) -> AsyncIterator[Record]:
        """Every record of an export, its closing one included, in constant memory."""
        headers = {"Accept": "application/x-ndjson"}
        async for record in self._records("GET", f"/v1/export/{what}", headers):
            yield record

    async def _records(
        self,
        method: str,
        path: str,
        headers: dict[str, str],
        content: AsyncIterator[bytes] | None = None,
    ) -> AsyncIterator[Record]:
        with self.client() as http:
            async with http.stream(method, path, headers=headers, content=content) as response:
                if response.status_code != httpx.codes.OK:
                    answer = (await response.aread()).decode()
                    raise ReplayError(f"{method} {path}: {response.status_code} {answer}")
                async for record in ndjson(response.aiter_bytes()):
                    yield record


def reference_of(invoice: Invoice) -> str:
    """What an invoice is called in the ledger; also its idempotency key."""
    return f"invoice:{invoice.number}"


async def ndjson(chunks: AsyncIterator[bytes]) -> AsyncIterator[Record]:
    """Records of a stream, split at line feeds only: other line breaks may stand in a name."""
    rest = b""
    async for chunk in chunks:
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            yield json.loads(line)
    if rest:
        raise ReplayError(f"the stream broke off inside a record: {rest[:80]!r}")


async def _csv(items: Iterable[Item]) -> AsyncIterator[bytes]:
    yield b"sku,name,price,currency\n"
    for item in items:
        priced = "," if item.price is None else f"{item.price},{CURRENCY}"
        yield f"{_quoted(item.sku)},{_quoted(item.name)},{priced}\n".encode()


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'


def _answer(response: httpx.Response, attempts: int) -> Answer:
    try:
        body = response.json()
    except ValueError as error:
        raise ReplayError(f"{response.status_code} {response.text[:200]}") from error
    is_replayed = response.headers.get("Idempotent-Replayed") == "true"
    return Answer(response.status_code, body, is_replayed, attempts)
