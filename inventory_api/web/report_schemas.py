"""What a report can be asked for, and what it shows."""

from typing import Annotated, Literal

from pydantic import Field
from typing_extensions import TypedDict

from inventory_api.web.schemas import Name, Page

Days = Annotated[int, Field(ge=0, le=365)]
Percent = Annotated[int, Field(ge=1, le=100)]


class ReplenishmentQuery(Page):
    """How much is to be ordered for how long, judged by which days."""

    location: Name | None = None
    days: Annotated[int, Field(ge=1, le=730, description="how many days are looked at")] = 90
    until: Annotated[
        str | None,
        Field(max_length=40, description="the end of these days, RFC 3339; left out: now"),
    ] = None
    service_level: Annotated[
        str,
        Field(
            pattern=r"^0\.[5-9][0-9]{0,5}$",
            description="share of lead times without a stock-out, from 0.5, below 1",
        ),
    ] = "0.95"
    lead_time_days: Annotated[Days, Field(description="from an order to the shelf")] = 7
    lead_time_deviation_days: Annotated[Days, Field(description="standard deviation of that")] = 0
    review_days: Annotated[
        Days, Field(description="demand of so many days more, where `reorder_to` is not set")
    ] = 7
    classes: Annotated[
        Literal["units", "value", "none"], Field(description="what ABC classes are made of")
    ] = "units"
    class_a: Annotated[Percent, Field(description="percent of it all that are class A")] = 80
    class_b: Annotated[
        Percent, Field(description="percent of it all that are A or B; no B if not more than A")
    ] = 95
    due: Annotated[bool, Field(description="only what has to be ordered")] = False
    format: Annotated[
        Literal["json", "ndjson", "csv"] | None,
        Field(description="left out: by the Accept header, else json, which is in pages"),
    ] = None
    columns: Annotated[
        str | None,
        Field(max_length=1_000, description="names of columns of CSV, separated by commas"),
    ] = None


# The functional form: `class` is a keyword.
ProposalShown = TypedDict(
    "ProposalShown",
    {
        "sku": str,
        "location": str,
        "class": Literal["A", "B", "C"] | None,
        "available": int,
        "incoming": int,
        "units": int,
        "days": int,
        "mean": float,
        "deviation": float,
        "days_of_cover": float | None,
        "reorder_point": int,
        "order_up_to": int,
        "quantity": int,
        "policy_reorder_point": int | None,
        "policy_reorder_to": int | None,
    },
)


class ReplenishmentAnswer(TypedDict):
    """A page of proposals, from the days between two times."""

    since: str
    until: str
    as_of_seq: int
    items: list[ProposalShown]
    next_cursor: str | None
