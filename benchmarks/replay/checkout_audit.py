"""Compares ledger and reservations with what checkout mode must leave behind."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from benchmarks.replay.audit import SHOWN_MAX, Differences, walk
from benchmarks.replay.checkout import Checkout, Fate, Step, Sums, is_cart, script
from benchmarks.replay.forecast import Key
from benchmarks.replay.run import Outcome
from benchmarks.replay.service import OPENING_REFERENCE, Record, reference_of
from benchmarks.replay.shop import Invoice, Shop

# The last movement of a line of the file, and the balance that tells its units.
ENDS = {"adjust": "on_hand", "fulfill": "on_hand", "expire": "reserved"}
BALANCES = ("on_hand", "reserved", "committed")
# Ends are of the clock that does not jump, records are of the day's: an NTP daemon turns the
# second one by up to half a thousandth, which is this much in half an hour.
EARLY_MAX = timedelta(seconds=1)
LONG_AGO = datetime.min.replace(tzinfo=UTC)


@dataclass(slots=True)
class Position:
    """How far the ledger has come with an invoice."""

    invoice: Invoice
    steps: Sequence[Step]
    seen: int = 0


@dataclass(slots=True)
class CheckoutAudit:
    """Every movement must be the next step of a known invoice, under the acknowledged hold.

    Attributes:
        late_s: by reference of an abandoned cart, how long after its end the ledger had that.
    """

    shop: Shop
    checkout: Checkout
    outcomes: Mapping[str, Outcome]
    differences: Differences
    late_s: dict[str, float] = field(default_factory=dict)
    positions: dict[str, Position] = field(init=False)
    opening: dict[Key, int] = field(init=False)
    levels: dict[Key, tuple[int, ...]] = field(default_factory=dict)
    sums: dict[tuple[str, str, str], Sums] = field(default_factory=dict)
    rows: int = 0
    units: int = 0
    seq: int = 0
    recorded_at: datetime = LONG_AGO

    def __post_init__(self) -> None:
        fates = self.checkout.fates
        self.positions = {
            reference_of(invoice): Position(invoice, tuple(script(invoice, fates[invoice.number])))
            for invoice in self.shop.invoices
        }
        self.opening = dict(self.checkout.forecast.opening)

    async def read(self, records: AsyncIterator[Record]) -> None:
        """Walk through the whole export, then look for what was not in it."""
        end = await walk(records, self.movement)
        check = self.differences.check
        check("ledger is whole", end.get("rows") == self.seq, end)
        check("ledger is at its head", end.get("as_of_seq") == self.seq, end)
        self._missing()
        for key in self.sums.keys() | self.checkout.sums.keys():
            found, wanted = self.sums.get(key), self.checkout.sums.get(key)
            check("movements and units per type and level", found == wanted, (key, found, wanted))
        self._file()

    def movement(self, record: Record) -> None:
        """Check one row of the ledger."""
        check = self.differences.check
        check("seq without a gap", record["seq"] == self.seq + 1, (self.seq, record["seq"]))
        recorded_at = datetime.fromisoformat(record["recorded_at"])
        check("recorded_at never runs back", recorded_at >= self.recorded_at, record)
        self.seq, self.recorded_at = record["seq"], recorded_at
        sums = self.sums.setdefault((record["type"], record["sku"], record["location"]), Sums())
        sums.add(*(record["delta"][name] for name in BALANCES))
        if record["type"] in ENDS:
            self.rows += 1
            self.units += abs(record["delta"][ENDS[record["type"]]])
        position = self.positions.get(record["reference"])
        if position is None:
            self._opening(record)
        else:
            self._step(record, position)
        self._chain(record)

    def _step(self, record: Record, position: Position) -> None:
        index = position.seen
        position.seen += 1
        wanted = position.steps[index] if index < len(position.steps) else None
        delta = (record["delta"][name] for name in BALANCES)
        found = (record["type"], record["sku"], record["location"], *delta, record["reason"])
        number, check = position.invoice.number, self.differences.check
        check("movement is the invoice's next step", found == wanted, (number, found, wanted))
        outcome = self.outcomes.get(number)
        if not is_cart(position.invoice):
            acknowledged = outcome.seqs[index : index + 1] if outcome is not None else ()
            check("movement is the acknowledged one", acknowledged == (record["seq"],), record)
            return
        hold = outcome.reservation_id if outcome is not None else None
        check("movement is of the acknowledged hold", hold == record["reservation_id"], record)
        if record["type"] == "expire" and outcome is not None and outcome.expires_at is not None:
            self._end(record, datetime.fromisoformat(outcome.expires_at))

    def _end(self, record: Record, expires_at: datetime) -> None:
        late = self.recorded_at - expires_at
        self.differences.check("no hold ends before its time", late > -EARLY_MAX, record)
        self.late_s[record["reference"]] = late.total_seconds()

    def _opening(self, record: Record) -> None:
        key = (record["sku"], record["location"])
        wanted = (OPENING_REFERENCE, "opening_balance", self.opening.pop(key, None))
        found = (record["reference"], record["reason"], record["delta"]["on_hand"])
        self.differences.check("opening is as computed", found == wanted, (key, found, wanted))

    def _chain(self, record: Record) -> None:
        """Balances follow from the movement before, and nothing is promised that is not there."""
        key = (record["sku"], record["location"])
        version, *before = self.levels.get(key, (0, 0, 0, 0))
        after, delta = record["after"], record["delta"]
        balances = [after[name] for name in BALANCES]
        moved = [units + delta[name] for units, name in zip(before, BALANCES, strict=True)]
        check = self.differences.check
        check("level versions without a gap", record["level_version"] == version + 1, record)
        check("after = before + delta", balances == moved, record)
        check("no balance is below zero", min(balances) >= 0, record)
        on_hand, reserved, committed = balances
        available = on_hand - reserved - committed
        check("available is what is not promised", after["available"] == available, record)
        check("nothing is oversold", available >= 0, record)
        self.levels[key] = (record["level_version"], *balances)

    def _missing(self) -> None:
        check = self.differences.check
        for position in self.positions.values():
            number, wanted = position.invoice.number, len(position.steps)
            check("invoice is there whole or not", position.seen == wanted, (number, position.seen))
            outcome = self.outcomes.get(number)
            refused = [index for index, _ in outcome.refused] if outcome is not None else None
            foreseen = self.checkout.forecast.refused.get(number, [])
            check("refused lines as foreseen", refused == foreseen, (number, refused, foreseen))
        check("opening is complete", not self.opening, self.opening)

    def _file(self) -> None:
        """Each line of the file was booked, shipped, left to expire or refused, whole."""
        refused = [
            line
            for position in self.positions.values()
            if position.invoice.number in self.checkout.forecast.refused
            for line in position.invoice.lines
        ]
        rows = self.rows + len(refused)
        units = self.units + sum(abs(line.delta) for line in refused)
        check = self.differences.check
        check("lines of the file", rows == self.shop.rows, (rows, self.shop.rows))
        check("units of the file", units == self.shop.units, (units, self.shop.units))


async def audit_reservations(
    records: AsyncIterator[Record],
    shop: Shop,
    checkout: Checkout,
    outcomes: Mapping[str, Outcome],
    differences: Differences,
) -> None:
    """Every reservation of the service, and none besides, ended as its cart had to."""
    ends = (Fate.FULFILLED, Fate.EXPIRED)
    missing = {
        reference_of(invoice): invoice
        for invoice in shop.invoices
        if checkout.fates[invoice.number] in ends
    }
    check = differences.check
    async for record in records:
        invoice = missing.pop(record["reference"], None)
        check("reservation is of a cart", invoice is not None, record["reference"])
        if invoice is None:
            continue
        fate = checkout.fates[invoice.number]
        outcome = outcomes.get(invoice.number)
        hold = None if outcome is None else outcome.reservation_id
        check("reservation is the acknowledged one", record["id"] == hold, record["id"])
        found, wanted = _shown(record), _wanted(invoice, fate)
        check("reservation ended as it had to", found == wanted, (invoice.number, found, wanted))
    check("no reservation is missing", not missing, list(missing)[:SHOWN_MAX])


Ended = tuple[str, list[tuple[object, ...]]]
"""The state of a reservation, and for each line its SKU, places, and units by state."""
UNITS = ("requested", "open", "fulfilled", "released", "expired")


def _shown(record: Record) -> Ended:
    lines: list[tuple[object, ...]] = [
        (line["sku"], [at["location"] for at in line["allocations"]], *(line[n] for n in UNITS))
        for line in record["lines"]
    ]
    return record["status"], lines


def _wanted(invoice: Invoice, fate: Fate) -> Ended:
    lines: list[tuple[object, ...]] = []
    for line in invoice.lines:
        units = -line.delta
        ended = (units, 0, 0) if fate is Fate.FULFILLED else (0, 0, units)
        lines.append((line.sku, [line.location], units, 0, *ended))
    return fate.value, lines
