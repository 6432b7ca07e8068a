"""Exports: all rows as they were at one position of the ledger, read in short pages."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from inventory_api.domain.alerts import show_crossings
from inventory_api.domain.catalog import Item, rfc3339, show_components, show_level, show_movement
from inventory_api.domain.reservation import Hold, hold_at, show_hold
from inventory_api.domain.types import (
    SKU,
    Instant,
    Key,
    Level,
    LocationCode,
    Movement,
    Recipe,
)
from inventory_api.service import Service
from inventory_api.store.catalog import list_items, shown_item
from inventory_api.store.database import Session
from inventory_api.store.holds import hold_page, newest_id
from inventory_api.store.kits import kits_of
from inventory_api.store.ledger import Filter, list_movements, read_head
from inventory_api.store.levels import as_of, list_levels
from inventory_api.web.problems import Invalid, InvalidField, field_path, invalid
from inventory_api.web.rows import csv_text

# What is turned into text before others get their turn: half a millisecond.
PIECE_ROWS = 100

# Any: rows of the kind that the export is about, and the place behind the last one.
Row = Any
Position = Any
Page = tuple[Sequence[Row], Position | None]
Cells = tuple[object, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Export:
    """How one kind of row is read and shown.

    Attributes:
        page: the rows behind a position, and the position behind them; None if they are the last.
        show: a row as a JSON object.
        columns: the names of the cells.
        cells: a row as lines of CSV; most have one.
    """

    start: Position
    page: Callable[[Session, Position, int], Awaitable[Page]]
    show: Callable[[Row], dict[str, Any]]
    columns: Sequence[str]
    cells: Callable[[Row], Sequence[Cells]]


async def as_ndjson(service: Service, export: Export) -> AsyncGenerator[bytes, None]:
    """One object per line; the last one says that nothing is missing."""
    count = seq = 0
    async for seq, rows in _pages(service, export):  # noqa: B007 -- used behind the loop
        count += len(rows)
        for piece in _pieces(rows):
            yield b"".join([orjson.dumps(export.show(row)) + b"\n" for row in piece])
    yield orjson.dumps({"end": True, "rows": count, "as_of_seq": seq}) + b"\n"


async def as_csv(
    service: Service, export: Export, names: str | None
) -> AsyncGenerator[bytes, None]:
    """A header and one line per row, without a trailer: a broken transfer tells what is cut off.

    Raises:
        Invalid: at once, if `names` are not columns.
    """
    columns = export.columns if names is None else _chosen(export, names)
    indexes = [export.columns.index(name) for name in columns]
    yield csv_text([columns])
    async for _, rows in _pages(service, export):
        for piece in _pieces(rows):
            cells = [line for row in piece for line in export.cells(row)]
            yield csv_text([[line[index] for index in indexes] for line in cells])


def items_export(page_rows: int, *, status: str | None) -> Export:
    """All items by SKU, as they are: the catalogue has no history."""

    async def page(session: Session, after: str, _: int) -> Page:
        items = await list_items(session, q=None, status=status, after=after, limit=page_rows)
        kits = await kits_of(session, [item.sku for item in items])
        rows = [(item, kits.get(SKU(item.sku), ())) for item in items]
        return rows, items[-1].sku if len(items) == page_rows else None

    return Export(
        start="",
        page=page,
        show=lambda row: shown_item(*row),
        columns=ITEM_COLUMNS,
        cells=lambda row: _item_cells(*row),
    )


def levels_export(page_rows: int, *, locations: frozenset[str] | None) -> Export:
    """All levels by SKU and location, rewound to the position."""

    async def page(session: Session, after: Key, seq: int) -> Page:
        levels = await list_levels(session, after=after, limit=page_rows, locations=locations)
        last = levels[-1] if len(levels) == page_rows else None
        position = None if last is None else (last.sku, last.location)
        return await as_of(session, levels, seq), position

    return Export(
        start=(SKU(""), LocationCode("")),
        page=page,
        show=show_level,
        columns=tuple(show_level(Level(SKU(""), LocationCode("")))),
        cells=_level_cells,
    )


def movements_export(page_rows: int, *, after: int, locations: frozenset[str] | None) -> Export:
    """The ledger from the movement behind `after` to the position."""
    wanted = Filter(locations=locations)

    async def page(session: Session, after: int, seq: int) -> Page:
        # A stretch of the ledger is read, however few of its movements are wanted.
        until = min(after + page_rows, seq)
        found = await list_movements(session, wanted, after=after, limit=page_rows, until=until)
        return found, until if until < seq else None

    return Export(
        start=after,
        page=page,
        show=show_movement,
        columns=MOVEMENT_COLUMNS,
        cells=_movement_cells,
    )


def reservations_export(
    page_rows: int,
    *,
    locations: frozenset[str] | None,
    status: str | None,
    clock: Callable[[], Instant],
) -> Export:
    """All reservations, up to the newest when the first page is read, as each page finds them."""

    async def page(session: Session, position: tuple[str, str | None], _: int) -> Page:
        after, until = position
        if until is None:
            until = await newest_id(session)
        found, last = await hold_page(session, after=after, until=until, limit=page_rows)
        now = clock()
        holds = [hold_at(hold, now) for hold in found if hold.is_seen_by(locations)]
        wanted = [hold for hold in holds if status in (None, hold.reservation.status)]
        return wanted, None if last is None else (last, until)

    return Export(
        start=("", None),
        page=page,
        show=show_hold,
        columns=RESERVATION_COLUMNS,
        cells=_reservation_cells,
    )


ITEM_COLUMNS = (
    "sku",
    "name",
    "barcode",
    "price",
    "currency",
    "status",
    "version",
    "created_at",
    "updated_at",
    "attributes",
    "components",
)
MOVEMENT_COLUMNS = tuple(
    f"delta_{name[2:]}" if name.startswith("d_") else name for name in Movement._fields
)
RESERVATION_COLUMNS = (
    "id",
    "reference",
    "status",
    "created_at",
    "expires_at",
    "version",
    "line",
    "sku",
    "location",
    "requested",
    "held",
    "committed",
    "fulfilled",
    "released",
    "expired",
    "kit",
    "per_kit",
)


def _item_cells(item: Item, recipe: Recipe) -> Sequence[Cells]:
    times = rfc3339(item.created_at), rfc3339(item.updated_at)
    components = orjson.dumps(show_components(recipe)).decode()
    return ((*item[:5], item.status, item.version, *times, item.attributes, components),)


def _level_cells(level: Level) -> Sequence[Cells]:
    return (tuple(show_level(level).values()),)


def _movement_cells(movement: Movement) -> Sequence[Cells]:
    recorded_at, occurred_at = rfc3339(movement.recorded_at), rfc3339(movement.occurred_at)
    told = " ".join(show_crossings(movement.alerts))
    return ((movement.seq, recorded_at, *movement[2:5], occurred_at, *movement[6:-1], told),)


def _reservation_cells(hold: Hold) -> Sequence[Cells]:
    """One for each location that each line takes from, without what is dropped of it."""
    row = hold.reservation
    times = rfc3339(row.created_at), rfc3339(row.expires_at)
    head = (row.id, row.reference, row.status, *times, row.version)
    return [
        (*head, one.line, one.sku, one.location, one.requested, *one[6:])
        for one in hold.allocations
        if one.requested
    ]


async def _pages(
    service: Service, export: Export
) -> AsyncGenerator[tuple[int, Sequence[Row]], None]:
    """The pages with their position, which is the ledger's head when the first one is read."""
    position, seq = export.start, None
    while position is not None:
        async with service.reading() as session:
            if seq is None:
                seq = (await read_head(session)).seq
            rows, position = await export.page(session, position, seq)
        yield seq, rows


def _pieces(rows: Sequence[Row]) -> Iterator[Sequence[Row]]:
    return (rows[start : start + PIECE_ROWS] for start in range(0, len(rows), PIECE_ROWS))


def _chosen(export: Export, names: str) -> Sequence[str]:
    """The columns that are wanted, in the wanted order."""
    chosen = names.split(",")
    wrong = [name for name in chosen if name not in export.columns]
    if wrong:
        raise Invalid(
            [
                InvalidField(field_path(("columns", name)), "unknown", "unknown column", "未知列")
                for name in wrong
            ]
        )
    if len(set(chosen)) != len(chosen):
        raise invalid("columns", "must not repeat a column", "不得重复列")
    return chosen
