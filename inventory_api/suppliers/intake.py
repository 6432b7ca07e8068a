"""Rows of a list become what is known of our SKUs, some hundred at a time."""

from collections.abc import Sequence

from inventory_api.domain.supplier import Supplier
from inventory_api.service import Service
from inventory_api.store.supplier_codes import skus_of
from inventory_api.suppliers.rows import Row
from inventory_api.suppliers.spool import Spool
from inventory_api.suppliers.tally import Tally


class Intake:
    """Looks up what codes mean, keeps what is ours, and counts the rest."""

    def __init__(self, service: Service, supplier: Supplier, spool: Spool, tally: Tally) -> None:
        self._service = service
        self._supplier = supplier
        self._spool = spool
        self._tally = tally
        self._waiting: list[Row] = []

    async def take(self, rows: Sequence[Row]) -> None:
        """Take in rows; they are looked up when there are enough of them."""
        self._tally.rows += len(rows)
        self._waiting += rows
        size = self._service.settings.supplier_chunk_rows
        while len(self._waiting) >= size:
            await self._look_up(self._waiting[:size])
            del self._waiting[:size]

    async def end(self) -> None:
        """Take in what still waits."""
        await self._look_up(self._waiting)
        self._waiting = []

    async def _look_up(self, rows: Sequence[Row]) -> None:
        codes = {row.code for row in rows if row.code is not None}
        async with self._service.reading() as session:
            known = await skus_of(
                session,
                self._supplier.code,
                codes,
                unmapped_is_sku=self._supplier.unmapped == "sku",
            )
        tally = self._tally
        for row in rows:
            if row.code is None:
                tally.unread += 1
                tally.bad_row(row.line, row.fault or "row", None)
            elif (sku := known.get(row.code)) is None:
                tally.unknown_code(row.code)
            else:
                # Named all the same: what is there is not set to 0 because of a bad number.
                self._spool.add(sku, row.line, row.quantity, code=row.code)
                if row.fault is not None:
                    tally.bad_row(row.line, row.fault, row.code)
