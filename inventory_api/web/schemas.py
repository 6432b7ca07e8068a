"""What is accepted from outside: checked once, here, and trusted after it."""

import re
from collections.abc import Callable
from datetime import datetime
from functools import lru_cache
from typing import Annotated, Any, Literal, NotRequired

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema
from pydantic_core import PydanticCustomError
from typing_extensions import TypedDict

from inventory_api.domain.catalog import LOCATION_KINDS, instant_of, rfc3339
from inventory_api.domain.commands import REASONS, is_reason
from inventory_api.domain.kits import COMPONENTS_MAX
from inventory_api.domain.types import (
    LINE_ID_LENGTH_MAX,
    REFERENCE_LENGTH_MAX,
    SKU_LENGTH_MAX,
    UNITS_MAX,
    Instant,
    is_name,
    is_visible,
)

LINES_MAX = 10_000
TEXT_LENGTH_MAX = 255
NOTE_LENGTH_MAX = 1_000
ATTRIBUTES_MAX = 50
# Two names of 64 characters of 4 bytes, in JSON and base64.
CURSOR_LENGTH_MAX = 1_024
# Goods and locations are named again and again, and a look at a name takes five times as long as
# knowing it. They are short: together 5 MiB at most.
KNOWN_NAMES_MAX = 16_384
_RFC3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?(Z|[+-]\d\d:\d\d)", re.ASCII)

# Documented as integers; strict everywhere: `true`, "1" and 1.0 are no quantities.
FORBID = ConfigDict(extra="forbid", strict=True)


def _must(
    check: Callable[[str], bool], kind: str, message: str, *, known_max: int = 0
) -> AfterValidator:
    """Texts that pass a check; of those that did, `known_max` are known without another look."""

    def validate(text: str) -> str:
        if not check(text):
            raise PydanticCustomError(kind, message)
        return text

    return AfterValidator(lru_cache(known_max)(validate) if known_max else validate)


def _check_scalar(value: object) -> object:
    is_text = isinstance(value, str) and len(value) <= NOTE_LENGTH_MAX and is_visible(value)
    is_whole = type(value) is int and abs(value) <= WHOLE_MAX
    if is_text or is_whole or value is None or isinstance(value, bool):
        return value
    raise PydanticCustomError("attribute", "must be text, a whole number, a boolean or null")


def _check_attribute_names(attributes: dict[str, object]) -> dict[str, object]:
    if all(0 < len(name) <= 64 and is_visible(name) for name in attributes):
        return attributes
    raise PydanticCustomError("attribute_name", "must have names of 1 to 64 visible characters")


def parse_instant(value: object) -> Instant:
    """A time of RFC 3339 with its zone, in whole microseconds."""
    if isinstance(value, str) and _RFC3339.fullmatch(value):
        try:
            instant = instant_of(datetime.fromisoformat(value))
            # In UTC it may lie outside the years 1 to 9999, and could never be shown.
            rfc3339(instant)
        except (ValueError, OverflowError):
            pass
        else:
            return instant
    raise PydanticCustomError("time", "must be a time of RFC 3339 with a zone, such as …Z")


Name = Annotated[
    str,
    Field(min_length=1, max_length=SKU_LENGTH_MAX),
    _must(
        is_name,
        "name",
        "must be visible NFC text without '/' and without spaces around it",
        known_max=KNOWN_NAMES_MAX,
    ),
]
SKUPath = Annotated[Name, Field(examples=["P001"])]
LocationPath = Annotated[Name, Field(examples=["main"])]
Code = Annotated[
    Name,
    # /v1/stock/{sku}/explain is another resource.
    _must(lambda code: code != "explain", "name", "must not be 'explain'"),
]
Text = Annotated[
    str,
    Field(min_length=1, max_length=TEXT_LENGTH_MAX),
    _must(is_visible, "text", "must be text without control or invisible characters"),
]
Reference = Annotated[
    str,
    Field(min_length=1, max_length=REFERENCE_LENGTH_MAX, examples=["order:1001"]),
    _must(is_visible, "text", "must be text without control or invisible characters"),
]
ID = Annotated[str, Field(pattern=r"^[0-9A-Za-z-]{1,36}$")]
LineID = Annotated[
    str,
    Field(min_length=1, max_length=LINE_ID_LENGTH_MAX),
    _must(is_visible, "text", "must be text without control or invisible characters"),
]
Note = Annotated[
    str,
    Field(max_length=NOTE_LENGTH_MAX),
    _must(is_visible, "text", "must be text without control or invisible characters"),
]
Reason = Annotated[
    str,
    Field(
        max_length=64, examples=["sale"], description=" ".join(sorted(REASONS)) + " custom:<slug>"
    ),
    _must(is_reason, "reason", "must be a known reason or custom:<slug>"),
]
Time = Annotated[
    Instant,
    BeforeValidator(parse_instant),
    WithJsonSchema({"type": "string", "format": "date-time", "examples": ["2026-01-31T08:15:00Z"]}),
]
Delta = Annotated[int, Field(ge=-UNITS_MAX, le=UNITS_MAX)]
Units = Annotated[int, Field(ge=0, le=UNITS_MAX)]
PositiveUnits = Annotated[int, Field(ge=1, le=UNITS_MAX)]
Mode = Literal["atomic", "independent"]
Currency = Annotated[str, Field(pattern=r"^[A-Z]{3}$")]
WHOLE_MAX = 2**53
Scalar = Annotated[
    Any,  # Any: checked by hand, so that an error names the attribute and not a part of a union
    AfterValidator(_check_scalar),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "maxLength": NOTE_LENGTH_MAX},
                {"type": "integer", "minimum": -WHOLE_MAX, "maximum": WHOLE_MAX},
                {"type": "boolean"},
                {"type": "null"},
            ],
            "description": "text, whole number, boolean or null; fractions as text",
        }
    ),
]
Attributes = Annotated[
    dict[str, Scalar],
    Field(max_length=ATTRIBUTES_MAX, json_schema_extra={"propertyNames": {"maxLength": 64}}),
    AfterValidator(_check_attribute_names),
]


class Price(TypedDict):
    """An exact decimal and its ISO 4217 currency."""

    __pydantic_config__ = FORBID  # type: ignore[misc]  # how a TypedDict is configured
    amount: Annotated[str, Field(pattern=r"^[0-9]{1,12}(\.[0-9]{1,4})?$", examples=["5999.00"])]
    currency: NotRequired[Currency]


class ComponentBody(TypedDict):
    """A part of a kit, and how many of it are in one."""

    __pydantic_config__ = FORBID  # type: ignore[misc]
    sku: Name
    quantity: PositiveUnits


Components = Annotated[list[ComponentBody], Field(max_length=COMPONENTS_MAX)]


class ItemBody(TypedDict):
    """A new item; with `components` a kit."""

    __pydantic_config__ = FORBID  # type: ignore[misc]
    sku: Name
    name: Text
    barcode: NotRequired[LineID | None]
    unit_price: NotRequired[Price | None]
    attributes: NotRequired[Attributes]
    components: NotRequired[Components | None]


class ItemChange(TypedDict, total=False):
    """What is to be different about an item; what is left out stays."""

    __pydantic_config__ = FORBID  # type: ignore[misc]
    name: Text
    barcode: LineID | None
    unit_price: Price | None
    attributes: Attributes
    components: Components | None
    status: Literal["active", "archived"]


class LocationBody(TypedDict):
    """A new location."""

    __pydantic_config__ = FORBID  # type: ignore[misc]
    code: Code
    name: NotRequired[Text]
    kind: NotRequired[Literal["warehouse", "store", "supplier", "transit"]]
    sellable: NotRequired[bool]
    priority: NotRequired[Annotated[int, Field(ge=0, le=1_000_000)]]


class LocationChange(TypedDict, total=False):
    """What is to be different about a location; what is left out stays."""

    __pydantic_config__ = FORBID  # type: ignore[misc]
    name: Text
    kind: Literal["warehouse", "store", "supplier", "transit"]
    sellable: bool
    priority: Annotated[int, Field(ge=0, le=1_000_000)]
    status: Literal["active", "archived"]


assert set(LOCATION_KINDS) == {"warehouse", "store", "supplier", "transit"}


StatusWord = Literal["active", "confirmed", "fulfilled", "released", "expired"]
# It stands in a path, so it has the SKU's alphabet.
HoldReference = Annotated[
    str,
    Field(min_length=1, max_length=LINE_ID_LENGTH_MAX, examples=["cart:8f2"]),
    _must(is_name, "name", "must be visible NFC text without '/' and without spaces around it"),
]


class CheckLine(TypedDict):
    """`quantity` is 1 if left out; without `location` all sellable ones count."""

    __pydantic_config__ = FORBID  # type: ignore[misc]
    sku: Name
    quantity: NotRequired[PositiveUnits]
    location: NotRequired[Name | None]


class CheckBody(TypedDict):
    """A batch check."""

    __pydantic_config__ = FORBID  # type: ignore[misc]
    lines: Annotated[list[CheckLine], Field(min_length=1, max_length=LINES_MAX)]
    exclude_reference: NotRequired[HoldReference | None]


class AdjustLineBody(TypedDict):
    """Units to add, or with a minus to take away."""

    __pydantic_config__ = FORBID  # type: ignore[misc]
    sku: Name
    delta: Delta
    location: NotRequired[Name | None]
    reason: NotRequired[Reason | None]
    line_id: NotRequired[LineID | None]
    group: NotRequired[LineID | None]


class SetLineBody(TypedDict):
    """A count; `expected_on_hand` null accepts whatever was there before."""

    __pydantic_config__ = FORBID  # type: ignore[misc]
    sku: Name
    on_hand: Units
    expected_on_hand: Units | None
    location: NotRequired[Name | None]
    reason: NotRequired[Reason | None]
    line_id: NotRequired[LineID | None]
    group: NotRequired[LineID | None]


# The functional form: `from` is a keyword.
TransferLineBody = TypedDict(
    "TransferLineBody",
    {
        "sku": Name,
        "from": NotRequired[Name | None],
        "to": NotRequired[Name | None],
        "quantity": PositiveUnits,
        "reason": NotRequired[Reason | None],
        "group": NotRequired[LineID | None],
    },
)
TransferLineBody.__pydantic_config__ = FORBID  # type: ignore[attr-defined]


class ChangeBody(TypedDict):
    """What the bodies of all changes of stock have in common."""

    __pydantic_config__ = FORBID  # type: ignore[misc]
    mode: NotRequired[Mode]
    reason: NotRequired[Reason | None]
    reference: NotRequired[Reference | None]
    occurred_at: NotRequired[Time | None]
    note: NotRequired[Note | None]


class AdjustBody(ChangeBody):
    """A batch of additions and withdrawals."""

    lines: Annotated[list[AdjustLineBody], Field(min_length=1, max_length=LINES_MAX)]


class SetBody(ChangeBody):
    """A batch of counts."""

    lines: Annotated[list[SetLineBody], Field(min_length=1, max_length=LINES_MAX)]


class TransferBody(ChangeBody):
    """A batch of moves between locations."""

    lines: Annotated[list[TransferLineBody], Field(min_length=1, max_length=LINES_MAX)]


class PolicyBody(TypedDict, total=False):
    """What is to be different about a level's policy; what is left out stays."""

    __pydantic_config__ = FORBID  # type: ignore[misc]
    safety_stock: Units
    backorder_limit: Units | None
    reorder_point: Units | None
    reorder_to: Units | None


class KeyBody(TypedDict):
    """A new API key; without `locations` it may see and change all."""

    __pydantic_config__ = FORBID  # type: ignore[misc]
    name: Text
    scopes: Annotated[list[Literal["read", "write", "admin"]], Field(min_length=1, max_length=3)]
    locations: NotRequired[Annotated[list[Name], Field(min_length=1, max_length=100)] | None]
    expires_at: NotRequired[Time | None]


class Page(BaseModel):
    """Which part of a list."""

    model_config = FORBID
    limit: Annotated[int, Field(ge=1, le=1_000)] = 100
    cursor: Annotated[str, Field(max_length=CURSOR_LENGTH_MAX)] | None = None


class ItemQuery(Page):
    """Which items."""

    q: Text | None = None
    status: Literal["active", "archived"] | None = None


AsOf = Annotated[
    str,
    Field(max_length=40, description="a ledger position (seq) or a time of RFC 3339"),
]


class AsOfQuery(BaseModel):
    """As it was at a position of the ledger, or at a time."""

    model_config = FORBID
    as_of: AsOf | None = None


class StockQuery(Page):
    """Which levels."""

    location: Name | None = None
    status: Literal["low", "out", "oversold"] | None = None
    as_of: AsOf | None = None


class ExplainQuery(BaseModel):
    """How much of the history."""

    model_config = FORBID
    location: Name | None = None
    limit: Annotated[int, Field(ge=1, le=100)] = 20


class MovementQuery(Page):
    """Which movements."""

    after: Annotated[int, Field(ge=0, le=2**63 - 1)] = 0
    sku: Name | None = None
    location: Name | None = None
    reference: Reference | None = None
    operation_id: ID | None = None
    reservation_id: ID | None = None
