"""Reservations as the batteries ask for them, and what must hold of them in the file (I3, I5)."""

import asyncio
import os
import subprocess
import sys
from collections import defaultdict

from inventory_api.store.database import Database
from inventory_api.store.options import DatabaseOptions
from tests.battery.client import JSON, Answer, Connection
from tests.battery.oracle import assert_verified, audit_database
from tests.ledger_oracle import Row, rows_of
from tests.server import Serving

GIVEN_BACK = ("released", "expired")
UNITS = ("held", "committed", "fulfilled", *GIVEN_BACK)
Sums = dict[str, int]


async def reserve(connection: Connection, sku: str, quantity: int = 1, **more: JSON) -> Answer:
    """Ask for a hold of one line."""
    lines = [{"sku": sku, "quantity": quantity, "location": "main"}]
    return await connection.post("/v1/reservations", {"lines": lines, **more})


async def declare(connection: Connection, reference: str, sku: str, quantity: int) -> Answer:
    """Say what a reference shall hold from now on."""
    path = f"/v1/reservations/by-reference/{reference}"
    body = {"lines": [{"sku": sku, "quantity": quantity}]}
    return await connection.send_json("PUT", path, body)


async def settle(connection: Connection, hold: str, verb: str, **body: JSON) -> Answer:
    """Confirm, fulfill, release or extend a hold."""
    return await connection.post(f"/v1/reservations/{hold}/{verb}", body)


async def count(connection: Connection, sku: str, on_hand: int) -> None:
    """Have a level counted, whatever it was."""
    line = {"sku": sku, "location": "main", "on_hand": on_hand, "expected_on_hand": None}
    answer = await connection.post("/v1/stock/set", {"lines": [line]})
    assert answer.status == 200, answer


async def level(connection: Connection, sku: str, location: str = "main") -> dict[str, int]:
    """The level as a read shows it."""
    answer = await connection.get(f"/v1/stock/{sku}/{location}")
    assert answer.status == 200, answer
    found: dict[str, int] = answer.json()
    return found


def told(answer: Answer) -> str:
    """An answer in a word or two: its status and the code of its problem."""
    code = "" if answer.status < 300 else answer.json()["code"]
    return f"{answer.status} {code}".strip()


async def audit_running(server: Serving) -> list[Row]:
    """The books of a running server on which nothing is in flight; the movements."""
    await assert_verified(server)
    return await _audit(server)


async def audit_stopped(server: Serving) -> list[Row]:
    """Stop the server, have the command line verify its file, and look at the holds in it."""
    assert server.terminate().code == 0
    run = await asyncio.to_thread(verify_file, server.database_url)
    assert run.returncode == 0, run.stdout + run.stderr
    return await _audit(server)


def verify_file(database_url: str) -> "subprocess.CompletedProcess[str]":
    """`inventory-api verify` of a file that nobody serves; its status is 0 without findings."""
    return subprocess.run(
        [sys.executable, "-m", "inventory_api", "verify"],
        env={**os.environ, "INVENTORY_DATABASE_URL": database_url},
        capture_output=True,
        check=False,
        text=True,
    )


async def _audit(server: Serving) -> list[Row]:
    movements = await audit_database(server.database_url)
    options = DatabaseOptions(url=server.database_url, read_only=True)
    async with Database(options) as database:
        reservations = await rows_of(database, "SELECT * FROM reservation")
        allocations = await rows_of(database, "SELECT * FROM allocation")
        levels = await rows_of(database, "SELECT * FROM level")
    assert_holds(movements, reservations, allocations, levels)
    return movements


def assert_holds(
    movements: list[Row], reservations: list[Row], allocations: list[Row], levels: list[Row]
) -> None:
    """Raise unless levels promise what the reservations hold, and movements explain each unit."""
    _assert_levels(allocations, levels)
    _assert_units(movements, allocations)
    _assert_states(reservations, allocations)


def _assert_levels(allocations: list[Row], levels: list[Row]) -> None:
    """What is reserved is held by somebody, and the level knows when the first hold ends."""
    by_level = defaultdict(list)
    for row in allocations:
        by_level[row["sku"], row["location"]].append(row)
    for row in levels:
        own = by_level.pop((row["sku"], row["location"]), [])
        assert row["reserved"] == sum(one["held"] for one in own), (row, own)
        assert row["committed"] == sum(one["committed"] for one in own), (row, own)
        ends = [one["expires_at"] for one in own if one["held"]]
        if ends:
            assert row["next_expiry_at"] is not None, row
            assert row["next_expiry_at"] <= min(ends), row
    assert not any(one[name] for own in by_level.values() for one in own for name in UNITS)


def _assert_units(movements: list[Row], allocations: list[Row]) -> None:
    """Each unit of a hold is in the state into which the ledger's movements have brought it.

    What a line has given back starts anew when its reference declares it again, and the ledger has
    no movement for that: there, the ledger is an upper bound.
    """
    booked: dict[tuple[str, str, str], Sums] = defaultdict(lambda: dict.fromkeys(UNITS, 0))
    declared = {row["reservation_id"] for row in movements if row["reference"] is not None}
    for row in movements:
        if row["reservation_id"] is not None:
            book(booked[row["reservation_id"], row["sku"], row["location"]], row)
    found: dict[tuple[str, str, str], Sums] = defaultdict(lambda: dict.fromkeys(UNITS, 0))
    for row in allocations:
        sums = found[row["reservation_id"], row["sku"], row["location"]]
        for name in UNITS:
            sums[name] += row[name]
    for key in booked.keys() | found.keys():
        for name in UNITS:
            is_bound = name in GIVEN_BACK and key[0] in declared
            least = 0 if is_bound else booked[key][name]
            assert least <= found[key][name] <= booked[key][name], (key, name)


def book(sums: Sums, row: Row) -> None:
    """Bring the units of a hold into the state into which a movement takes them."""
    held, committed, on_hand = row["d_reserved"], row["d_committed"], row["d_on_hand"]
    sums["held"] += held
    sums["committed"] += committed
    # Only what is shipped leaves the shelf.
    assert on_hand == (committed + held if row["type"] == "fulfill" else 0), row
    match row["type"]:
        case "reserve":
            assert (held > 0, committed) == (True, 0), row
        case "confirm":
            # What is promised and was not held any more had expired: it is taken again.
            sums["expired"] -= committed + held
        case "fulfill":
            sums["fulfilled"] -= on_hand
        case "release":
            sums["released"] -= held + committed
        case "expire":
            assert (held < 0, committed) == (True, 0), row
            sums["expired"] -= held
        case _:
            raise AssertionError(row)


def _assert_states(reservations: list[Row], allocations: list[Row]) -> None:
    """The state tells what is held, and a reference has one open reservation."""
    held: dict[str, Sums] = defaultdict(lambda: dict.fromkeys(UNITS, 0))
    for row in allocations:
        for name in UNITS:
            held[row["reservation_id"]][name] += row[name]
    assert set(held) == {row["id"] for row in reservations}
    for row in reservations:
        sums, status = held[row["id"]], row["status"]
        assert (status == "active") == (sums["held"] > 0), (row, sums)
        if not sums["held"]:
            assert (status == "confirmed") == (sums["committed"] > 0), (row, sums)
        if status in ("expired", "released"):
            assert sums["fulfilled"] == 0, (row, sums)
    is_open = [row["reference"] for row in reservations if row["status"] in ("active", "confirmed")]
    named = [reference for reference in is_open if reference is not None]
    assert len(named) == len(set(named))
