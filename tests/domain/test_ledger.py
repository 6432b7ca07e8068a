"""What a decided batch writes and answers."""

from inventory_api.domain.alerts import OUT, show_crossings
from inventory_api.domain.commands import Mode
from inventory_api.domain.decide import Snapshot, decide
from inventory_api.domain.ledger import Decided, MovementRow, Pages, answer, refusal, write
from inventory_api.domain.rejections import Code
from inventory_api.domain.types import Instant, Level, Movement
from tests.stock_factory import adjust, command, count, key, level, snapshot, transfer

NOW = Instant(1_000)


def decided(
    stock: Snapshot, *lines: object, name: str = "op-1", idempotency_key: str | None = None
) -> Decided:
    asked = command(*lines, mode=Mode.INDEPENDENT)  # type: ignore[arg-type]  # lines of any kind
    return Decided(asked, decide(asked, stock), name, "local", idempotency_key)


def movements_of(pages: Pages) -> list[Movement]:
    """The rows with all columns, whether the batch is simple or not."""
    rows: list[MovementRow] = pages.movements
    if pages.is_simple:
        told = [(0,) if pages.is_calm else row[18:] for row in rows]
        rows = [
            (*row[:11], 0, 0, 0, *row[11:18], None, None, *alerts)
            for row, alerts in zip(rows, told, strict=True)
        ]
    return [Movement._make(row) for row in rows]


def test_the_changes_of_a_batch_are_numbered_without_a_gap_in_order_of_arrival() -> None:
    stock = snapshot(level(9))

    pages = write(
        [
            decided(stock, adjust(-1), transfer(2), name="op-1"),
            decided(stock, adjust(-99), name="op-2"),
            decided(stock, adjust(-3), name="op-3"),
        ],
        first_seq=41,
        recorded_at=NOW,
    )

    movements = movements_of(pages)
    assert [(one.seq, one.operation_id, one.d_on_hand) for one in movements] == [
        (41, "op-1", -1),
        (42, "op-1", -2),
        (43, "op-1", 2),
        (44, "op-3", -3),
    ]


def test_an_operation_spans_the_numbers_of_its_movements_and_counts_its_lines() -> None:
    stock = snapshot(level(9))
    one = decided(stock, adjust(-1), adjust(-99), transfer(2), idempotency_key="k")

    (operation,) = write([one], first_seq=41, recorded_at=NOW).operations

    assert (operation.first_seq, operation.last_seq) == (41, 43)
    assert (operation.applied, operation.rejected) == (2, 1)
    assert (operation.type, operation.mode, operation.key) == ("adjust", "independent", "k")


def test_a_command_that_changed_nothing_leaves_no_trace() -> None:
    pages = write([decided(snapshot(), adjust(-1))], first_seq=1, recorded_at=NOW)

    assert (pages.movements, pages.operations, pages.touched) == ([], [], {})


def test_each_touched_level_is_written_once_with_its_last_number() -> None:
    stock = snapshot(level(9), level(5, "P002"), level(7, "P003"))
    one = decided(stock, adjust(-1, "P002"), adjust(-1), adjust(-1, "P002"))

    pages = write([one], first_seq=41, recorded_at=NOW)

    assert pages.balances(stock.levels, stock.levels) == [
        (8, 0, 0, 0, 2, 42, None, 0, *key("P001")),
        (3, 0, 0, 0, 3, 43, None, 0, *key("P002")),
    ]


def test_what_happened_at_another_time_keeps_that_time_beside_the_time_of_record() -> None:
    asked = command(adjust(1), occurred_at=Instant(7))
    one = Decided(asked, decide(asked, snapshot()), "op-1", "local", None)

    (movement,) = movements_of(write([one], first_seq=1, recorded_at=NOW))

    assert (movement.occurred_at, movement.recorded_at) == (7, NOW)


def test_what_happened_at_no_stated_time_happened_when_it_was_recorded() -> None:
    (movement,) = movements_of(
        write([decided(snapshot(), adjust(1))], first_seq=1, recorded_at=NOW)
    )

    assert movement.occurred_at == NOW


def test_the_answer_shows_each_line_with_its_number_and_its_level() -> None:
    stock = snapshot(level(9, safety_stock=2, version=3))

    body = answer(decided(stock, adjust(-1), adjust(-99, line_id="b")), 41)

    assert body["operation_id"] == "op-1"
    assert (body["applied"], body["rejected"]) == (1, 1)
    assert body["results"] == [
        {
            "index": 0,
            "sku": "P001",
            "location": "main",
            "status": "applied",
            "seq": 41,
            "delta": -1,
            "level": {
                "sku": "P001",
                "location": "main",
                "on_hand": 8,
                "reserved": 0,
                "committed": 0,
                "safety_stock": 2,
                "incoming": 0,
                "available": 6,
                "version": 4,
            },
        },
        {
            "index": 1,
            "sku": "P001",
            "location": "main",
            "status": "rejected",
            "error": {
                "code": "insufficient_stock",
                "requested": 99,
                "on_hand": 8,
                "available": 6,
                "shortage": 93,
                "elsewhere": [],
                "next_available_at": None,
            },
        },
    ]


def test_the_answer_to_a_transfer_shows_both_levels_and_both_numbers() -> None:
    body = answer(decided(snapshot(level(9)), transfer(4)), 41)

    (result,) = body["results"]
    assert {name: result[name] for name in ("from", "to", "quantity", "seqs")} == {
        "from": "main",
        "to": "store-1",
        "quantity": 4,
        "seqs": [41, 42],
    }
    assert [one["on_hand"] for one in result["levels"]] == [5, 4]


def test_a_duplicate_is_answered_as_such_and_has_no_number() -> None:
    stock = snapshot(level(9), line_ids=["till-1"])

    body = answer(decided(stock, adjust(-1, line_id="till-1")), 0)

    assert body["operation_id"] is None
    assert body["results"] == [
        {"index": 0, "sku": "P001", "location": "main", "status": "duplicate"}
    ]


def test_every_number_in_an_answer_is_that_of_the_line_s_own_movement() -> None:
    stock = snapshot(level(9), level(9, "P002"), level(9, "P003"))
    one = decided(
        stock, adjust(-1, "P001", group="g"), adjust(-2, "P002"), adjust(-3, "P003", group="g")
    )

    pages = write([one], first_seq=41, recorded_at=NOW)
    body = answer(one, 41)

    told = {result["seq"]: (result["sku"], result["delta"]) for result in body["results"]}
    assert told == {
        movement.seq: (movement.sku, movement.d_on_hand) for movement in movements_of(pages)
    }


def test_the_answer_to_a_judgement_without_changes_has_no_numbers() -> None:
    asked = command(adjust(1), transfer(1), dry_run=True)
    judged = decide(asked, snapshot())
    one = Decided(asked, type(judged)(judged.results, ()), "op-1", "local", None)

    body = answer(one, 0)

    assert (body["operation_id"], body["applied"]) == (None, 2)
    assert body["results"][0]["seq"] is None
    assert body["results"][1]["seqs"] is None


def test_a_refusal_has_the_code_of_its_first_line_and_lists_every_refused_one() -> None:
    asked = command(adjust(1), count(1, expected=9), adjust(-5))
    one = Decided(asked, decide(asked, snapshot()), "op-1", "local", None)

    code, facts = refusal(one)

    assert code is Code.STALE_QUANTITY
    assert [(line["index"], line["error"]["code"]) for line in facts["lines"]] == [
        (1, "stale_quantity"),
        (2, "insufficient_stock"),
    ]


def test_a_level_that_a_batch_opens_starts_from_nothing() -> None:
    stock = snapshot()

    pages = write([decided(stock, adjust(5))], first_seq=1, recorded_at=NOW)

    assert pages.balances(stock.levels, ()) == []
    assert pages.opened(stock.levels, ()) == [Level(*key(), on_hand=5, version=1, seq=1)]


def test_a_simple_batch_that_crosses_nothing_leaves_alerts_out_and_others_do_not() -> None:
    stock = snapshot(level(9), level(9, "P002"))
    calm = write([decided(stock, adjust(-1))], first_seq=1, recorded_at=NOW)
    crossing = write([decided(stock, adjust(-1), adjust(-9, "P002"))], first_seq=2, recorded_at=NOW)

    assert (calm.is_calm, crossing.is_simple, crossing.is_calm) == (True, True, False)
    assert [show_crossings(one.alerts) for one in movements_of(crossing)] == [[], ["out"]]
    assert crossing.on_hand(stock.levels, stock.levels) == [
        (7, 3, 2, 0, *key("P001")),
        (0, 2, 3, OUT, *key("P002")),
    ]
