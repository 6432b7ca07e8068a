"""Exports: everything as it was at one position, whatever happens meanwhile."""

import asyncio
import csv
import io
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from inventory_api.app import create_app
from inventory_api.web.exporting import (
    as_ndjson,
    levels_export,
    movements_export,
    reservations_export,
)
from tests.databases import Template, run_aside
from tests.polling import until
from tests.web.served import Served, served
from tests.web.shop import HOST, Shop, open_demo, problem, wrong_fields

Record = dict[str, Any]  # Any: JSON values
SKUS = ["P001", "P002", "P003", "P004", "P005"]


def records(text: str) -> list[Record]:
    assert text.endswith("\n")
    return [json.loads(line) for line in text.split("\n")[:-1]]


def table(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text, newline="")))


async def exported(shop: Shop, what: str, **query: str | int) -> list[Record]:
    """The rows of an export in NDJSON, which has to say that it is whole."""
    answer = await shop.http.get(f"/v1/export/{what}", params=query)
    assert answer.status_code == 200, answer.text
    *rows, end = records(answer.text)
    assert end == {"end": True, "rows": len(rows), "as_of_seq": await shop.head()}
    return rows


async def test_levels_are_those_of_the_list_and_the_last_record_says_that_they_are_all(
    shop: Shop,
) -> None:
    await shop.transfer({"sku": "P001", "to": "store-1", "quantity": 5})

    rows = await exported(shop, "levels")

    assert rows == await shop.walk("/v1/stock")
    assert len(rows) == 6


async def test_items_and_movements_are_those_of_their_lists(shop: Shop) -> None:
    await shop.adjust({"sku": "P001", "delta": -1}, reference="order:1")

    assert await exported(shop, "items") == await shop.walk("/v1/items")
    assert await exported(shop, "movements") == await shop.walk("/v1/movements")


async def test_reservations_are_those_of_their_list(shop: Shop) -> None:
    await hold(shop, "cart:1", ("P001", 2), ("P002", 1))
    await hold(shop, None, ("P001", 1))
    await hold(shop, "cart:2", ("P003", 1))

    rows = await exported(shop, "reservations")

    assert rows == await shop.walk("/v1/reservations")
    assert [row["reference"] for row in rows] == ["cart:1", None, "cart:2"]


async def test_no_reservations_are_an_export_of_none(shop: Shop) -> None:
    assert await exported(shop, "reservations") == []


async def test_a_hold_whose_time_is_over_is_exported_as_expired_before_any_sweep(
    shop: Shop,
) -> None:
    await hold(shop, "cart:1", ("P001", 2))
    await hold(shop, "cart:2", ("P001", 1), ttl_s=60)
    shop.clock.move(60)

    rows = await exported(shop, "reservations")
    expired = await exported(shop, "reservations", status="expired")
    active = await exported(shop, "reservations", status="active")

    assert [row["status"] for row in rows] == ["active", "expired"]
    assert rows[1]["lines"][0]["expired"] == 1
    assert (active, expired) == (rows[:1], rows[1:])
    assert await shop.head() == 5 + 2


async def test_a_reservation_in_csv_has_a_row_for_each_location_of_each_line(shop: Shop) -> None:
    await shop.transfer({"sku": "P001", "to": "store-1", "quantity": 30})
    made = await hold(shop, "=cart", ("P001", 45), ("P002", 1))

    answer = await shop.http.get("/v1/export/reservations", params={"format": "csv"})

    found = table(answer.text)
    assert [(row["line"], row["sku"], row["location"], row["held"]) for row in found] == [
        ("0", "P001", "main", "20"),
        ("0", "P001", "store-1", "25"),
        ("1", "P002", "main", "1"),
    ]
    shared = {"id": made["id"], "reference": "'=cart", "status": "active", "version": "1"}
    assert all(row.items() >= shared.items() for row in found)
    assert {row["expires_at"] for row in found} == {made["expires_at"]}


async def test_a_key_for_one_location_gets_only_reservations_that_are_all_there(
    shop: Shop,
) -> None:
    await shop.transfer({"sku": "P001", "to": "store-1", "quantity": 5})
    await hold(shop, "both", ("P001", 50))
    header = await shop.make_key(scopes=["read"], locations=["store-1"])

    none = await shop.http.get("/v1/export/reservations", headers=header)

    assert [row.get("reference") for row in records(none.text)] == [None]


async def test_reservations_are_read_in_pages_of_so_many_lines_however_many_a_hold_has(
    demo: Template, tmp_path: Path
) -> None:
    async with open_demo(demo, tmp_path) as shop:
        for number, lines in enumerate([1, 5, 2, 1, 1, 4]):
            await hold(shop, f"cart:{number}", *[("P002", 1)] * lines)
        wanted = await shop.walk("/v1/reservations")

        for page_rows in range(1, 9):
            export = reservations_export(
                page_rows, locations=None, status=None, clock=shop.service.steady_clock
            )
            rows = [
                row
                async for piece in as_ndjson(shop.service, export)
                for row in records(piece.decode())
            ]
            assert rows == [*wanted, {"end": True, "rows": 6, "as_of_seq": 5 + 14}]


async def test_holds_that_come_meanwhile_do_not_prolong_an_export_and_keep_no_connection(
    shop: Shop,
) -> None:
    for number in range(3):
        await hold(shop, f"cart:{number}", ("P001", 1))
    export = reservations_export(1, locations=None, status=None, clock=shop.service.steady_clock)

    rows = []
    async for piece in as_ndjson(shop.service, export):
        rows += records(piece.decode())
        assert shop.service.database.checked_out() == 0, "a page keeps no connection"
        await hold(shop, f"late:{len(rows)}", ("P001", 1))
        if len(rows) == 1:
            released = await shop.http.post(f"/v1/reservations/{rows[0]['id']}/release")
            assert released.status_code == 200

    assert [row.get("reference") for row in rows] == ["cart:0", "cart:1", "cart:2", None]
    assert rows[-1] == {"end": True, "rows": 3, "as_of_seq": 5 + 3}


async def hold(
    shop: Shop, reference: str | None, *lines: tuple[str, int], ttl_s: int = 600
) -> Record:
    body = {
        "reference": reference,
        "ttl_s": ttl_s,
        "lines": [{"sku": sku, "quantity": quantity} for sku, quantity in lines],
    }
    answer = await shop.http.post("/v1/reservations", json=body)
    assert answer.status_code == 201, answer.text
    made: Record = answer.json()
    return made


async def test_an_export_is_a_file_of_a_constant_name(shop: Shop) -> None:
    lines = await shop.http.get("/v1/export/levels")
    cells = await shop.http.get("/v1/export/levels", params={"format": "csv"})

    assert lines.headers["content-type"] == "application/x-ndjson"
    assert lines.headers["content-disposition"] == 'attachment; filename="levels.ndjson"'
    assert cells.headers["content-type"].startswith("text/csv; charset=utf-8")
    assert cells.headers["content-disposition"] == 'attachment; filename="levels.csv"'


@pytest.mark.parametrize(
    ("accept", "media_type"),
    [
        ("text/csv", "text/csv"),
        ("text/csv, application/x-ndjson", "application/x-ndjson"),
        ("*/*", "application/x-ndjson"),
        ("application/json", "application/x-ndjson"),
    ],
    ids=["csv", "both", "anything", "something-else"],
)
async def test_the_format_can_be_asked_for_by_accept(
    shop: Shop, accept: str, media_type: str
) -> None:
    answer = await shop.http.get("/v1/export/items", headers={"Accept": accept})

    assert answer.headers["content-type"].startswith(media_type)
    assert answer.headers["vary"] == "accept"


async def test_the_query_s_format_is_stronger_than_accept(shop: Shop) -> None:
    answer = await shop.http.get(
        "/v1/export/items", params={"format": "ndjson"}, headers={"Accept": "text/csv"}
    )

    assert answer.headers["content-type"] == "application/x-ndjson"


@pytest.mark.parametrize("what", ["levels", "items", "movements"])
async def test_csv_has_the_values_of_ndjson_and_no_trailer(shop: Shop, what: str) -> None:
    await shop.adjust({"sku": "P001", "delta": -1, "line_id": "l-1"}, reference="order:1")
    rows = await exported(shop, what)

    answer = await shop.http.get(f"/v1/export/{what}", params={"format": "csv"})

    found = table(answer.text)
    assert len(found) == len(rows)
    for cells, row in zip(found, rows, strict=True):
        flat = _flat(row)
        assert {name: cell for name, cell in cells.items() if name in flat} == {
            name: "" if value is None else str(value) for name, value in flat.items()
        }


def _flat(row: Record) -> Record:
    """An object as the columns of CSV name its parts."""
    flat = {name: value for name, value in row.items() if not isinstance(value, dict)}
    flat |= {f"delta_{name}": units for name, units in row.get("delta", {}).items()}
    flat |= row.get("after", {})
    if "alerts" in row:
        flat["alerts"] = " ".join(row["alerts"])
    price = row.get("unit_price")
    return flat | ({"price": price["amount"], "currency": price["currency"]} if price else {})


async def test_columns_can_be_chosen_and_ordered(shop: Shop) -> None:
    answer = await shop.http.get(
        "/v1/export/items", params={"format": "csv", "columns": "price,sku"}
    )

    assert answer.text.startswith("price,sku\r\n5999.00,P001\r\n")


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"format": "csv", "columns": "sku,colour"}, "columns.colour"),
        ({"format": "csv", "columns": "sku,sku"}, "columns"),
        ({"columns": "sku"}, "columns"),
        ({"format": "xml"}, "format"),
        ({"location": ""}, "location"),
        ({"limit": "5"}, "limit"),
    ],
    ids=["unknown-column", "repeated-column", "columns-of-ndjson", "format", "location", "unknown"],
)
async def test_what_can_not_be_exported_is_refused_by_name(
    shop: Shop, query: dict[str, str], field: str
) -> None:
    answer = await shop.http.get("/v1/export/levels", params=query)

    assert wrong_fields(answer) == [field]


async def test_movements_begin_behind_a_number(shop: Shop) -> None:
    rows = await exported(shop, "movements", after=3)

    assert [row["seq"] for row in rows] == [4, 5]


async def test_movements_behind_the_head_are_none(shop: Shop) -> None:
    assert await exported(shop, "movements", after=2**63 - 1) == []


async def test_items_can_be_chosen_by_status(shop: Shop) -> None:
    await shop.http.post("/v1/items", json={"sku": "old", "name": "x"})
    await shop.http.delete("/v1/items/old")

    assert [row["sku"] for row in await exported(shop, "items", status="archived")] == ["old"]
    assert [row["sku"] for row in await exported(shop, "items", status="active")] == SKUS


async def test_levels_and_movements_can_be_chosen_by_location(shop: Shop) -> None:
    await shop.transfer({"sku": "P001", "to": "store-1", "quantity": 5})

    levels = await exported(shop, "levels", location="store-1")
    movements = await exported(shop, "movements", location="store-1")

    assert [(row["sku"], row["on_hand"]) for row in levels] == [("P001", 5)]
    assert [row["seq"] for row in movements] == [7]


@pytest.mark.parametrize("what", ["levels", "movements"])
async def test_a_key_for_one_location_gets_only_that_one(shop: Shop, what: str) -> None:
    await shop.transfer({"sku": "P001", "to": "store-1", "quantity": 5})
    header = await shop.make_key(scopes=["read"], locations=["store-1"])

    own = await shop.http.get(f"/v1/export/{what}", headers=header)
    other = await shop.http.get(f"/v1/export/{what}", headers=header, params={"location": "main"})

    assert [row.get("location") for row in records(own.text)] == ["store-1", None]
    assert problem(other, 403)["code"] == "forbidden"


async def test_all_pages_are_of_the_position_at_which_the_export_began(
    demo: Template, tmp_path: Path
) -> None:
    async with open_demo(demo, tmp_path, export_page_rows=1) as shop:
        before = await shop.walk("/v1/stock")
        export = levels_export(1, locations=None)

        rows: list[Record] = []
        async for piece in as_ndjson(shop.service, export):
            await until(lambda: shop.service.database.checked_out() == 0)
            rows += records(piece.decode())
            await shop.adjust(*({"sku": sku, "delta": 1} for sku in SKUS))
            await shop.adjust({"sku": "P005", "location": "store-1", "delta": 7})

        *levels, end = rows
        assert levels == before
        assert end == {"end": True, "rows": 5, "as_of_seq": 5}


async def test_movements_that_come_meanwhile_are_for_the_next_export(shop: Shop) -> None:
    export = movements_export(2, after=0, locations=None)

    seqs = []
    async for piece in as_ndjson(shop.service, export):
        seqs += [row.get("seq", row.get("as_of_seq")) for row in records(piece.decode())]
        await shop.adjust({"sku": "P001", "delta": 1})

    assert seqs == [1, 2, 3, 4, 5, 5]


NASTY = ["=1+1", "'=1+1", "''@x", "+49", "-5", "@sum", "'quoted'", 'a "b", c', "笔记本"]


async def test_items_come_back_from_csv_as_they_were(shop: Shop) -> None:
    for number, name in enumerate(NASTY):
        body = {"sku": f"={number}", "name": name, "barcode": f"-{number}"}
        assert (await shop.http.post("/v1/items", json=body)).status_code == 201
    before = await exported(shop, "items")
    wanted = {"format": "csv", "columns": "sku,name,barcode,price,currency"}

    file = (await shop.http.get("/v1/export/items", params=wanted)).content
    answer = await shop.http.post(
        "/v1/import/items", content=file, headers={"Content-Type": "text/csv"}
    )

    end = records(answer.text)[-1]
    assert (end["unchanged"], end["rows"]) == (len(before), len(before))
    assert await exported(shop, "items") == before


async def test_more_streams_than_a_key_may_have_are_refused_for_now(
    demo: Template, tmp_path: Path
) -> None:
    async with open_demo(demo, tmp_path, streams_per_key_max=1) as shop:
        app = create_app(shop.service)
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url=HOST) as http:
            with app.state.edge.streams.opened("local"):
                refused = await http.get("/v1/export/levels")
            answer = await http.get("/v1/export/levels")

    told = problem(refused, 503)
    assert (told["code"], told["applied"], told["retryable"]) == ("overloaded", "no", True)
    assert refused.headers["retry-after"] == "1"
    assert answer.status_code == 200


@pytest.fixture
async def server(shop: Shop) -> AsyncIterator[Served]:
    """A server with a catalogue that is larger than all buffers on the way."""
    rows = "".join(f"X{number:06d},{'n' * 255}\n" for number in range(4_000))
    answer = await shop.http.post(
        "/v1/import/items",
        content=f"sku,name\n{rows}".encode(),
        headers={"Content-Type": "text/csv"},
    )
    assert records(answer.text)[-1]["created"] == 4_000
    async with served(shop.service) as server:
        yield server


async def test_a_client_that_hangs_up_leaves_nothing_behind(server: Served) -> None:
    idle = await server.at_rest()

    async with server.request("GET", "/v1/export/items") as dialogue:
        await dialogue.head()
        assert server.streams.count() == 1

    await server.until_in_use(idle)


@pytest.mark.parametrize("row_format", ["ndjson", "csv"])
async def test_an_export_that_fails_half_way_is_never_ended(
    server: Served, row_format: str
) -> None:
    idle = await server.at_rest()

    async with server.request("GET", f"/v1/export/items?format={row_format}") as dialogue:
        head = await dialogue.head()
        run_aside(server.service.database.options.url, "ALTER TABLE item RENAME TO gone")
        with pytest.raises(asyncio.IncompleteReadError):
            await dialogue.rest()

    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    await server.until_in_use(idle)
