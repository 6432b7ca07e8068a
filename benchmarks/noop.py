"""The honest reference: FastAPI answers adjust, hold and level read with constants, doing nothing.

Two variants, because either may be the cheaper one: `model` answers through response models,
`plain` returns dictionaries. The bench judges against the cheaper of the two.
"""

from datetime import datetime
from typing import Literal

from fastapi import FastAPI
from pydantic import BaseModel

OPERATION_ID = "0198f3a2-7c11-7d42-9a53-5f3e8f1c2b6d"


class AdjustLine(BaseModel):
    """One line of the adjust body."""

    sku: str
    location: str | None = None
    delta: int
    line_id: str | None = None
    group: str | None = None
    reason: str | None = None


class AdjustBody(BaseModel):
    """The adjust body."""

    mode: Literal["atomic", "independent"] = "atomic"
    reason: str
    reference: str | None = None
    occurred_at: datetime | None = None
    note: str | None = None
    lines: list[AdjustLine]


class Level(BaseModel):
    """A level as the answer to a change shows it."""

    sku: str
    location: str
    on_hand: int
    reserved: int
    committed: int
    safety_stock: int
    incoming: int
    available: int
    version: int


class LevelRead(Level):
    """A level as a read shows it."""

    backorder_limit: int | None
    reorder_point: int | None
    reorder_to: int | None
    alert: str


class AdjustResult(BaseModel):
    """What became of one line."""

    index: int
    sku: str
    location: str
    status: str
    seq: int
    delta: int
    level: Level


class AdjustAnswer(BaseModel):
    """The answer to an adjust."""

    operation_id: str
    applied: int
    rejected: int
    results: list[AdjustResult]


class ReserveLine(BaseModel):
    """One line of the reserve body."""

    sku: str
    location: str | None = None
    quantity: int


class ReserveBody(BaseModel):
    """The reserve body."""

    reference: str | None = None
    ttl_s: int | None = None
    allow_partial: bool = False
    sourcing: Literal["priority", "fewest_locations", "most_available"] = "priority"
    note: str | None = None
    lines: list[ReserveLine]


class Allocation(BaseModel):
    """What a line holds at one location."""

    location: str
    quantity: int
    open: int


class HeldLine(BaseModel):
    """One line of a hold."""

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
    components: list[str]
    allocations: list[Allocation]


class ReserveAnswer(BaseModel):
    """The answer to a reserve."""

    id: str
    reference: str | None
    status: str
    created_at: str
    expires_at: str
    version: int
    lines: list[HeldLine]
    created: bool
    backordered: list[object]


def level(sku: str, location: str) -> dict[str, object]:
    """A constant level."""
    return {
        "sku": sku,
        "location": location,
        "on_hand": 999_999_998,
        "reserved": 0,
        "committed": 0,
        "safety_stock": 0,
        "incoming": 0,
        "available": 999_999_998,
        "version": 2,
    }


def level_read(sku: str, location: str) -> dict[str, object]:
    """A constant level with its policy."""
    policy = {"backorder_limit": 0, "reorder_point": None, "reorder_to": None, "alert": "ok"}
    return level(sku, location) | policy


def answer(body: AdjustBody) -> dict[str, object]:
    """A constant answer of the size of the real one."""
    line = body.lines[0]
    location = line.location or "main"
    result = {
        "index": 0,
        "sku": line.sku,
        "location": location,
        "status": "applied",
        "seq": 1018,
        "delta": line.delta,
        "level": level(line.sku, location),
    }
    return {"operation_id": OPERATION_ID, "applied": 1, "rejected": 0, "results": [result]}


def hold(body: ReserveBody) -> dict[str, object]:
    """A constant hold of the size of the real one."""
    line = body.lines[0]
    some = line.quantity
    held = {
        "index": 0,
        "sku": line.sku,
        "requested": some,
        "quantity": some,
        "open": some,
        "held": some,
        "committed": 0,
        "fulfilled": 0,
        "released": 0,
        "expired": 0,
        "components": [],
        "allocations": [{"location": line.location or "main", "quantity": some, "open": some}],
    }
    return {
        "id": OPERATION_ID,
        "reference": body.reference,
        "status": "active",
        "created_at": "2026-01-31T08:15:00.000000Z",
        "expires_at": "2026-02-01T08:15:00.000000Z",
        "version": 1,
        "lines": [held],
        "created": True,
        "backordered": [],
    }


def model() -> FastAPI:
    """The variant that answers through response models."""
    app = FastAPI()

    @app.post("/v1/stock/adjust", response_model=AdjustAnswer)
    async def adjust(body: AdjustBody) -> dict[str, object]:
        return answer(body)

    @app.post("/v1/reservations", response_model=ReserveAnswer, status_code=201)
    async def reserve(body: ReserveBody) -> dict[str, object]:
        return hold(body)

    @app.get("/v1/stock/{sku}/{location}", response_model=LevelRead)
    async def read(sku: str, location: str) -> dict[str, object]:
        return level_read(sku, location)

    return app


def plain() -> FastAPI:
    """The variant that returns dictionaries."""
    app = FastAPI()

    @app.post("/v1/stock/adjust", response_model=None)
    async def adjust(body: AdjustBody) -> dict[str, object]:
        return answer(body)

    @app.post("/v1/reservations", response_model=None, status_code=201)
    async def reserve(body: ReserveBody) -> dict[str, object]:
        return hold(body)

    @app.get("/v1/stock/{sku}/{location}", response_model=None)
    async def read(sku: str, location: str) -> dict[str, object]:
        return level_read(sku, location)

    return app
