"""The result of a replay, as Markdown."""

import os
import platform
import sys
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from benchmarks.replay.audit import Differences
from benchmarks.replay.checkout import Checkout, Fate, Sums
from benchmarks.replay.forecast import Forecast, Opening
from benchmarks.replay.run import Run
from benchmarks.replay.shop import CHARGES, Shop


@dataclass(frozen=True, slots=True)
class Carts:
    """What became of the carts of checkout mode.

    Attributes:
        found: the ledger's movements by type, SKU and location.
        late_s: by reference of an expired hold, how long after its end the ledger had that.
    """

    checkout: Checkout
    found: dict[tuple[str, str, str], Sums]
    late_s: dict[str, float]


@dataclass(frozen=True, slots=True)
class Replay:
    """One finished replay.

    `resent` is None when nothing was sent a second time, `carts` when there were none.
    """

    shop: Shop
    forecast: Forecast
    opening: Opening
    in_flight: int
    version: str
    run: Run
    resent: Run | None
    differences: Differences
    audit_seconds: float
    carts: Carts | None = None


def render(replay: Replay) -> str:
    """The whole report; it ends with the verdict."""
    parts = [
        "## Report",
        *_setting(replay),
        "### The file",
        *_file(replay.shop),
        "### The replay",
        *_replay(replay),
        "### The comparison",
        *_comparison(replay.differences),
    ]
    return "\n".join(parts) + "\n"


def _setting(replay: Replay) -> Iterable[str]:
    yield from (
        "",
        f"- Date: {time.strftime('%Y-%m-%d', time.gmtime())}",
        f"- Command: `python {' '.join(_command())}`",
        f"- Service: inventory_api {replay.version}; client: Python {platform.python_version()}, "
        f"{platform.system()}, {os.cpu_count()} cores shared by both",
        "",
    )


def _command() -> list[str]:
    """The command line; of files only their names, as their folders mean nothing elsewhere."""
    script, *options = sys.argv
    named = [option if "://" in option else os.path.basename(option) for option in options]
    return [os.path.relpath(script), *named]


def _file(shop: Shop) -> Iterable[str]:
    meant: Counter[tuple[str, str]] = Counter()
    units: Counter[tuple[str, str]] = Counter()
    for invoice in shop.invoices:
        for line in invoice.lines:
            meant[line.reason, line.location] += 1
            units[line.reason, line.location] += line.delta
    repeats = sum(
        len({line.sku for line in invoice.lines}) < len(invoice.lines) for invoice in shop.invoices
    )
    charges = len({i.sku for v in shop.invoices for i in v.lines if i.location == CHARGES})
    folded = len(shop.items) - len({sku.casefold() for sku in shop.items})
    yield from (
        "",
        f"- {shop.rows:,} lines, {shop.units:,} units in all",
        f"- {len(shop.invoices):,} invoices, the longest of "
        f"{max(len(invoice.lines) for invoice in shop.invoices):,} lines; "
        f"{repeats:,} name an item more than once",
        f"- {len(shop.codes):,} stock codes make {len(shop.items):,} SKUs, of which {folded:,} "
        f"differ from another by letter case alone and {charges:,} are not goods",
        "",
        "| Meaning | Location | Lines | Units |",
        "|---|---|--:|--:|",
        *(
            f"| `{reason}` | {location} | {lines:,} | {units[reason, location]:+,} |"
            for (reason, location), lines in meant.most_common()
        ),
        "",
    )


def _replay(replay: Replay) -> Iterable[str]:
    run, forecast = replay.run, replay.forecast
    refused = ", ".join(f"{count:,} with `{code}`" for code, count in sorted(run.refusals.items()))
    lines_refused = sum(len(outcome.refused) for outcome in run.outcomes.values())
    yield from ("", "| | |", "|---|--:|")
    if replay.carts is not None:
        yield from _carts(replay.carts, run)
    yield from (
        f"| Opening stock | {replay.opening}: {sum(forecast.opening.values()):,} units "
        f"on {len(forecast.opening):,} levels |",
        f"| In flight | {replay.in_flight} |",
        f"| Invoices sent | {len(run.outcomes):,} in {run.seconds:,.1f} s |",
        f"| Lines | {run.lines:,} = **{run.lines / run.seconds:,.0f} lines/s**, "
        f"{len(run.outcomes) / run.seconds:,.0f} operations/s |",
        f"| Answer within | p50 {run.wait_ms(0.5):,.0f} ms, p99 {run.wait_ms(0.99):,.0f} ms, "
        f"longest {run.wait_ms(1):,.0f} ms |",
        f"| Invoices refused | {refused or 'none'} (foreseen: {len(forecast.refused):,}) |",
        f"| Lines that refused them | {lines_refused:,} "
        f"(foreseen: {sum(map(len, forecast.refused.values())):,}) |",
        f"| Requests repeated | {run.retries:,} |",
        f"| Answers from memory | {run.replayed:,} |",
    )
    if (again := replay.resent) is not None:
        yield (
            f"| Everything sent again | {len(again.outcomes):,} invoices in {again.seconds:,.1f} s,"
            f" {again.replayed:,} answered from memory |"
        )
    yield ""
    if replay.carts is not None:
        yield from _movements(replay.carts)


def _carts(carts: Carts, run: Run) -> Iterable[str]:
    """What became of the carts, as the service said and as its ledger has it."""
    states = Counter(outcome.state for outcome in run.outcomes.values())
    fates = Counter(carts.checkout.fates.values())
    late_ms = sorted(1_000 * seconds for seconds in carts.late_s.values()) or [0.0]
    yield from (
        f"| Carts held | {states['fulfilled'] + states['active']:,} |",
        f"| Confirmed and fulfilled | {states['fulfilled']:,} "
        f"(foreseen: {fates[Fate.FULFILLED]:,}) |",
        f"| Abandoned and expired | {len(carts.late_s):,} (foreseen: {fates[Fate.EXPIRED]:,}) |",
        f"| An end was in the ledger | p50 {late_ms[len(late_ms) // 2]:,.0f} ms, "
        f"longest {late_ms[-1]:,.0f} ms after the hold had ended |",
    )


def _movements(carts: Carts) -> Iterable[str]:
    """The ledger by type of movement: what went up has come down."""
    total: dict[str, Sums] = {}
    for (kind, _, _), sums in carts.found.items():
        total.setdefault(kind, Sums()).merge(sums)
    total["all"] = Sums()
    for sums in carts.found.values():
        total["all"].merge(sums)
    yield from ("| Type | Movements | On hand | Reserved | Committed |", "|---|--:|--:|--:|--:|")
    for kind, sums in total.items():
        moved = f"{sums.on_hand:+,} | {sums.reserved:+,} | {sums.committed:+,}"
        yield f"| `{kind}` | {sums.movements:,} | {moved} |"
    yield ""


def _comparison(differences: Differences) -> Iterable[str]:
    yield from ("", "| Check | Times | Differences |", "|---|--:|--:|")
    for name, times in differences.checks.items():
        yield f"| {name} | {times:,} | {differences.failures[name]:,} |"
    yield from ("", f"**Differences: {differences.total:,}**")
    yield from (f"- {detail}" for detail in differences.shown)
