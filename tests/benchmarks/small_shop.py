"""A shop of nineteen lines with one of each oddity, and the books an honest service would keep."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from benchmarks.replay.audit import Differences, LedgerAudit, audit_items, audit_levels
from benchmarks.replay.forecast import Forecast
from benchmarks.replay.run import Outcome
from benchmarks.replay.shop import Shop, read_shop

Record = dict[str, Any]
NOTHING = {"reserved": 0, "committed": 0, "incoming": 0}

# One of each oddity of the real file, with the real file's codes.
FILE = """\
Invoice,StockCode,Description,Quantity,InvoiceDate,Price,Customer ID,Country
489434,85048,15CM  GLASS BALL ,12,2009-12-01 07:45:00,6.95,13085,United Kingdom
489435,85123A,WHITE HEART,6,2009-12-01 07:46:00,2.55,13085,EIRE
489434,85048,15CM  GLASS BALL ,2,2009-12-01 07:46:00,7.0,13085,United Kingdom
489436,85123a,WHITE HEART LOWER,4,2009-12-01 08:00:00,2.55,,United Kingdom
489437,47503J ,"SET/3 ""TOOLS"", IN BAG",1,2009-12-01 08:10:00,16.13,,United Kingdom
489437,47503J,SET/3 TOOLS,1,2009-12-01 08:10:00,7.95,,United Kingdom
489437,POST,POSTAGE,1,2009-12-01 08:10:00,18.0,,United Kingdom
489437,gift_0001_20,Voucher £20.00,2,2009-12-01 08:10:00,17.39,,United Kingdom
C489438,85048,15CM GLASS BALL,-3,2009-12-01 08:20:00,6.95,13085,United Kingdom
C496350,M,Manual,1,2010-02-01 08:24:00,373.57,,United Kingdom
489440,85048,smashed,-2,2010-02-02 09:00:00,0.0,,United Kingdom
489441,21646,,-50,2010-02-02 09:01:00,0.0,,United Kingdom
489442,85123A,found,7,2010-02-02 09:02:00,0.0,,United Kingdom
489443,22076,6 RIBBONS,12,2010-02-02 09:03:00,0.0,16126,United Kingdom
489444,46000S,FILLER PAD,400,2010-02-02 09:04:00,0.0,,United Kingdom
489444,PADS,PADS TO MATCH,1,2010-02-02 09:04:00,0.001,,United Kingdom
A506401,B,Adjust bad debt,1,2010-04-29 13:36:00,-53594.36,,United Kingdom
489445,85123A,WHITE HEART,7,2010-05-01 10:00:00,2.55,,United Kingdom
489446,35956,lost in space,-1,2010-05-02 10:00:00,0.0,,United Kingdom
"""


def small_shop(folder: Path) -> Shop:
    """The shop of `FILE`, read from a file."""
    path = folder / "shop.csv"
    path.write_text(FILE, encoding="utf-8")
    return read_shop(path)


class Books:
    """What an honest service would export after the replay, for a test to falsify."""

    def __init__(self, shop: Shop, forecast: Forecast) -> None:
        self.shop, self.forecast = shop, forecast
        self.head = 0
        self.movements: list[Record] = []
        self.outcomes: dict[str, Outcome] = {}
        self.balances: dict[tuple[str, str], tuple[int, int]] = {}
        for (sku, location), units in forecast.opening.items():
            self._move("replay:opening", sku, location, units, "opening_balance")
        for invoice in shop.invoices:
            reference = f"invoice:{invoice.number}"
            occurred_at = f"{invoice.occurred_at:%Y-%m-%dT%H:%M:%S.%fZ}"
            first = self.head + 1
            for line in invoice.lines:
                self._move(reference, *line, occurred_at=occurred_at)
            seqs = tuple(range(first, self.head + 1))
            self.outcomes[invoice.number] = Outcome(f"of {reference}", seqs, ())
        self.levels: list[Record] = [
            {"sku": sku, "location": location, "on_hand": on_hand, "available": on_hand}
            | {"version": version, "safety_stock": 0, **NOTHING}
            for (sku, location), (version, on_hand) in self.balances.items()
        ]
        self.levels.append({"end": True, "rows": len(self.levels), "as_of_seq": self.head})
        self.items: list[Record] = [
            {"sku": sku, "name": item.name, "unit_price": None}
            | ({"unit_price": {"amount": str(item.price)}} if item.price is not None else {})
            for sku, item in shop.items.items()
        ]
        self.items.append({"end": True, "rows": len(self.items)})
        self.movements.append({"end": True, "rows": self.head, "as_of_seq": self.head})

    def _move(
        self,
        reference: str,
        sku: str,
        location: str,
        delta: int,
        reason: str,
        occurred_at: str = "2009-12-01T00:00:00Z",
    ) -> None:
        version, on_hand = self.balances.get((sku, location), (0, 0))
        self.balances[sku, location] = version + 1, on_hand + delta
        self.head += 1
        after = {"on_hand": on_hand + delta, "available": on_hand + delta, **NOTHING}
        self.movements.append(
            {"seq": self.head, "operation_id": f"of {reference}", "reference": reference}
            | {"sku": sku, "location": location, "level_version": version + 1, "reason": reason}
            | {"delta": {"on_hand": delta, **NOTHING}, "after": after}
            | {"occurred_at": occurred_at, "recorded_at": f"2026-01-01T00:00:{self.head:02}Z"}
        )

    async def audit(self) -> Differences:
        """What the replay would say to these books."""
        differences = Differences()
        await audit_items(_records(self.items), self.shop.items, differences)
        await audit_levels(_records(self.levels), self.forecast, differences)
        audit = LedgerAudit(self.shop, self.forecast, self.outcomes, differences, ordered=True)
        await audit.read(_records(self.movements))
        return differences


async def _records(records: list[Record]) -> AsyncIterator[Record]:
    for record in records:
        yield record
