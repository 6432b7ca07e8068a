"""What the hostile tests share: demos, in process and as a real process."""

import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest

from tests.databases import Files, Store, Template
from tests.server import ServerProcess
from tests.web.shop import Shop, demo_in, open_demo


@pytest.fixture(scope="session")
def store() -> Store:
    """A file: what is hostile here meets the edge, which knows no database."""
    return Files()


@pytest.fixture(scope="session")
def demo(store: Store) -> Iterator[Template]:
    """The demo; copies of it are a running shop in 20 ms on a file."""
    with demo_in(store) as demo:
        yield demo


@pytest.fixture
async def shop(demo: Template, tmp_path: Path) -> AsyncIterator[Shop]:
    """With a key of its own, because some of the values make keys, which closes an open shop."""
    async with open_demo(demo, tmp_path) as shop:
        made = await shop.http.post("/v1/api-keys", json={"name": "admin", "scopes": ["admin"]})
        shop.http.headers["X-API-Key"] = made.json()["key"]
        yield shop


@pytest.fixture(scope="session")
def server(migrated: Template, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A demo; at the end it has to be as it was, and to have seen no defect."""
    environment = {"INVENTORY_LOG_LEVEL": "debug", "INVENTORY_LOG_JSON": "true"}
    folder = tmp_path_factory.mktemp("raw")
    with (
        migrated.copied(folder) as url,
        ServerProcess(folder, database_url=url, environment=environment) as server,
    ):
        yield server
        assert httpx.get(f"{server.url}/v1/movements").json()["head"] == 5
        assert '"findings":0' in httpx.get(f"{server.url}/v1/verify").text
        assert server.terminate().code == 0
        assert "unhandled exception" not in server.log_text()
        for line in server.log_text().splitlines():
            json.loads(line)
