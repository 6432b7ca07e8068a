"""What is accepted from outside about suppliers."""

from typing import Annotated, Literal, NotRequired

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError
from typing_extensions import TypedDict

from inventory_api.outbound.targets import URL_LENGTH_MAX
from inventory_api.web.schemas import FORBID, LINES_MAX, Code, LineID, Name, Note, Text

SupplierPath = Annotated[Name, Field(examples=["acme"])]
URL = Annotated[
    str,
    Field(
        max_length=URL_LENGTH_MAX,
        pattern=r"^https?://[!-~]+$",
        examples=["https://feeds.example.com/stock.json"],
    ),
]
# Names with dots between them; a name that has a dot in it can't be named.
FieldPath = Text
# No letter that HTTP or a query would have to write otherwise.
Parameter = Annotated[str, Field(max_length=64, pattern=r"^[A-Za-z0-9_.-]+$")]
HeaderName = Annotated[str, Field(max_length=64, pattern=r"^[A-Za-z0-9-]+$")]
SecretName = Annotated[
    str,
    Field(
        pattern=r"^INVENTORY_SUPPLIER_SECRET_[A-Z0-9_]{1,64}$",
        examples=["INVENTORY_SUPPLIER_SECRET_ACME"],
        description="a variable of the service's environment; its value is sent and never shown",
    ),
]
Schedule = Annotated[int, Field(ge=60, le=30 * 86_400)]
Percent = Annotated[int, Field(ge=0, le=100)]


class ShapeBody(TypedDict, total=False):
    """Where in an answer of the supplier what stands: names, with dots between them."""

    __pydantic_config__ = FORBID  # type: ignore[misc]
    # Empty: the document itself.
    rows: Note
    sku: FieldPath
    quantity: FieldPath
    total: FieldPath | None
    next: FieldPath | None
    end: FieldPath | None
    delimiter: Literal[",", ";", "\t"]


class PagingBody(TypedDict, total=False):
    """How the list is cut; `page` and `offset` are pulled several at a time."""

    __pydantic_config__ = FORBID  # type: ignore[misc]
    kind: Literal["none", "next", "page", "offset"]
    parameter: Parameter
    first: Annotated[int, Field(ge=0, le=1_000_000)]
    size: Annotated[int, Field(ge=1, le=100_000)]
    size_parameter: Parameter | None


class LimitsBody(TypedDict, total=False):
    """What the supplier's server bears."""

    __pydantic_config__ = FORBID  # type: ignore[misc]
    concurrency: Annotated[int, Field(ge=1, le=20)]
    rate_per_s: Annotated[int, Field(ge=1, le=1_000)]


class SecretBody(TypedDict):
    """A header whose value is in the service's environment."""

    __pydantic_config__ = FORBID  # type: ignore[misc]
    header: HeaderName
    env: SecretName


class SupplierChange(TypedDict, total=False):
    """What is to be different about a supplier; what is left out stays, objects are replaced."""

    __pydantic_config__ = FORBID  # type: ignore[misc]
    name: Text
    url: URL
    format: Literal["json", "ndjson", "csv"]
    shape: ShapeBody
    paging: PagingBody
    limits: LimitsBody
    secret: SecretBody | None
    schedule_s: Schedule | None
    missing: Literal["keep", "zero"]
    partial_allowed: bool
    bad_rows_percent_max: Percent
    unmapped: Literal["sku", "unknown"]
    status: Literal["active", "archived"]


class SupplierBody(TypedDict):
    """A new supplier."""

    __pydantic_config__ = FORBID  # type: ignore[misc]
    code: Code
    url: URL
    format: Literal["json", "ndjson", "csv"]
    name: NotRequired[Text]
    location: NotRequired[Name | None]
    shape: NotRequired[ShapeBody]
    paging: NotRequired[PagingBody]
    limits: NotRequired[LimitsBody]
    secret: NotRequired[SecretBody | None]
    schedule_s: NotRequired[Schedule | None]
    missing: NotRequired[Literal["keep", "zero"]]
    partial_allowed: NotRequired[bool]
    bad_rows_percent_max: NotRequired[Percent]
    unmapped: NotRequired[Literal["sku", "unknown"]]


def _bare(code: str) -> str:
    """A code as it is read from a list: what is around it is no part of it."""
    if not (bare := code.strip()):
        raise PydanticCustomError("text", "must be more than spaces")
    return bare


class CodeBody(TypedDict):
    """What a code means; null takes its meaning away."""

    __pydantic_config__ = FORBID  # type: ignore[misc]
    code: Annotated[LineID, AfterValidator(_bare)]
    sku: Name | None


class CodesBody(TypedDict):
    """What codes mean."""

    __pydantic_config__ = FORBID  # type: ignore[misc]
    codes: Annotated[list[CodeBody], Field(min_length=1, max_length=LINES_MAX)]


class PullBody(TypedDict, total=False):
    """How to pull."""

    __pydantic_config__ = FORBID  # type: ignore[misc]
    force: bool
