"""What is open of a shipment's lines, while parts of it are taken in order."""

from collections import defaultdict, deque
from collections.abc import Iterable, Iterator

from inventory_api.domain.shipment import ShipmentLine
from inventory_api.domain.types import SKU, LocationCode

Part = tuple[SKU, LocationCode | None]
"""An item of a shipment, at one location or wherever it goes."""


class OpenRest:
    """The open units of lines, first line first.

    Each line stands in two queues, with its location and without: ten thousand parts of an item
    that has ten thousand lines are found in one pass, not each by looking through all of them.
    """

    def __init__(self, lines: Iterable[ShipmentLine]) -> None:
        self._left: dict[int, int] = {}
        self._queues: dict[Part, deque[int]] = defaultdict(deque)
        self._units: dict[Part, int] = defaultdict(int)
        self._lines: dict[int, ShipmentLine] = {}
        self._last: dict[Part, int] = {}
        for one in lines:
            self._lines[one.line] = one
            self._left[one.line] = one.open
            for part in _parts_of(one):
                self._queues[part].append(one.line)
                self._units[part] += one.open
                self._last[part] = one.line

    def units(self, part: Part) -> int:
        """How many units of it are open."""
        return self._units.get(part, 0)

    def last(self, part: Part) -> int | None:
        """The last line of it, open or not; None: the shipment has none."""
        return self._last.get(part)

    def take(self, part: Part, units: int) -> Iterator[tuple[int, int]]:
        """So many of the open units, by line; ends early if there are not so many."""
        queue = self._queues.get(part, deque())
        while units and queue:
            line = queue[0]
            some = min(units, self._left[line])
            self._left[line] -= some
            units -= some
            if not self._left[line]:
                queue.popleft()
            if some:
                for own in _parts_of(self._lines[line]):
                    self._units[own] -= some
                yield line, some


def _parts_of(line: ShipmentLine) -> tuple[Part, Part]:
    return (line.sku, None), (line.sku, line.location)
