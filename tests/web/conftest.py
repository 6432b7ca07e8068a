"""What the tests of the routes share: the demo, in process."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest

from tests.databases import Store, Template
from tests.web.shop import Shop, demo_in, open_demo


@pytest.fixture(scope="session")
def demo(store: Store) -> Iterator[Template]:
    """The demo; copies of it are a running shop in 20 ms on a file."""
    with demo_in(store) as demo:
        yield demo


@pytest.fixture
async def shop(demo: Template, tmp_path: Path) -> AsyncIterator[Shop]:
    async with open_demo(demo, tmp_path) as shop:
        yield shop


@pytest.fixture
def http(shop: Shop) -> httpx.AsyncClient:
    return shop.http
