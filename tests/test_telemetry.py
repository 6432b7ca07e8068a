"""A log line is one line whatever is in it; the numbers of two applications do not mix."""

import asyncio
import json
import logging
import re
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from inventory_api.telemetry import (
    Metrics,
    configure_logging,
    get_logger,
    request_id,
    timed,
)

HOSTILE = {
    "line end": "a\r\nb",
    "colour": "\x1b[31mred",
    "C1 control": "\x9b31m",
    "line separator": "a\u2028b",
    "NUL and delete": "\x00\x7f",
    "lone surrogate": "\ud800",
}
hostile = pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029]")
_COLOUR = re.compile(r"\x1b\[\d+m")


@pytest.fixture
def process_logging() -> Iterator[None]:
    """Puts the process's logging back as it was."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


pytestmark = pytest.mark.usefixtures("process_logging")


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().err.splitlines()]


def fail(message: str) -> None:
    raise ValueError(message)


# ---- log lines


def test_an_event_is_one_line_of_json_with_a_time_in_utc(
    capsys: pytest.CaptureFixture[str],
) -> None:
    configure_logging("info", json=True)

    get_logger("shop").info("sold", sku="P001", units=2)

    (line,) = lines(capsys)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", line.pop("timestamp"))
    assert line == {"event": "sold", "sku": "P001", "units": 2, "level": "info", "logger": "shop"}


def test_the_engine_of_outbound_calls_shows_no_header_even_at_debug(
    capsys: pytest.CaptureFixture[str],
) -> None:
    configure_logging("debug", json=True)

    logging.getLogger("httpcore.http11").debug("return_value=[(b'set-cookie', b'secret')]")

    assert lines(capsys) == []


def test_libraries_and_bare_structlog_loggers_write_the_same_lines(
    capsys: pytest.CaptureFixture[str],
) -> None:
    configure_logging("info", json=True)

    logging.getLogger("uvicorn.error").warning("started on port %d", 8000)
    structlog.get_logger("bare").info("hello")

    told = [(line["logger"], line["level"], line["event"]) for line in lines(capsys)]
    assert told == [("uvicorn.error", "warning", "started on port 8000"), ("bare", "info", "hello")]


def test_what_is_less_severe_than_the_level_is_not_shown(
    capsys: pytest.CaptureFixture[str],
) -> None:
    configure_logging("warning", json=True)

    get_logger("shop").info("sold")
    logging.getLogger("sqlalchemy").info("select")

    assert lines(capsys) == []


def test_json_is_the_default_where_nobody_watches(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("info")

    get_logger("shop").info("sold")

    assert lines(capsys)[0]["event"] == "sold"


async def test_lines_of_a_request_have_its_id(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("info", json=True)

    async def serve(name: str) -> None:
        request_id.set(name)
        await asyncio.sleep(0)
        get_logger("shop").info("sold")
        logging.getLogger("library").info("did")

    await asyncio.gather(serve("r-1"), serve("r-2"))
    get_logger("shop").info("outside")

    ids = [line.get("request_id", "none") for line in lines(capsys)]
    assert sorted(ids[:-1]) == ["r-1", "r-1", "r-2", "r-2"]
    assert ids[-1] == "none"


@hostile
def test_no_value_can_forge_a_line_of_json(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("info", json=True)

    get_logger("shop").info(text, value=text, nested={"value": [text]})
    logging.getLogger("library").info("%s", text)

    written = capsys.readouterr().err
    assert written.isascii()
    assert [json.loads(line)["event"] for line in written.splitlines()] == [text, text]


@hostile
def test_no_value_can_drive_a_terminal(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("info", json=False)

    get_logger("shop").info(text, value=text, nested={"value": [text]})
    logging.getLogger("library").info("%s", text)

    written = _COLOUR.sub("", capsys.readouterr().err)
    assert len(written.splitlines()) == 2
    assert not _CONTROL.search(written)


def test_no_exception_can_drive_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("info", json=False)

    try:
        fail("\x1b[2Jgone")
    except ValueError:
        get_logger("shop").exception("failed")

    written = _COLOUR.sub("", capsys.readouterr().err)
    assert "ValueError: \\x1b[2Jgone" in written
    assert not _CONTROL.search(written)


def test_a_traceback_stays_in_one_line_of_json(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("info", json=True)

    try:
        fail("broken")
    except ValueError:
        get_logger("shop").exception("failed")

    (line,) = lines(capsys)
    assert line["exception"].endswith("ValueError: broken")


def test_a_program_that_does_not_configure_logging_sees_no_information(
    capsys: pytest.CaptureFixture[str],
) -> None:
    get_logger("unconfigured").info("sold")

    assert capsys.readouterr() == ("", "")


# ---- numbers


def test_requests_are_counted_and_timed_by_their_labels() -> None:
    metrics = Metrics()

    metrics.request(method="GET", route="/v1/stock/{sku}", status=200, seconds=0.004)
    metrics.request(method="GET", route="/v1/stock/{sku}", status=404, seconds=0.004)

    text = metrics.exposition().decode()
    assert 'inventory_requests_total{method="GET",route="/v1/stock/{sku}",status="404"} 1.0' in text
    assert 'inventory_request_seconds_count{method="GET",route="/v1/stock/{sku}"} 2.0' in text


def test_made_up_methods_share_one_label() -> None:
    metrics = Metrics()

    for number in range(100):
        metrics.request(method=f"M{number}", route="unmatched", status=404, seconds=0.1)

    labels = {"method": "other", "route": "unmatched", "status": "404"}
    assert metrics.registry.get_sample_value("inventory_requests_total", labels) == 100
    assert len(metrics.exposition()) < 20_000


def test_two_applications_do_not_share_numbers() -> None:
    first, second = Metrics(), Metrics()

    first.refusal("insufficient_stock")

    labels = {"code": "insufficient_stock"}
    name = "inventory_refusals_total"
    assert first.registry.get_sample_value(name, labels) == 1
    assert second.registry.get_sample_value(name, labels) is None


@pytest.mark.parametrize(
    "name",
    [
        "inventory_batch_commands_count",
        "inventory_commit_seconds_count",
        "inventory_queue_depth",
        "inventory_shared_read_keys_count",
        "process_resident_memory_bytes",
    ],
)
def test_a_metric_is_there_before_anything_happened(name: str) -> None:
    assert Metrics().registry.get_sample_value(name) is not None


def test_what_was_not_served_is_counted_by_code() -> None:
    metrics = Metrics()

    metrics.unavailable("overloaded")

    labels = {"code": "overloaded"}
    assert metrics.registry.get_sample_value("inventory_unavailable_total", labels) == 1


# ---- timed operations


class Shop:
    def __init__(self) -> None:
        self.metrics = Metrics()

    @timed("check")
    async def check(self, sku: str, *, units: int = 1) -> str:
        if units < 0:
            raise ValueError("less than nothing")
        await asyncio.sleep(0)
        return sku * units

    @timed("wait")
    async def wait(self) -> None:
        await asyncio.Event().wait()

    def count(self, operation: str, outcome: str) -> float | None:
        labels = {"operation": operation, "outcome": outcome}
        name = "inventory_operation_seconds_count"
        return self.metrics.registry.get_sample_value(name, labels)


async def test_a_timed_operation_answers_as_before_and_is_measured() -> None:
    shop = Shop()

    assert [await shop.check("ab", units=2), await shop.check("c")] == ["abab", "c"]

    assert shop.count("check", "ok") == 2


async def test_a_timed_operation_that_fails_is_measured_and_warned_of(
    capsys: pytest.CaptureFixture[str],
) -> None:
    configure_logging("warning", json=True)
    shop = Shop()

    with pytest.raises(ValueError, match="less than nothing"):
        await shop.check("ab", units=-1)

    (line,) = lines(capsys)
    assert shop.count("check", "failed") == 1
    assert (line["level"], line["operation"], line["error"]) == ("warning", "check", "ValueError")
    assert line["ms"] >= 0


async def test_a_cancelled_operation_is_measured_as_such() -> None:
    shop = Shop()
    waiting = asyncio.create_task(shop.wait())
    await asyncio.sleep(0)

    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)

    assert shop.count("wait", "cancelled") == 1


@pytest.mark.parametrize(("level", "seen"), [("debug", 1), ("info", 0)])
async def test_success_is_told_only_at_debug(
    level: str, seen: int, capsys: pytest.CaptureFixture[str]
) -> None:
    configure_logging(level, json=True)

    await Shop().check("ab")

    told = [line for line in lines(capsys) if line["event"] == "operation"]
    assert [(line["operation"], line["outcome"]) for line in told] == [("check", "ok")] * seen


def test_a_timed_operation_keeps_its_name() -> None:
    assert Shop.check.__name__ == "check"
