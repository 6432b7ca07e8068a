"""Bad values in every column of every import: the row is refused by name, the others are booked."""

import json
from typing import Any, NamedTuple

import httpx
import pytest
from pydantic import TypeAdapter

from inventory_api.web.row_schemas import AdjustmentRow, ItemRow, LevelRow
from tests.hostile.fields import Field, fields, whole, with_literal, without
from tests.hostile.values import MALFORMED, TEXTS, Literal, is_legal, literals
from tests.web.shop import JSON, Shop


class Sheet(NamedTuple):
    """An import and the schema of its rows."""

    kind: str
    schema: JSON

    @property
    def columns(self) -> list[Field]:
        return [field for field in fields(self.schema) if field.steps]


def sheet(kind: str, row: Any) -> Sheet:  # Any: a TypedDict is no class to mypy
    return Sheet(kind, TypeAdapter(row).json_schema())


SHEETS = [sheet("items", ItemRow), sheet("levels", LevelRow), sheet("adjustments", AdjustmentRow)]
every_sheet = pytest.mark.parametrize("sheet", SHEETS, ids=[one.kind for one in SHEETS])
GOOD_ROW = {
    "items": b'{"sku":"P001","name":"good"}',
    "levels": b'{"sku":"P001","on_hand":7}',
    "adjustments": b'{"sku":"P001","delta":-1}',
}


async def send(shop: Shop, sheet: Sheet, rows: list[bytes]) -> list[JSON]:
    """The results of NDJSON rows; the last is the summary."""
    headers = {"Content-Type": "application/x-ndjson"}
    content = b"\n".join([*rows, GOOD_ROW[sheet.kind]]) + b"\n"
    answer = await shop.http.post(f"/v1/import/{sheet.kind}", content=content, headers=headers)
    assert answer.status_code == 200, answer.text
    return [json.loads(line) for line in answer.text.splitlines()]


def wrong_rows(cases: list[tuple[str, str]], results: list[JSON]) -> dict[str, JSON]:
    """The rows that were not refused under the name of their field; the last one was good."""
    *refused, good, summary = results
    assert good["status"] in ("applied", "updated")
    assert summary["end"] is True
    assert summary["rows"] == len(cases) + 1
    return {
        label: result
        for (label, field), result in zip(cases, refused, strict=True)
        if result["status"] != "rejected" or result["error"].get("field") != field
    }


def bad(field: Field) -> list[Literal]:
    return [literal for literal in literals() if not is_legal(field, literal.value)]


@every_sheet
async def test_a_row_with_a_bad_value_is_refused_and_its_column_is_named(
    shop: Shop, sheet: Sheet
) -> None:
    row = whole(sheet.schema)
    cases = [(field, literal) for field in sheet.columns for literal in bad(field)]
    rows = [with_literal(row, field.steps, literal.text) for field, literal in cases]

    results = await send(shop, sheet, rows)

    told = [(f"{field.path} = {literal.label}", field.path) for field, literal in cases]
    assert wrong_rows(told, results) == {}


@every_sheet
async def test_a_row_that_is_no_json_is_refused_and_the_next_one_is_read(
    shop: Shop, sheet: Sheet
) -> None:
    row = whole(sheet.schema)
    broken = {label: text for label, text in MALFORMED.items() if "\n" not in text}
    rows = [
        with_literal(row, field.steps, text) for field in sheet.columns for text in broken.values()
    ]
    rows += [b"[]", b"1", b"null", b'"a"', b"\xff\xfe", b"\xef\xbb\xbf{}", b"[" * 30_000]

    results = await send(shop, sheet, rows)

    assert {result["status"] for result in results[:-2]} == {"rejected"}
    assert len(results) == len(rows) + 2


@every_sheet
async def test_a_row_with_an_unknown_or_a_missing_member_is_refused_by_name(
    shop: Shop, sheet: Sheet
) -> None:
    row = whole(sheet.schema)
    cases = [("unknown", "extra"), *((f"no {name}", name) for name in sheet.schema["required"])]
    rows = [json.dumps({**row, "extra": 1}).encode()]
    rows += [json.dumps(without(row, (name,))).encode() for name in sheet.schema["required"]]

    assert wrong_rows(cases, await send(shop, sheet, rows)) == {}


@every_sheet
async def test_a_cell_with_a_bad_text_is_refused_and_its_column_is_named(
    shop: Shop, sheet: Sheet
) -> None:
    row, header = whole(sheet.schema), [field.path for field in sheet.columns]
    cases = [
        (field, label, text)
        for field in sheet.columns
        for label, text in TEXTS.items()
        if text.isprintable() and text and not is_legal_cell(field, text)
    ]

    content = csv_of(
        [header, *([{**row, f.path: text}[n] for n in header] for f, _, text in cases)]
    )
    answer = await post_csv(shop, sheet, content)

    results = [json.loads(line) for line in answer.text.splitlines()]
    wrong = {
        f"{field.path} = {label}": result
        for (field, label, _), result in zip(cases, results, strict=False)
        if result["status"] != "rejected" or result["error"].get("field") != field.path
    }
    assert wrong == {}
    assert results[-1]["rejected"] == len(cases)


def is_legal_cell(field: Field, text: str) -> bool:
    """A cell has no types: digits are a number where one is wanted."""
    is_number = text.isascii() and text.removeprefix("-").isdigit() and len(text) < 15
    return is_legal(field, text) or (is_number and is_legal(field, int(text)))


def csv_of(rows: list[list[Any]]) -> bytes:
    quoted = [",".join('"' + str(cell).replace('"', '""') + '"' for cell in row) for row in rows]
    return "\r\n".join(quoted).encode()


async def post_csv(shop: Shop, sheet: Sheet, content: bytes) -> httpx.Response:
    headers = {"Content-Type": "text/csv"}
    return await shop.http.post(f"/v1/import/{sheet.kind}", content=content, headers=headers)


@every_sheet
@pytest.mark.parametrize(
    "content",
    [b"", b"\n", b"sku,sku\n", b"SKU\n", b"nothing\n", b"sku;name\n", b"\xff\xfes\x00k\x00u\x00", b'"sku'],
    ids=["empty", "line", "twice", "case", "unknown", "semicolon", "utf-16", "unclosed"],
)  # fmt: skip
async def test_a_file_without_the_right_header_is_refused_whole(
    shop: Shop, sheet: Sheet, content: bytes
) -> None:
    before = await shop.get("/v1/items")

    answer = await post_csv(shop, sheet, content)

    assert answer.status_code in (400, 422)
    assert answer.headers["content-type"] == "application/problem+json"
    assert await shop.head() == 5
    assert await shop.get("/v1/items") == before
