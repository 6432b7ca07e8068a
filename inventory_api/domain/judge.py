"""One door to all decisions: a command of any kind, and the stock as it is."""

from inventory_api.domain.commands import Command, TransferLine
from inventory_api.domain.count_sheet import OpenCount, RecordCount, SettleCount
from inventory_api.domain.counting import count
from inventory_api.domain.decide import Decision, Snapshot, decide
from inventory_api.domain.draft import Stamp
from inventory_api.domain.reservation import Expire, Reserve, Settle
from inventory_api.domain.reserve import reserve
from inventory_api.domain.settle import settle
from inventory_api.domain.shipment import Announce, Cancel, Receive, Reschedule, Shipping
from inventory_api.domain.shipping import ship
from inventory_api.domain.types import SKU, LocationCode

Asked = Command | Reserve | Settle | Expire | Shipping | OpenCount | RecordCount | SettleCount
"""Everything that can be asked of the stock."""


def judge(command: Asked, snapshot: Snapshot, stamp: Stamp) -> Decision:
    """What becomes of a command; carries its changes over to `snapshot`."""
    match command:
        case Command():
            return decide(command, snapshot)
        case Reserve():
            return reserve(command, snapshot, stamp)
        case Settle():
            return settle(command, snapshot, stamp)
        case Expire():
            # The batch has expired what is due on its levels before it came to this.
            return Decision((), ())
        case OpenCount() | RecordCount() | SettleCount():
            return count(command, snapshot, stamp)
        case Announce() | Receive() | Cancel() | Reschedule():
            return ship(command, snapshot, stamp)


def must_wait(command: Asked, snapshot: Snapshot) -> bool:
    """Whether more is due on what a command takes from than has been expired by now."""
    if not snapshot.undecidable:
        return False
    match command:
        case Command():
            keys = {line[:2] for line in command.lines}
            keys |= {
                (line.sku, line.target) for line in command.lines if isinstance(line, TransferLine)
            }
            return not keys.isdisjoint(snapshot.undecidable)
        case Reserve():
            hold = snapshot.open_hold(command.reference)
            recipes = snapshot.recipes({line.sku for line in command.lines}, hold)
            skus = {sku for recipe in recipes.values() for sku, _ in recipe}
            return any(sku in skus for sku, _ in snapshot.undecidable)
        case Settle():
            hold = snapshot.holds.get(command.id)
            return hold is not None and hold.reservation.status == "expired"
        case SettleCount():
            return not snapshot.counts.keys_of(command.id).isdisjoint(snapshot.undecidable)
        case Announce() | Receive() | Cancel():
            taken = _taken_by(command, snapshot)
            return any(key in taken for key in snapshot.undecidable)
        case Expire() | Reschedule() | OpenCount() | RecordCount():
            return False


def _taken_by(
    command: Announce | Receive | Cancel, snapshot: Snapshot
) -> set[tuple[SKU, LocationCode | None]]:
    """The levels that a transfer takes from: its source's, later its transit location's.

    What has come from outside is a fact, whoever holds something there.
    """
    if isinstance(command, Announce):
        return {(line.sku, command.source) for line in command.lines}
    found = snapshot.shipments.get(command.id)
    return set() if found is None else {(one.sku, found.shipment.transit) for one in found.lines}
