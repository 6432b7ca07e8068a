"""The levels that the last batches left behind: what moves often needs no query."""

from itertools import islice

from inventory_api.domain.types import Key, Level


class RecentLevels:
    """A memory of the one writer, right because whatever writes goes through that writer.

    A transaction takes the memory away, and gives it back when its COMMIT has returned. What ends
    in any other way, by a rollback, a commit that failed, a cancellation or a write that is no
    batch of commands, gives nothing back, and so all is forgotten: there is no list of such cases
    that could be incomplete. It is not for a database that a second process writes.

    A level's `seq` is the one with which it was read: a batch does not carry it along, and decides
    nothing by it.

    Args:
        levels_max: the most that are kept; 0 for none.
    """

    def __init__(self, levels_max: int) -> None:
        self._levels_max = levels_max
        self._levels: dict[Key, Level] = {}

    def take(self) -> dict[Key, Level]:
        """The levels as they are committed; they are the taker's, and forgotten here."""
        taken, self._levels = self._levels, {}
        return taken

    def give_back(self, levels: dict[Key, Level]) -> None:
        """Keep levels as a COMMIT has left them; too many are dropped, the longest known first."""
        if (surplus := len(levels) - self._levels_max) > 0:
            for key in list(islice(levels, surplus)):
                del levels[key]
        self._levels = levels
