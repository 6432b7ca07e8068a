"""What the tests of suppliers share: the demo, which may call this machine."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.databases import Store, Template
from tests.suppliers.feed_server import FeedServer, listed
from tests.suppliers.feeds import ENVIRONMENT, PRIVATE
from tests.web.shop import Shop, demo_in, open_demo


@pytest.fixture(scope="session")
def demo(store: Store) -> Iterator[Template]:
    """The demo; copies of it are a running shop in 20 ms on a file."""
    with demo_in(store) as demo:
        yield demo


@pytest.fixture
async def shop(demo: Template, tmp_path: Path) -> AsyncIterator[Shop]:
    async with open_demo(demo, tmp_path, ENVIRONMENT, **PRIVATE) as shop:
        yield shop


@pytest.fixture
async def server() -> AsyncIterator[FeedServer]:
    """Lists two of the demo's items."""
    async with FeedServer(lambda _: listed({"P001": 7, "P002": 9})) as server:
        yield server
