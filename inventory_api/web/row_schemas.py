"""What the rows of an import may be, and what exports and imports can be asked for."""

from dataclasses import dataclass
from typing import Annotated, Any, Literal, NotRequired, get_type_hints

from pydantic import BaseModel, Field, TypeAdapter, ValidationError
from typing_extensions import TypedDict

from inventory_api.web.problems import from_pydantic
from inventory_api.web.records import Fault
from inventory_api.web.rows import Columns, Fields, Row, fault_of
from inventory_api.web.schemas import (
    FORBID,
    Currency,
    Delta,
    LineID,
    Name,
    Reason,
    Reference,
    StatusWord,
    Text,
    Time,
    Units,
)

Format = Literal["ndjson", "csv"]
Amount = Annotated[str, Field(pattern=r"^[0-9]{1,12}(\.[0-9]{1,4})?$", examples=["5999.00"])]
MovementType = Literal[
    "adjust",
    "set",
    "transfer_out",
    "transfer_in",
    "reserve",
    "confirm",
    "fulfill",
    "release",
    "expire",
    "policy",
    "expect",
    "receive",
]
Seq = Annotated[int, Field(ge=0, le=2**63 - 1)]


class ItemRow(TypedDict):
    """An item to create or to change; what is left out of a known item stays as it is."""

    __pydantic_config__ = FORBID  # type: ignore[misc]  # how a TypedDict is configured
    sku: Name
    name: Text
    barcode: NotRequired[LineID | None]
    price: NotRequired[Amount | None]
    currency: NotRequired[Currency | None]


class LevelRow(TypedDict):
    """A count of one item at one location."""

    __pydantic_config__ = FORBID  # type: ignore[misc]
    sku: Name
    location: NotRequired[Name | None]
    on_hand: Units


class AdjustmentRow(TypedDict):
    """Units to add, or with a minus to take away."""

    __pydantic_config__ = FORBID  # type: ignore[misc]
    sku: Name
    location: NotRequired[Name | None]
    delta: Delta
    reason: NotRequired[Reason | None]
    reference: NotRequired[Reference | None]
    occurred_at: NotRequired[Time | None]
    line_id: NotRequired[LineID | None]


@dataclass(frozen=True, slots=True)
class Sheet:
    """What the rows of one kind of import look like."""

    adapter: TypeAdapter[Any]
    columns: Columns

    def check(self, row: Row) -> Fields | Fault:
        """The fields of a row as they are trusted from here on, or its first fault."""
        if row.fields is None:
            assert row.fault is not None
            return row.fault
        try:
            fields: Fields = self.adapter.validate_python(row.fields, strict=True, extra="forbid")
        except ValidationError as error:
            return fault_of(from_pydantic(error).fields[0])
        return fields


def sheet_of(kind: type) -> Sheet:
    """The sheet whose columns are the fields of a TypedDict."""
    hints = get_type_hints(kind)
    required: frozenset[str] = kind.__required_keys__  # type: ignore[attr-defined]  # a TypedDict
    columns = Columns(
        names=tuple(hints),
        required=required,
        whole=frozenset(name for name, hint in hints.items() if hint is int),
    )
    return Sheet(TypeAdapter(kind), columns)


class ImportQuery(BaseModel):
    """How rows are taken in."""

    model_config = FORBID
    dry_run: Annotated[bool, Field(description="judge each row and change nothing")] = False


class ExportQuery(BaseModel):
    """As what rows are sent."""

    model_config = FORBID
    format: Annotated[
        Format | None, Field(description="left out: by the Accept header, else ndjson")
    ] = None
    columns: Annotated[
        str | None,
        Field(max_length=1_000, description="names of columns of CSV, separated by commas"),
    ] = None


class ItemExportQuery(ExportQuery):
    """Which items."""

    status: Literal["active", "archived"] | None = None


class ReservationExportQuery(ExportQuery):
    """Which reservations; one whose time is over is expired."""

    status: StatusWord | None = None


class LevelExportQuery(ExportQuery):
    """Which levels."""

    location: Name | None = None


class StreamQuery(BaseModel):
    """Which movements of the feed, and as what."""

    model_config = FORBID
    after: Annotated[
        Seq | None, Field(description="the stream begins behind it; left out: at the ledger's head")
    ] = None
    sku: Name | None = None
    location: Name | None = None
    type: MovementType | None = None
    format: Annotated[
        Literal["sse", "ndjson"] | None,
        Field(description="left out: by the Accept header, else sse"),
    ] = None


class MovementExportQuery(LevelExportQuery):
    """Which movements: those behind `after`."""

    after: Seq = 0
