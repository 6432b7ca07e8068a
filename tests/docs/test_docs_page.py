"""The docs page works in a real browser that reaches nothing but the service."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, ConsoleMessage, Error, Page, Route, sync_playwright

from tests.server import ServerProcess

# Without these Chromium talks to its maker's servers, or wants a sandbox that root has not.
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
METHODS = {"get", "put", "post", "patch", "delete"}


@dataclass
class Visit:
    """A page, and what it asked for or complained of."""

    page: Page
    address: str
    blocked: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def watch(self) -> None:
        self.page.route("**/*", self._only_local)
        self.page.on("console", self._heard)
        self.page.on("pageerror", self._failed)

    def _only_local(self, route: Route) -> None:
        if route.request.url.startswith((f"{self.address}/", "data:")):
            route.continue_()
            return
        self.blocked.append(route.request.url)
        route.abort()

    def _heard(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            self.complaints.append(message.text)

    def _failed(self, error: Error) -> None:
        self.complaints.append(str(error))

    def paths(self) -> list[str]:
        shown = self.page.locator(".opblock-summary-path").all_inner_texts()
        # Swagger UI offers line breaks in long paths with zero-width spaces.
        paths = [path.replace("\u200b", "") for path in shown]
        # The events of webhooks are listed too, by their names.
        return [path for path in paths if path.startswith("/")]


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with ServerProcess(tmp_path_factory.mktemp("docs")) as server:
        yield server.url


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        chromium = shutil.which("chromium")
        assert chromium is not None, "chromium is missing: apt-get install chromium"
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def visit(browser: Browser, address: str) -> Iterator[Visit]:
    with browser.new_context() as context:
        visit = Visit(context.new_page(), address)
        visit.watch()
        visit.page.goto(f"{address}/docs")
        visit.page.wait_for_selector(".opblock")
        yield visit


def operations(address: str) -> list[tuple[str, str, dict[str, Any]]]:
    schema = httpx.get(f"{address}/openapi.json").json()
    return [
        (path, method, operation)
        for path, methods in schema["paths"].items()
        for method, operation in methods.items()
        if method in METHODS
    ]


def test_every_operation_is_visible_and_nothing_remote_is_asked_for(visit: Visit) -> None:
    expected = sorted(path for path, _, _ in operations(visit.address))

    assert sorted(visit.paths()) == expected
    events = httpx.get(f"{visit.address}/openapi.json").json()["webhooks"]
    assert visit.page.locator(".opblock:visible").count() == len(expected) + len(events)
    assert visit.blocked == []
    assert visit.complaints == []


@pytest.mark.parametrize(
    "which",
    [
        pytest.param(".opblock-tag-section:first-child span:first-child", id="first"),
        pytest.param("span", id="all", marks=pytest.mark.slow),
    ],
)
def test_an_operation_opens_without_an_error(visit: Visit, which: str) -> None:
    for control in visit.page.locator(f"{which} > .opblock .opblock-summary-control").all():
        control.click()
        visit.page.wait_for_selector(".opblock.is-open .responses-table")
        assert visit.page.locator(".errors-wrapper").count() == 0
        # Many open ones at once make each click slow.
        control.click()

    assert visit.complaints == []


def test_try_it_out_runs_the_example_against_the_demo(visit: Visit) -> None:
    adjust = visit.page.locator(".opblock", has_text="/v1/stock/adjust").first

    adjust.locator(".opblock-summary-control").click()
    adjust.locator("button.execute").click()

    status = adjust.locator(".live-responses-table tr.response td.response-col_status").first
    assert status.inner_text().startswith("200")
    assert visit.blocked == []
    assert visit.complaints == []


@pytest.mark.parametrize(
    ("scheme", "header", "sent"),
    [
        ("bearer", "authorization", "Bearer inv_0_secret"),
        ("apiKey", "x-api-key", "inv_0_secret"),
    ],
)
def test_authorize_sends_the_key(visit: Visit, scheme: str, header: str, sent: str) -> None:
    visit.page.click(".btn.authorize")
    form = visit.page.locator(".auth-container", has_text=scheme)
    form.locator("input").fill("inv_0_secret")
    form.locator("button.authorize").click()
    visit.page.click(".btn-done")
    read = visit.page.locator(".opblock-get", has_text="/v1/items").first
    read.locator(".opblock-summary-control").click()

    with visit.page.expect_request("**/v1/items*") as asked:
        read.locator("button.execute").click()

    assert asked.value.headers[header] == sent


def test_the_filter_searches_paths_and_summaries_whatever_the_case(visit: Visit) -> None:
    visit.page.fill(".operation-filter-input", "STOCK/TRANSFER")
    visit.page.locator(".opblock-summary-path", has_text="/v1/items").first.wait_for(
        state="detached"
    )

    assert visit.paths() == ["/v1/stock/transfer"]


def test_the_page_allows_itself_no_inline_and_no_remote_script(address: str) -> None:
    policy = httpx.get(f"{address}/docs").headers["content-security-policy"]

    assert "default-src 'none'" in policy
    assert "script-src 'self';" in policy
    assert "unsafe" not in policy


def test_every_operation_is_in_a_group_that_says_what_it_is(address: str) -> None:
    groups = httpx.get(f"{address}/openapi.json").json()["tags"]
    described = {group["name"] for group in groups if group.get("description")}

    ungrouped = [
        path for path, _, one in operations(address) if not described.issuperset(one["tags"])
    ]

    assert ungrouped == []


def test_every_operation_is_described_by_a_summary_and_a_stable_name(address: str) -> None:
    undescribed = [
        f"{method} {path}"
        for path, method, operation in operations(address)
        if not operation.get("summary") or not operation.get("operationId")
    ]
    names = [operation["operationId"] for _, _, operation in operations(address)]

    assert undescribed == []
    assert len(set(names)) == len(names)
