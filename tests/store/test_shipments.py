"""Shipments in the database: one statement for each table, and a seek for the first date."""

import orjson
import pytest

from inventory_api.domain.catalog import rfc3339
from inventory_api.domain.judge import Asked
from inventory_api.domain.types import Instant
from inventory_api.service import Service
from inventory_api.store.bulk import listed
from inventory_api.store.database import Session
from inventory_api.store.elsewhere import NEXT
from inventory_api.store.shipments import consignments_of
from inventory_api.store.verify import Verification
from tests.ledger_oracle import assert_sound
from tests.shipments import arrival, cancel, expect, expected, receive, ship
from tests.sqlite_driver import writer_of
from tests.stock_factory import adjust, command
from tests.store.test_query_plans import steps_of, walks

SOON = 4_000_000_000_000_000


async def ask(service: Service, asked: Asked) -> dict[str, object]:
    outcome = await service.submit(asked, actor="test")
    assert outcome.refused is None, outcome.answer
    told: dict[str, object] = orjson.loads(outcome.answer)
    return told


async def written(service: Service, asked: Asked) -> list[str]:
    """The statements of a command, on the connection that writes."""
    writer = await writer_of(service.database)
    statements: list[str] = []
    writer.set_trace_callback(statements.append)
    await ask(service, asked)
    writer.set_trace_callback(None)
    return statements


async def findings(service: Service) -> list[object]:
    verification = Verification(service.reading, page_rows=10)
    return [finding async for page in verification.pages() for finding in page]


@pytest.mark.sqlite
async def test_no_command_about_shipments_walks_a_table(service: Service) -> None:
    await ask(service, command(adjust(9)))
    made = await ask(service, ship(expected(5, location="store-1")))
    name = str(made["id"])

    statements = await written(service, ship(expected(1, location="store-1")))
    statements += await written(service, receive(name, arrival(2), of="transfer"))
    statements += await written(service, cancel(name, of="transfer"))

    async with service.database.reader() as session:
        assert await walks(session, statements) == []
    assert await findings(service) == []
    await assert_sound(service.database)


@pytest.mark.sqlite
async def test_a_change_that_is_about_no_shipment_does_not_ask_for_any(service: Service) -> None:
    await ask(service, expect(expected(5)))

    statements = await written(service, command(adjust(9)))

    assert [one for one in statements if "shipment" in one] == []


async def test_ten_thousand_lines_are_expected_and_received(service: Service) -> None:
    lines = [expected(1, f"P00{number % 5 + 1}") for number in range(10_000)]

    made = await ask(service, expect(*lines))
    told = await ask(service, receive(str(made["id"])))

    assert told["status"] == "received"
    level = await service.level("P001", "main")
    assert level is not None
    assert (level.on_hand, level.incoming, level.version) == (2_000, 0, 2)
    assert await findings(service) == []


@pytest.mark.sqlite
async def test_the_first_date_is_one_seek_however_many_lines_have_come(service: Service) -> None:
    async def first(session: Session) -> object:
        return (await session.execute(NEXT, {**listed(["P001"]), "now": 1})).all()

    await ask(service, expect(expected(1), expected_at=SOON))
    few = await steps_of(service, first)
    made = await ask(service, expect(*[expected(1)] * 5_000, expected_at=SOON - 1))
    await ask(service, receive(str(made["id"])))

    assert await steps_of(service, first) <= 2 * few + 5
    await ask(service, command(adjust(-5_000)))
    outcome = await service.submit(command(adjust(-1)), actor="test")
    (refused,) = orjson.loads(outcome.answer)["lines"]
    assert refused["error"]["next_available_at"] == rfc3339(Instant(SOON))


async def test_what_is_written_is_what_is_found(service: Service) -> None:
    made = await ask(service, expect(expected(5), expected(3, "P002"), expected_at=SOON))
    name = str(made["id"])
    await ask(service, receive(name, arrival(2)))

    async with service.database.reader() as session:
        found = await consignments_of(session, [name, "unknown"])

    shipment, lines = found[name]
    assert (shipment.kind, shipment.status, shipment.version) == ("inbound", "open", 2)
    assert [(one.line, one.sku, one.received, one.open) for one in lines] == [
        (0, "P001", 2, 3),
        (1, "P002", 0, 3),
    ]
    assert {one.expected_at for one in lines} == {SOON}
