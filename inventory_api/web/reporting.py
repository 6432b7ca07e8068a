"""The replenishment report: page by page, or as a stream of all its rows."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from inventory_api.domain.replenishment import (
    Classes,
    Demand,
    Proposal,
    Terms,
    classify,
    propose,
    show_proposal,
)
from inventory_api.domain.types import SKU, Instant, Key, Level, LocationCode
from inventory_api.store.database import Session
from inventory_api.store.demand import (
    Stocked,
    Window,
    class_borders,
    demand_of,
    stocked_levels,
    window_of,
)
from inventory_api.store.levels import without_due_list
from inventory_api.web.exporting import Cells, Export, Page
from inventory_api.web.problems import invalid

START: Key = (SKU(""), LocationCode(""))


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What is asked for.

    Attributes:
        by_value: None makes no classes.
        shares: of all weight, that classes A, and A and B have.
        movements_max: since the window began; more is refused.
        clock: the one that holds live by.
    """

    until: Instant
    days: int
    terms: Terms
    by_value: bool | None
    shares: tuple[float, float]
    locations: frozenset[str] | None
    only_due: bool
    movements_max: int
    clock: Callable[[], Instant]


@dataclass(frozen=True, slots=True)
class Basis:
    """What all pages have in common."""

    window: Window
    classes: Classes | None


@dataclass(frozen=True, slots=True)
class Proposals:
    """A page, and the key behind which the next one begins; None if there is no next one."""

    rows: list[Proposal] = field(default_factory=list)
    last: Key | None = None


async def basis_of(session: Session, report: Report) -> Basis:
    """The window and the classes.

    Raises:
        Invalid: more was recorded since the window began than may be read.
    """
    window = await window_of(session, report.until, report.days)
    if window.seq - window.after > report.movements_max:
        raise invalid(
            "days",
            f"must span at most {report.movements_max} movements, and spans"
            f" {window.seq - window.after}",
            f"所跨变动不得超过 {report.movements_max} 条, 现为 {window.seq - window.after} 条",
        )
    if report.by_value is None:
        return Basis(window, None)
    classes = await class_borders(
        session,
        window,
        by_value=report.by_value,
        shares=report.shares,
        locations=report.locations,
    )
    return Basis(window, classes)


async def proposals(
    session: Session, report: Report, basis: Basis, after: Key, limit: int
) -> Proposals:
    """The next levels' proposals; a page is short if its levels moved much."""
    stocked = await stocked_levels(session, after=after, limit=limit, locations=report.locations)
    if not stocked:
        return Proposals()
    levels = [one.level for one in stocked]
    demand = await demand_of(session, levels, basis.window)
    read = stocked[: len(demand)]
    now = await without_due_list(session, levels[: len(demand)], report.clock())
    rows = [
        _proposal(one, level, demand[level[:2]], report, basis)
        for one, level in zip(read, now, strict=True)
    ]
    if report.only_due:
        rows = [row for row in rows if row.quantity]
    is_last = len(stocked) < limit and len(read) == len(stocked)
    return Proposals(rows, None if is_last else read[-1].level[:2])


def report_export(report: Report, page_rows: int) -> Export:
    """All proposals; the basis is made with the first page."""

    async def page(session: Session, position: tuple[Basis | None, Key], _: int) -> Page:
        basis, after = position
        if basis is None:
            basis = await basis_of(session, report)
        found = await proposals(session, report, basis, after, page_rows)
        return found.rows, None if found.last is None else (basis, found.last)

    return Export(start=(None, START), page=page, show=show_proposal, columns=COLUMNS, cells=_cells)


def _proposal(one: Stocked, level: Level, demand: Demand, report: Report, basis: Basis) -> Proposal:
    value_class = classify(demand.units, one.amount, one.currency, basis.classes)
    return propose(level, demand, report.terms, value_class)


def _shown_columns() -> tuple[str, ...]:
    shown: dict[str, Any] = show_proposal(  # Any: JSON values
        Proposal(Level(*START), Demand(1), None, 0, 0, 0)
    )
    return tuple(shown)


COLUMNS = _shown_columns()


def _cells(row: Proposal) -> list[Cells]:
    return [tuple(show_proposal(row).values())]
