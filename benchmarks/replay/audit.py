"""Compares levels and ledger with the forecast, one record at a time."""

from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal

from benchmarks.replay.forecast import Forecast, Key, Tally
from benchmarks.replay.run import Outcome
from benchmarks.replay.service import OPENING_REFERENCE, Record, reference_of
from benchmarks.replay.shop import Invoice, Item, Shop

SHOWN_MAX = 20
UNTOUCHED = ("reserved", "committed", "incoming")


@dataclass(slots=True)
class Differences:
    """How often each check was made, how often it failed, and the first failures in words."""

    checks: Counter[str] = field(default_factory=Counter)
    failures: Counter[str] = field(default_factory=Counter)
    shown: list[str] = field(default_factory=list)

    def check(self, name: str, is_equal: bool, detail: object) -> None:
        self.checks[name] += 1
        if is_equal:
            return
        self.failures[name] += 1
        if len(self.shown) < SHOWN_MAX:
            self.shown.append(f"{name}: {detail}")

    @property
    def total(self) -> int:
        return self.failures.total()


@dataclass(slots=True)
class Position:
    """How far the ledger has come with an invoice."""

    invoice: Invoice
    rank: int
    seen: int = 0


class LedgerAudit:
    """Every movement must be the next line of a known invoice, acknowledged under this number."""

    def __init__(
        self,
        shop: Shop,
        forecast: Forecast,
        outcomes: Mapping[str, Outcome],
        differences: Differences,
        *,
        ordered: bool,
    ) -> None:
        self.forecast, self.outcomes, self.ordered = forecast, outcomes, ordered
        self.differences = differences
        self.positions = {
            reference_of(invoice): Position(invoice, rank)
            for rank, invoice in enumerate(shop.invoices)
        }
        self.opening = dict(forecast.opening)
        self.shop = shop
        self.units = 0
        self.seq = 0
        self.recorded_at = datetime.min.replace(tzinfo=UTC)
        self.levels: dict[Key, tuple[int, int, int]] = {}
        self.tallies: dict[tuple[str, str, str], Tally] = {}

    async def read(self, records: AsyncIterator[Record]) -> None:
        """Walk through the whole export, then look for what was not in it."""
        end = await walk(records, self.movement)
        check = self.differences.check
        check("ledger is whole", end.get("rows") == self.seq, end)
        check("ledger is at its head", end.get("as_of_seq") == self.seq, end)
        self._missing()
        self._file()
        for key in self.tallies.keys() | self.forecast.tallies.keys():
            found, wanted = self.tallies.get(key), self.forecast.tallies.get(key)
            check("movements and units per SKU and reason", found == wanted, (key, found, wanted))

    def movement(self, record: Record) -> None:
        """Check one row of the ledger."""
        check = self.differences.check
        check("seq without a gap", record["seq"] == self.seq + 1, (self.seq, record["seq"]))
        recorded_at = datetime.fromisoformat(record["recorded_at"])
        check("recorded_at never runs back", recorded_at >= self.recorded_at, record)
        self.seq, self.recorded_at = record["seq"], recorded_at
        tally = (record["sku"], record["location"], record["reason"])
        self.tallies.setdefault(tally, Tally()).add(record["delta"]["on_hand"])
        position = self.positions.get(record["reference"])
        if position is not None:
            self._line(record, position)
        else:
            self._opening(record)
        self._chain(record, -1 if position is None else position.rank)

    def _line(self, record: Record, position: Position) -> None:
        """The movement is the invoice's next line, under the number that was acknowledged."""
        invoice, index = position.invoice, position.seen
        position.seen += 1
        self.units += abs(record["delta"]["on_hand"])
        wanted = invoice.lines[index] if index < len(invoice.lines) else None
        found = (record["sku"], record["location"], record["delta"]["on_hand"], record["reason"])
        check = self.differences.check
        check("movement is the invoice's line", found == wanted, (invoice.number, found, wanted))
        outcome = self.outcomes.get(invoice.number)
        acknowledged = outcome.seqs[index : index + 1] if outcome is not None else ()
        check("movement is the acknowledged one", acknowledged == (record["seq"],), record)
        operation_id = outcome.operation_id if outcome is not None else None
        check("operation is the acknowledged one", operation_id == record["operation_id"], record)
        occurred_at = datetime.fromisoformat(record["occurred_at"])
        check("occurred_at is the invoice's", occurred_at == invoice.occurred_at, record)

    def _opening(self, record: Record) -> None:
        key = (record["sku"], record["location"])
        wanted = (OPENING_REFERENCE, "opening_balance", self.opening.pop(key, None))
        found = (record["reference"], record["reason"], record["delta"]["on_hand"])
        self.differences.check("opening is as computed", found == wanted, (key, found, wanted))

    def _chain(self, record: Record, rank: int) -> None:
        """Balances follow from the movement before, on the level's own numbering."""
        key = (record["sku"], record["location"])
        version, on_hand, last_rank = self.levels.get(key, (0, 0, -1))
        after, delta = record["after"], record["delta"]
        check = self.differences.check
        check("level versions without a gap", record["level_version"] == version + 1, record)
        check("after = before + delta", after["on_hand"] == on_hand + delta["on_hand"], record)
        check("on hand is never below zero", after["on_hand"] >= 0, record)
        is_plain = not any(after[name] or delta[name] for name in UNTOUCHED)
        is_plain = is_plain and after["available"] == after["on_hand"]
        check("nothing but on hand moves", is_plain, record)
        if self.ordered:
            check("levels follow the file's order", rank >= last_rank, record)
        self.levels[key] = (record["level_version"], after["on_hand"], rank)

    def _missing(self) -> None:
        check = self.differences.check
        for position in self.positions.values():
            number, lines = position.invoice.number, len(position.invoice.lines)
            wanted = 0 if number in self.forecast.refused else lines
            check("invoice is there whole or not", position.seen == wanted, (number, position.seen))
            outcome = self.outcomes.get(number)
            refused = [index for index, _ in outcome.refused] if outcome is not None else None
            foreseen = self.forecast.refused.get(number, [])
            check("refused lines as foreseen", refused == foreseen, (number, refused, foreseen))
        check("opening is complete", not self.opening, self.opening)

    def _file(self) -> None:
        """The ledger holds as many lines and units as the file, whatever they were taken to mean."""
        refused = [
            line
            for position in self.positions.values()
            if position.invoice.number in self.forecast.refused
            for line in position.invoice.lines
        ]
        rows = self.seq - len(self.forecast.opening) + len(refused)
        units = self.units + sum(abs(line.delta) for line in refused)
        check = self.differences.check
        check("lines of the file", rows == self.shop.rows, (rows, self.shop.rows))
        check("units of the file", units == self.shop.units, (units, self.shop.units))


async def audit_levels(
    records: AsyncIterator[Record], forecast: Forecast, differences: Differences
) -> None:
    """Every level of the service, and none besides, holds what the file says."""
    missing = dict(forecast.versions)
    rows = 0

    def level(record: Record) -> None:
        nonlocal rows
        rows += 1
        key = (record["sku"], record["location"])
        on_hand = forecast.on_hand.get(key)
        wanted = (missing.pop(key, None), on_hand, on_hand, 0, 0, 0, 0)
        names = ("version", "on_hand", "available", "safety_stock", *UNTOUCHED)
        found = tuple(record[name] for name in names)
        differences.check("level is as computed", found == wanted, (key, found, wanted))

    end = await walk(records, level)
    differences.check("levels are whole", end.get("rows") == rows, end)
    differences.check("no level is missing", not missing, list(missing)[:SHOWN_MAX])


async def audit_items(
    records: AsyncIterator[Record], items: Mapping[str, Item], differences: Differences
) -> None:
    """Every item of the service, and none besides, has the file's name and price."""
    missing = set(items)

    def item(record: Record) -> None:
        missing.discard(record["sku"])
        price = record["unit_price"]
        amount = None if price is None else Decimal(price["amount"])
        found = Item(record["sku"], record["name"], amount)
        wanted = items.get(found.sku)
        differences.check("item is as in the file", found == wanted, (found, wanted))

    await walk(records, item)
    differences.check("no item is missing", not missing, sorted(missing)[:SHOWN_MAX])


async def walk(records: AsyncIterator[Record], visit: Callable[[Record], None]) -> Record:
    """Visit all records but the closing one, which is returned; empty when the stream has none."""
    end: Record = {}
    async for record in records:
        if record.get("end") is True:
            end = record
        else:
            visit(record)
    return end
