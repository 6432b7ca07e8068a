"""What the tests of the routes share: the demo, in process."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from tests.web.shop import Shop, make_demo_file, open_demo


@pytest.fixture(scope="session")
def demo_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database file with the demo; copies of it are a running shop in 20 ms."""
    path = tmp_path_factory.mktemp("demo") / "demo.db"
    make_demo_file(path)
    return path


@pytest.fixture
async def shop(demo_file: Path, tmp_path: Path) -> AsyncIterator[Shop]:
    async with open_demo(demo_file, tmp_path) as shop:
        yield shop


@pytest.fixture
def http(shop: Shop) -> httpx.AsyncClient:
    return shop.http
