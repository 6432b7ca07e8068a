"""What is accepted about counts."""

from typing import Annotated, Literal, NotRequired

from pydantic import BaseModel, Field
from typing_extensions import TypedDict

from inventory_api.web.schemas import (
    FORBID,
    LINES_MAX,
    WHOLE_MAX,
    Name,
    Note,
    Page,
    Reference,
    Units,
)


class CountBody(TypedDict, total=False):
    """A count to open; without `skus` everything that is at the location."""

    __pydantic_config__ = FORBID  # type: ignore[misc]
    location: Name | None
    skus: Annotated[list[Name], Field(min_length=1, max_length=LINES_MAX)] | None
    blind: bool
    approval_threshold: Units | None
    reference: Reference | None
    note: Note | None


class TallyBody(TypedDict):
    """What was counted of an item, null takes it back; `level_version` is what the counter saw."""

    __pydantic_config__ = FORBID  # type: ignore[misc]
    sku: Name
    counted: Units | None
    level_version: NotRequired[Annotated[int, Field(ge=0, le=WHOLE_MAX)] | None]


class RecordBody(TypedDict):
    """What was counted."""

    __pydantic_config__ = FORBID  # type: ignore[misc]
    lines: Annotated[list[TallyBody], Field(min_length=1, max_length=LINES_MAX)]


class CountQuery(Page):
    """Which counts."""

    status: Literal["open", "approved", "posted", "cancelled"] | None = None
    location: Name | None = None
    reference: Reference | None = None


class VarianceQuery(BaseModel):
    """As what the report is sent."""

    model_config = FORBID
    format: Annotated[
        Literal["json", "csv"] | None,
        Field(description="left out: by the Accept header, else json"),
    ] = None
