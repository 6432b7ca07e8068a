"""What is answered, for the docs page; nothing at run time is built from these."""

from typing import Any, Literal, NotRequired

from typing_extensions import TypedDict

from inventory_api.web.schemas import Price


class ComponentShown(TypedDict):
    """A part of a kit, and how many of it are in one."""

    sku: str
    quantity: int


class ItemAnswer(TypedDict):
    """An item of the catalogue; a plain one has no `components`."""

    sku: str
    name: str
    barcode: str | None
    unit_price: Price | None
    attributes: dict[str, Any]  # Any: JSON values
    components: list[ComponentShown]
    status: Literal["active", "archived"]
    version: int
    created_at: str
    updated_at: str


class ItemList(TypedDict):
    """A page of items."""

    items: list[ItemAnswer]
    next_cursor: str | None


class LocationAnswer(TypedDict):
    """A location."""

    code: str
    name: str
    kind: Literal["warehouse", "store", "supplier", "transit"]
    sellable: bool
    priority: int
    status: Literal["active", "archived"]
    version: int
    created_at: str
    updated_at: str


class LocationList(TypedDict):
    """A page of locations."""

    items: list[LocationAnswer]
    next_cursor: str | None


class Level(TypedDict):
    """The stock of one item at one location, in whole units."""

    sku: str
    location: str
    on_hand: int
    reserved: int
    committed: int
    safety_stock: int
    incoming: int
    available: int
    version: int


class LevelShown(Level):
    """A level with its policy."""

    backorder_limit: int | None
    reorder_point: int | None
    reorder_to: int | None
    alert: Literal["ok", "low", "out"]


class LevelList(TypedDict):
    """A page of levels at a position of the ledger."""

    as_of_seq: int
    items: list[LevelShown]
    next_cursor: str | None


class KitShown(TypedDict):
    """Whole kits at one location, and the components that limit them."""

    location: str
    on_hand: int
    available: int
    limited_by: list[str]


class StockAnswer(TypedDict):
    """An item over its locations; a kit has no levels but `kits`."""

    sku: str
    name: str
    on_hand: int
    reserved: int
    committed: int
    safety_stock: int
    incoming: int
    available: int
    as_of_seq: int
    levels: list[LevelShown]
    kits: NotRequired[list[KitShown]]


class AllocationShown(TypedDict):
    """What a line has at one location: taken in all, and not yet gone."""

    location: str
    quantity: int
    open: int


class LineComponent(ComponentShown):
    """The units of a component behind a kit's line: taken in all, and not yet gone."""

    units: int
    open: int


class ReservationLine(TypedDict):
    """A line of a reservation: each unit, or kit, that was taken is in one of five states."""

    index: int
    sku: str
    requested: int
    quantity: int
    open: int
    held: int
    committed: int
    fulfilled: int
    released: int
    expired: int
    components: list[LineComponent]
    allocations: list[AllocationShown]


class Backordered(TypedDict):
    """Units of a line that are promised beyond what is available."""

    index: int
    quantity: int


class ReservationAnswer(TypedDict):
    """A reservation; `created`, `backordered` and `recovered` are told by what did so."""

    id: str
    reference: str | None
    status: Literal["active", "confirmed", "fulfilled", "released", "expired"]
    created_at: str
    expires_at: str
    version: int
    lines: list[ReservationLine]
    created: NotRequired[bool]
    backordered: NotRequired[list[Backordered]]
    recovered: NotRequired[bool]


class ReservationList(TypedDict):
    """A page of reservations."""

    items: list[ReservationAnswer]
    next_cursor: str | None


class LineError(TypedDict):
    """Why a line was refused; more members tell the facts."""

    code: str
    detail: NotRequired[str]
    requested: NotRequired[int]
    available: NotRequired[int]
    shortage: NotRequired[int]
    open: NotRequired[int]
    elsewhere: NotRequired[list[dict[str, Any]]]  # Any: a location and what it has
    next_available_at: NotRequired[str | None]
    components: NotRequired[list[dict[str, Any]]]  # Any: a component that a kit lacks
    expected_on_hand: NotRequired[int]
    on_hand: NotRequired[int]


class CheckResult(TypedDict):
    """What can be sold of a line, or why that can't be told."""

    index: int
    sku: str
    location: NotRequired[str | None]
    name: NotRequired[str]
    on_hand: NotRequired[int]
    available: NotRequired[int]
    requested: NotRequired[int]
    sufficient: NotRequired[bool]
    error: NotRequired[LineError]


class CheckAnswer(TypedDict):
    """A batch check."""

    as_of_seq: int | None
    results: list[CheckResult]


# The functional form: `from` is a keyword.
LineResult = TypedDict(
    "LineResult",
    {
        "index": int,
        "sku": str,
        "location": NotRequired[str],
        "from": NotRequired[str],
        "to": NotRequired[str],
        "status": Literal["applied", "rejected", "duplicate"],
        "seq": NotRequired[int | None],
        "seqs": NotRequired[list[int] | None],
        "delta": NotRequired[int],
        "quantity": NotRequired[int],
        "level": NotRequired[Level],
        "levels": NotRequired[list[Level]],
        "error": NotRequired[LineError],
    },
)


class ChangeAnswer(TypedDict):
    """What became of each line."""

    operation_id: str | None
    applied: int
    rejected: int
    results: list[LineResult]


class Balances(TypedDict):
    """Units, or changes of them."""

    on_hand: int
    reserved: int
    committed: int
    incoming: int


class BalancesAfter(Balances):
    """Units after a movement."""

    available: int


class MovementShown(TypedDict):
    """One row of the ledger."""

    seq: int
    operation_id: str
    type: str
    sku: str
    location: str
    level_version: int
    delta: Balances
    after: BalancesAfter
    reason: str
    reference: str | None
    actor: str
    reservation_id: str | None
    line_id: str | None
    oversold_by: int
    alerts: list[Literal["low", "out", "back", "oversold"]]
    occurred_at: str
    recorded_at: str


class MovementList(TypedDict):
    """A page of the ledger."""

    head: int
    items: list[MovementShown]
    next_cursor: str | None


class OperationAnswer(TypedDict):
    """One request that changed stock."""

    id: str
    recorded_at: str
    actor: str
    key: str | None
    type: str
    mode: str
    reason: str
    reference: str | None
    note: str | None
    occurred_at: str
    first_seq: int
    last_seq: int
    applied: int
    rejected: int
    movements: list[MovementShown]
    next_cursor: str | None


class LevelExplained(LevelShown):
    """A level and what makes it up."""

    sellable: bool
    explanation: str
    holds: list[dict[str, Any]]  # Any: filled by reservations
    promises: list[dict[str, Any]]
    expected: list[dict[str, Any]]
    movements: list[MovementShown]


class KitComponentExplained(ComponentShown):
    """A component at a location: its units, and the kits that they are enough for."""

    available: int
    kits: int


class KitExplained(KitShown):
    """A kit at one location and what makes it up."""

    sellable: bool
    explanation: str
    components: list[KitComponentExplained]


class ExplainAnswer(TypedDict):
    """An item's numbers and where they come from; a kit has no levels but `kits`."""

    sku: str
    name: str
    as_of_seq: int
    available: int
    levels: list[LevelExplained]
    kits: NotRequired[list[KitExplained]]


class KeyAnswer(TypedDict):
    """An API key without its secret."""

    id: str
    name: str
    scopes: list[str]
    locations: list[str] | None
    created_at: str
    expires_at: str | None
    revoked_at: str | None


class NewKeyAnswer(KeyAnswer):
    """An API key, shown once."""

    key: str | None


class KeyList(TypedDict):
    """A page of API keys."""

    items: list[KeyAnswer]
    next_cursor: str | None


class LiveAnswer(TypedDict):
    """The process answers."""

    status: Literal["alive"]


class ReadyAnswer(TypedDict):
    """Requests can be served: each check is true."""

    status: Literal["ready"]
    checks: dict[str, bool]
