"""The rows of an import become changes, chunk by chunk, and each row gets its result."""

import asyncio
import hashlib
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Iterable, Sequence
from typing import Any

import orjson

from inventory_api.domain.commands import AdjustLine, Command, Line, Mode, SetLine
from inventory_api.domain.outcome import IdempotencyKey, Outcome
from inventory_api.domain.types import Instant, LocationCode
from inventory_api.domain.unavailable import Unavailable
from inventory_api.store.database import Session
from inventory_api.store.importing import Entry, import_items
from inventory_api.web.call import Call
from inventory_api.web.problem_kinds import HTTPCode
from inventory_api.web.problems import detail
from inventory_api.web.records import Fault
from inventory_api.web.row_schemas import Sheet
from inventory_api.web.rows import Row
from inventory_api.web.streams import Spool

Checked = dict[str, Any]  # Any: values that the sheet has checked
Numbered = tuple[int, Checked]
Result = dict[str, Any]  # Any: JSON values
Arrivals = AsyncIterator[Sequence[Row]]
"""Rows as they arrive; none if nothing more is at hand."""

# No Idempotency-Key of a client has this character: a row's key is nobody else's.
KEY_SEPARATOR = "\x1f"
NOT_ALLOWED = Fault(
    HTTPCode.FORBIDDEN, "location", "is not one that the API key allows", "不在此 API 密钥的范围内"
)
NEEDS_PRICE = Fault(HTTPCode.VALIDATION_ERROR, "currency", "needs a price", "需要价格")


class Importer(ABC):
    """What the kinds of import have in common: who asks, under which key, in which words."""

    def __init__(self, call: Call, sheet: Sheet, *, dry_run: bool) -> None:
        self.call = call
        self.service = call.service
        self.language = call.language
        self.sheet = sheet
        self.dry_run = dry_run

    @abstractmethod
    def fault(self, fields: Checked) -> Fault | None:
        """What is wrong with a row although each of its fields is right."""
        ...

    @abstractmethod
    async def apply(self, rows: Sequence[Numbered]) -> list[Result]:
        """The results of rows without faults, in order."""
        ...

    def key(self, row: Numbered) -> IdempotencyKey | None:
        """The key of one row under the request's, with a digest of what the row asks."""
        if self.call.key is None:
            return None
        number, fields = row
        asked = orjson.dumps([self.call.scope["path"], sorted(fields.items())])
        digest = hashlib.blake2b(asked, digest_size=16).digest()
        return IdempotencyKey(f"{self.call.key}{KEY_SEPARATOR}{number}", digest)

    def rejected(self, number: int, code: str, facts: Result) -> Result:
        """The result of a row that a rule refuses."""
        error = {"code": code, "detail": detail(code, self.language), **facts}
        return {"row": number, "status": "rejected", "error": error}

    def faulty(self, number: int, fault: Fault) -> Result:
        """The result of a row that can't be used."""
        message = fault.message_zh if self.language == "zh" else fault.message
        return self.rejected(number, fault.code, {"field": fault.field, "detail": message})

    def failed(self, number: int, error: Unavailable) -> Result:
        """The result of a row that can't be served now; `applied` says what became of it."""
        told = {"code": error.code, "detail": detail(error.code, self.language)}
        return {"row": number, "status": "failed", "error": {**told, "applied": error.applied}}


class StockImporter(Importer):
    """Each row is an operation of its own; those of a chunk queue together and keep their order."""

    kind = ""

    @abstractmethod
    def line(self, fields: Checked) -> Line:
        """The change that a row asks for."""
        ...

    def location(self, fields: Checked) -> LocationCode:
        """Where a row belongs."""
        location: LocationCode = fields.get("location") or self.service.default_location
        return location

    def fault(self, fields: Checked) -> Fault | None:
        allowed = self.call.principal.locations
        is_allowed = allowed is None or self.location(fields) in allowed
        return None if is_allowed else NOT_ALLOWED

    async def apply(self, rows: Sequence[Numbered]) -> list[Result]:
        if self.dry_run:
            return await self._judge(rows)
        return await _gathered(self._submit(row) for row in rows)

    async def _submit(self, row: Numbered) -> Result:
        number, fields = row
        try:
            outcome = await self._sent(self._command((self.line(fields),), fields), self.key(row))
        except Unavailable as error:
            return self.failed(number, error)
        answer = orjson.loads(outcome.answer)
        replayed = {"replayed": True} if outcome.replayed else {}
        if outcome.refused is None:
            told = {"operation_id": answer["operation_id"], **replayed}
            return {**self._shown(number, answer["results"][0]), **told}
        lines = answer.get("lines")
        if not lines:
            return self.rejected(number, outcome.refused, {}) | replayed
        return self._shown(number, lines[0]) | replayed

    async def _judge(self, rows: Sequence[Numbered]) -> list[Result]:
        """One command that changes nothing: a chunk's rows are judged on its running balance."""
        lines = tuple(self.line(fields) for _, fields in rows)
        try:
            outcome = await self._sent(self._command(lines, {}), None)
        except Unavailable as error:
            return [self.failed(number, error) for number, _ in rows]
        results = orjson.loads(outcome.answer)["results"]
        return [self._shown(row[0], line) for row, line in zip(rows, results, strict=True)]

    async def _sent(self, command: Command, key: IdempotencyKey | None) -> Outcome:
        outcome: Outcome = await self.service.committer.submit(
            command,
            actor=self.call.principal.id,
            key=key,
            deadline_s=self.service.settings.change_deadline_s,
        )
        return outcome

    def _command(self, lines: tuple[Line, ...], fields: Checked) -> Command:
        return Command(
            self.kind,
            lines,
            Mode.INDEPENDENT if self.dry_run else Mode.ATOMIC,
            reason=lines[0].reason,
            reference=fields.get("reference"),
            occurred_at=fields.get("occurred_at"),
            dry_run=self.dry_run,
            visible=self.call.principal.locations,
        )

    def _shown(self, number: int, line: Result) -> Result:
        where = {"row": number, "sku": line["sku"], "location": line["location"]}
        if line["status"] == "rejected":
            facts = line["error"]
            return where | self.rejected(number, facts["code"], facts)
        if line["status"] == "duplicate":
            return where | {"status": "duplicate"}
        level = line["level"]
        return where | {
            "status": "applied",
            "seq": line["seq"],
            "delta": line["delta"],
            "on_hand": level["on_hand"],
            "available": level["available"],
        }


class AdjustmentImporter(StockImporter):
    """Rows that add units or take them away."""

    kind = "adjust"

    def line(self, fields: Checked) -> Line:
        return AdjustLine(
            fields["sku"],
            self.location(fields),
            fields["delta"],
            fields.get("reason") or "other",
            fields.get("line_id"),
        )


class LevelImporter(StockImporter):
    """Rows that count what is there, whatever was there before."""

    kind = "set"

    def line(self, fields: Checked) -> Line:
        location = self.location(fields)
        return SetLine(fields["sku"], location, fields["on_hand"], None, "opening_balance")


class ItemImporter(Importer):
    """Rows that create or change items; a chunk is one transaction."""

    def fault(self, fields: Checked) -> Fault | None:
        is_lone = fields.get("currency") is not None and fields.get("price") is None
        return NEEDS_PRICE if is_lone else None

    async def apply(self, rows: Sequence[Numbered]) -> list[Result]:
        entries = [Entry(row[1], self.key(row)) for row in rows]
        try:
            outcomes = await self._outcomes(entries)
        except Unavailable as error:
            return [self.failed(number, error) for number, _ in rows]
        return [self._result(*pair) for pair in zip(rows, outcomes, strict=True)]

    async def _outcomes(self, entries: Sequence[Entry]) -> list[Outcome]:
        service = self.service
        outcomes: list[Outcome] = []

        async def work(session: Session, now: Instant) -> Outcome:
            outcomes[:] = await import_items(
                session,
                entries,
                actor=self.call.principal.id,
                default_currency=service.settings.default_currency,
                now=now,
                dry_run=self.dry_run,
            )
            return Outcome(b"{}")

        if self.dry_run:
            async with service.reading() as session:
                await work(session, service.clock())
        else:
            await service.transact(work, actor=self.call.principal.id)
        return outcomes

    def _result(self, row: Numbered, outcome: Outcome) -> Result:
        number, fields = row
        if outcome.refused is None:
            result = {"row": number, "sku": fields["sku"], **orjson.loads(outcome.answer)}
        else:
            sku = {"row": number, "sku": fields["sku"]}
            result = sku | self.rejected(number, outcome.refused, {})
        return result | ({"replayed": True} if outcome.replayed else {})


async def run(importer: Importer, arrivals: Arrivals, spool: Spool) -> None:
    """Take in rows until they end, and write their results and at last their summary."""
    size = importer.service.settings.import_chunk_rows
    counts: Counter[str] = Counter()
    # A dry run judges whole chunks, so that its answer does not depend on the network's pieces.
    async for chunk in _chunks(arrivals, size, is_eager=not importer.dry_run):
        results = await _results(importer, chunk)
        counts.update(result["status"] for result in results)
        counts["replayed"] += sum("replayed" in result for result in results)
        spool.write(b"".join([orjson.dumps(result) + b"\n" for result in results]))
        await asyncio.sleep(0)
    spool.write(orjson.dumps(_summary(importer, counts)) + b"\n")


async def _results(importer: Importer, chunk: Sequence[Row]) -> list[Result]:
    """The result of each row: its fault, or what became of it together with the sound others."""
    results: dict[int, Result] = {}
    sound: list[Numbered] = []
    for row in chunk:
        checked = importer.sheet.check(row)
        fault = checked if isinstance(checked, Fault) else importer.fault(checked)
        if fault is not None:
            results[row.number] = importer.faulty(row.number, fault)
        elif not isinstance(checked, Fault):
            sound.append((row.number, checked))
    if sound:
        results |= {result["row"]: result for result in await importer.apply(sound)}
    return [results[row.number] for row in chunk]


def _summary(importer: Importer, counts: Counter[str]) -> Result:
    is_items = isinstance(importer, ItemImporter)
    kinds = ("created", "updated", "unchanged") if is_items else ()
    rejected, failed, duplicates = counts["rejected"], counts["failed"], counts["duplicate"]
    applied = counts["applied"] + counts["created"] + counts["updated"]
    return {
        "end": True,
        "rows": applied + rejected + failed + duplicates + counts["unchanged"],
        "applied": applied,
        **{kind: counts[kind] for kind in kinds},
        "rejected": rejected,
        "duplicates": duplicates,
        "failed": failed,
        "replayed": counts["replayed"],
        "dry_run": importer.dry_run,
    }


async def _chunks(arrivals: Arrivals, size: int, *, is_eager: bool) -> AsyncIterator[Sequence[Row]]:
    """Rows in chunks of `size`; eager ones are not held back when nothing more is at hand."""
    waiting: list[Row] = []
    async for rows in arrivals:
        waiting += rows
        while len(waiting) >= size or (is_eager and waiting and not rows):
            yield waiting[:size]
            del waiting[:size]
    if waiting:
        yield waiting


async def _gathered(submitted: Iterable[Awaitable[Result]]) -> list[Result]:
    """All results; a defect that one of them meets is raised when all have ended."""
    results: list[Result] = []
    for result in await asyncio.gather(*submitted, return_exceptions=True):
        if isinstance(result, BaseException):
            raise result
        results.append(result)
    return results
