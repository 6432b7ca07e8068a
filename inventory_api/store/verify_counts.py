"""Counts against the ledger: what they expected, and what their posting booked."""

from collections.abc import AsyncIterator, Sequence

from sqlalchemy import and_, bindparam, case, literal_column, or_, select, tuple_

from inventory_api.store.findings import Finding, Reading
from inventory_api.store.tables import COUNT_LINE, COUNT_SHEET, MOVEMENT, OPERATION

_SHEET, _LINE, _OPERATION = COUNT_SHEET.c, COUNT_LINE.c, OPERATION.c
_SEEN_TABLE, _BOOKED_TABLE = MOVEMENT.alias(), MOVEMENT.alias()
_SEEN, _BOOKED = _SEEN_TABLE.c, _BOOKED_TABLE.c

# Each counted line is one movement, so that an operation of another length has others too.
_SHEET_PAGE = (
    select(
        _SHEET.id,
        _SHEET.operation_id,
        and_(
            _SHEET.operation_id.is_not(None),
            or_(
                _OPERATION.id.is_(None),
                _OPERATION.type != literal_column("'count'"),
                _OPERATION.last_seq - _OPERATION.first_seq + 1 != _SHEET.counted_count,
            ),
        ),
    )
    .outerjoin(OPERATION, _OPERATION.id == _SHEET.operation_id)
    .where(_SHEET.id > bindparam("after"))
    .order_by(_SHEET.id)
    .limit(bindparam("limit"))
)
_IS_POSTED = _SHEET.operation_id.is_not(None) & _LINE.counted.is_not(None)
_LINE_PAGE = (
    select(
        _LINE.count_id,
        _LINE.sku,
        _SHEET.location,
        _SHEET.operation_id,
        case(
            (
                # Before the first movement there was nothing, and no movement that says so.
                case(
                    (_LINE.level_version == 0, _LINE.expected != 0),
                    else_=_SEEN.on_hand.is_distinct_from(_LINE.expected),
                ),
                literal_column("'count_expected'"),
            ),
            (
                _IS_POSTED
                & or_(
                    _BOOKED.seq.is_(None),
                    _BOOKED.type != literal_column("'set'"),
                    _BOOKED.operation_id != _SHEET.operation_id,
                    _BOOKED.d_on_hand != _LINE.counted - _LINE.expected,
                ),
                literal_column("'count_unbooked'"),
            ),
        ),
    )
    .join(COUNT_SHEET, _SHEET.id == _LINE.count_id)
    .outerjoin(
        _SEEN_TABLE,
        and_(
            _SEEN.level_version == _LINE.level_version,
            _SEEN.sku == _LINE.sku,
            _SEEN.location == _SHEET.location,
        ),
    )
    .outerjoin(
        _BOOKED_TABLE,
        and_(
            _BOOKED.level_version == _LINE.posted_version,
            _BOOKED.sku == _LINE.sku,
            _BOOKED.location == _SHEET.location,
        ),
    )
    .where(tuple_(_LINE.count_id, _LINE.sku) > tuple_(bindparam("count_id"), bindparam("sku")))
    .order_by(_LINE.count_id, _LINE.sku)
    .limit(bindparam("limit"))
)


async def sheet_pages(reading: Reading, page_rows: int) -> AsyncIterator[Sequence[Finding]]:
    """Posted counts whose operation is missing, or is not as long as they say."""
    after = ""
    while True:
        async with reading() as session:
            page = {"after": after, "limit": page_rows}
            rows = (await session.execute(_SHEET_PAGE, page)).all()
        if not rows:
            return
        after = rows[-1][0]
        yield [
            Finding("count_operation", operation_id=operation_id, name=count_id)
            for count_id, operation_id, is_wrong in rows
            if is_wrong
        ]


async def line_pages(reading: Reading, page_rows: int) -> AsyncIterator[Sequence[Finding]]:
    """Lines that the ledger does not bear out."""
    count_id = sku = ""
    while True:
        page = {"count_id": count_id, "sku": sku, "limit": page_rows}
        async with reading() as session:
            rows = (await session.execute(_LINE_PAGE, page)).all()
        if not rows:
            return
        count_id, sku = rows[-1][:2]
        yield [
            Finding(code, None, line_sku, location, operation_id, name)
            for name, line_sku, location, operation_id, code in rows
            if code is not None
        ]
