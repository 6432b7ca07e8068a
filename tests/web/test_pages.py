"""Lists of documents are bounded by their lines too, and lead on to the end all the same."""

from pathlib import Path

import pytest

from tests.databases import Template
from tests.web.shop import JSON, Shop, open_demo

SIZES = (1, 2, 4, 1, 1, 1, 2)


@pytest.mark.parametrize("path", ["/v1/reservations", "/v1/inbounds"])
async def test_a_page_has_so_many_lines_or_one_document(
    path: str, demo: Template, tmp_path: Path
) -> None:
    async with open_demo(demo, tmp_path, page_lines_max=3) as shop:
        for size in SIZES:
            lines = [{"sku": f"P00{n + 1}", "quantity": 1} for n in range(size)]
            answer = await shop.http.post(path, json={"lines": lines})
            assert answer.status_code == 201, answer.text

        pages = await walked(shop, path)

    assert [[len(one["lines"]) for one in page] for page in pages] == [[1, 2], [4], [1, 1, 1], [2]]


@pytest.mark.parametrize("path", ["/v1/reservations", "/v1/inbounds"])
async def test_a_list_without_documents_is_one_empty_page(path: str, shop: Shop) -> None:
    assert await walked(shop, path) == [[]]


async def walked(shop: Shop, path: str) -> list[list[JSON]]:
    """Every page of a list, four documents each."""
    pages: list[list[JSON]] = []
    asked: dict[str, JSON] = {"limit": 4}
    while asked.get("cursor", "") is not None:
        told = await shop.get(path, **asked)
        pages.append(told["items"])
        assert len(pages) <= len(SIZES), "it leads nowhere"
        asked["cursor"] = told["next_cursor"]
    return pages
