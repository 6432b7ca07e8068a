"""Which position of the ledger a caller means."""

from inventory_api.store.database import Session
from inventory_api.store.ledger import read_head, seq_at
from inventory_api.web.problems import invalid
from inventory_api.web.schemas import parse_instant

# Digits of the largest number a ledger can have.
SEQ_DIGITS_MAX = 18


async def position_in_ledger(session: Session, as_of: str | None) -> int:
    """The number of the last movement at `as_of`: a number, a time, or None for the head.

    Raises:
        Invalid: it is neither, or lies behind the head.
    """
    head = await read_head(session)
    if as_of is None:
        return head.seq
    if as_of.isascii() and as_of.isdecimal() and len(as_of) <= SEQ_DIGITS_MAX:
        if int(as_of) > head.seq:
            raise invalid("as_of", f"must be at most {head.seq}", f"不得大于 {head.seq}")
        return int(as_of)
    try:
        moment = parse_instant(as_of)
    except ValueError as error:
        message = "must be a seq or a time of RFC 3339 with a zone"
        raise invalid("as_of", message, "必须是 seq 或带时区的 RFC 3339 时间") from error
    return await seq_at(session, moment)
