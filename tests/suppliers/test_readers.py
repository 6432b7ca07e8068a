"""A byte order mark before a document is no part of it, in whatever pieces it comes."""

import pytest

from inventory_api.domain.supplier import Shape
from inventory_api.suppliers.failure import PullFailed
from inventory_api.suppliers.readers import BOM, reader_of
from inventory_api.suppliers.rows import Parts

SHAPE = Shape(rows="", sku="sku", quantity="quantity")
ROW = b'{"sku":"P001","quantity":7}'
DOCUMENTS = {
    "json": b"[" + ROW + b"]",
    "ndjson": ROW + b"\n",
    "csv": b"sku,quantity\nP001,7\n",
}


def records(kind: str, document: bytes, *, piece: int) -> list[Parts]:
    """What a document holds that comes so many bytes at a time."""
    reader = reader_of(kind, SHAPE, 1_000)
    found = []
    for start in range(0, len(document), piece):
        found += reader.feed(document[start : start + piece])
    rest, _ = reader.end()
    return found + rest


@pytest.mark.parametrize("piece", [1, 2, 3, 1_000])
@pytest.mark.parametrize("kind", DOCUMENTS)
def test_one_mark_at_the_beginning_is_left_out(kind: str, piece: int) -> None:
    plain = records(kind, DOCUMENTS[kind], piece=1_000)

    assert len(plain) == 1
    assert records(kind, BOM + DOCUMENTS[kind], piece=piece) == plain


@pytest.mark.parametrize("kind", ["json", "csv"])
@pytest.mark.parametrize(
    "document",
    [BOM + BOM + b"%b", b" " + BOM + b"%b", BOM[:2] + b"%b", BOM[:2], BOM],
    ids=["twice", "behind-a-space", "not-whole", "part-of-one", "alone"],
)
def test_no_other_mark_is(kind: str, document: bytes) -> None:
    document = document.replace(b"%b", DOCUMENTS[kind])

    with pytest.raises(PullFailed):
        records(kind, document, piece=1)


def test_a_mark_before_a_later_line_is_a_bad_row() -> None:
    marked = Parts(BOM + ROW)

    assert records("ndjson", ROW + b"\n" + BOM + ROW, piece=1) == [Parts(ROW), marked]
    assert records("ndjson", BOM + BOM + ROW, piece=1) == [marked]
    assert records("ndjson", BOM[:2], piece=1) == [Parts(BOM[:2])]
    assert records("ndjson", BOM, piece=1) == []
