"""What waits on disk comes back by SKU, and bounded."""

import string

import pytest
from hypothesis import given, strategies as st

from inventory_api.domain.types import SKU
from inventory_api.suppliers.failure import PullFailed
from inventory_api.suppliers.spool import Named, Spool

rows = st.lists(
    st.tuples(
        st.text(string.printable + "é键", min_size=1, max_size=2), st.none() | st.integers(0, 3)
    ),
    max_size=40,
)


@given(rows=rows, run_rows=st.integers(1, 10))
def test_each_sku_comes_once_and_in_order(
    rows: list[tuple[str, int | None]], run_rows: int
) -> None:
    said: dict[str, list[int | None]] = {}
    with Spool(1 << 20, run_rows=run_rows) as spool:
        for line, (sku, units) in enumerate(rows, 1):
            said.setdefault(sku, []).append(units)
            spool.add(SKU(sku), line, units, code=sku)
        found = list(spool.named())
        again = list(spool.named())

    assert found == again
    assert [one.sku for one in found] == sorted(said)
    for one in found:
        is_one = len(set(said[one.sku])) == 1
        assert one.units == (said[one.sku][0] if is_one else None)
        assert one.is_contradicted is not is_one


@pytest.mark.parametrize("code", ["A-12", "P001"], ids=["mapped", "a-sku"])
def test_a_contradiction_names_both_lines_and_the_code_of_the_last(code: str) -> None:
    with Spool(1_000) as spool:
        for line, units, said in ((4, 1, "A-4"), (9, 1, "A-9"), (12, 2, code)):
            spool.add(SKU("P001"), line, units, code=said)

        assert [*spool.named()] == [Named(SKU("P001"), None, (4, 12), code, is_contradicted=True)]


def test_there_is_room_for_so_many_bytes() -> None:
    with Spool(100, run_rows=1) as spool:
        for line in range(4):
            spool.add(SKU("P001"), line, 1, code="P001")

        with pytest.raises(PullFailed, match="more than 100 bytes"):
            spool.add(SKU("P" * 60), 5, 1, code="P")
