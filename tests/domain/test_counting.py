"""Counts: the variance is what was found against what was there when it was counted."""

from hypothesis import given, strategies as st

from inventory_api.domain.count_sheet import CountLine, CountSheet, show_tallied
from inventory_api.domain.counting import note_sets
from inventory_api.domain.decide import Decision, Refused, Snapshot
from inventory_api.domain.draft import Stamp
from inventory_api.domain.judge import Asked, judge, must_wait
from inventory_api.domain.rejections import Code
from inventory_api.domain.types import UNITS_MAX, Instant
from tests.count_factory import opening, recording, settling, tally
from tests.domain.decisions import on_hand
from tests.stock_factory import MAIN, P001, adjust, command, count, key, level, snapshot, transfer

ID = "count-1"
OTHER = "count-2"


def do(asked: Asked, stock: Snapshot, name: str = ID, actor: str = "ann") -> Decision:
    """What a batch does with a command, the operation being `name`."""
    decision = judge(asked, stock, Stamp(name, actor, Instant(5)))
    note_sets(decision.changes, stock)
    return decision


def counting(stock: Snapshot, *skus: str, name: str = ID, threshold: int | None = None) -> Snapshot:
    """The stock with an open count of the items."""
    do(opening(*(skus or ("P001",)), threshold=threshold), stock, name)
    return stock


def sheet(stock: Snapshot, name: str = ID) -> CountSheet:
    return stock.counts.sheets[name]


def line(stock: Snapshot, sku: str = "P001", name: str = ID) -> CountLine:
    return stock.counts.lines[name][key(sku)[0]]


def refused(decision: Decision) -> list[tuple[str, Code]]:
    assert decision.refused
    assert not decision.changes
    return [
        (one.line.sku, one.rejection.code) for one in decision.results if isinstance(one, Refused)
    ]


def whole(decision: Decision) -> Code:
    assert decision.refused
    assert decision.rejection is not None
    return decision.rejection.code


def test_a_line_remembers_the_level_as_it_was_at_the_opening() -> None:
    stock = counting(snapshot(level(10, version=7)), "P001", "P002")

    assert line(stock)[3:8] == (7, 10, 7, 10, None)
    assert line(stock, "P002")[3:8] == (0, 0, 0, 0, None)
    assert (sheet(stock).status, sheet(stock).line_count, sheet(stock).version) == ("open", 2, 1)


def test_a_whole_location_is_counted_without_its_archived_items() -> None:
    stock = snapshot(level(10), level(0, "P002"))
    stock.counts.skus_at[MAIN] = [key("P001")[0], key("P002")[0]]
    stock.barred_items[key("P002")[0]] = Code.ITEM_ARCHIVED

    do(opening(), stock)

    assert [*stock.counts.lines[ID]] == [P001]


def test_an_item_that_may_not_move_is_not_counted_by_name() -> None:
    stock = snapshot(level(10))
    stock.barred_items[key("P002")[0]] = Code.UNKNOWN_SKU

    decision = do(opening("P001", "P002"), stock)

    assert refused(decision) == [("P002", Code.UNKNOWN_SKU)]
    assert not stock.counts.changed_sheets


def test_a_location_with_too_many_levels_is_refused_as_a_whole() -> None:
    stock = snapshot()
    stock.counts.skus_at[MAIN] = [key(f"P{number}")[0] for number in range(3)]

    assert whole(do(opening(lines_max=2), stock)) is Code.TOO_MANY_LINES


def test_what_is_sold_after_the_opening_is_not_missing() -> None:
    stock = counting(snapshot(level(10)))
    do(command(adjust(-3)), stock)

    do(recording(ID, tally(9)), stock)
    decision = do(settling("post", ID), stock, "post-1")

    assert on_hand(stock) == 6
    (change,) = decision.changes
    assert (change.type, change.reason, change.d_on_hand) == ("set", "cycle_count", -1)
    assert (sheet(stock).status, sheet(stock).operation_id) == ("posted", "post-1")
    assert line(stock).posted_version == change.level_version == 3


def test_a_count_that_was_right_is_a_movement_of_nothing() -> None:
    stock = counting(snapshot(level(10)))
    do(recording(ID, tally(10)), stock)

    (change,) = do(settling("post", ID), stock).changes

    assert (change.type, change.d_on_hand, change.on_hand) == ("set", 0, 10)


def test_what_was_counted_later_is_measured_against_the_version_that_was_seen() -> None:
    stock = counting(snapshot(level(10)))
    do(command(adjust(-3)), stock)

    do(recording(ID, tally(7, version=2)), stock)

    assert (line(stock).expected, line(stock).variance) == (7, 0)


def test_a_past_version_is_taken_from_the_ledger() -> None:
    stock = counting(snapshot(level(10, version=9)))
    stock.counts.on_hand_at[4, *key()] = 6

    do(recording(ID, tally(7, version=4)), stock)

    assert (line(stock).level_version, line(stock).variance) == (4, 1)


def test_recording_without_a_version_goes_back_to_the_opening() -> None:
    stock = counting(snapshot(level(10)))
    do(command(adjust(-3)), stock)
    do(recording(ID, tally(7, version=2)), stock)

    do(recording(ID, tally(9)), stock)

    assert (line(stock).level_version, line(stock).variance) == (1, -1)
    assert (sheet(stock).counted_count, sheet(stock).version) == (1, 3)


def test_a_version_that_has_not_been_is_refused_with_the_current_one() -> None:
    stock = counting(snapshot(level(10)))

    decision = do(recording(ID, tally(9, version=2)), stock)

    assert refused(decision) == [("P001", Code.UNKNOWN_VERSION)]
    (result,) = decision.results
    assert isinstance(result, Refused)
    assert result.rejection.facts == {"level_version": 1}


def test_what_was_there_before_the_first_movement_is_nothing() -> None:
    stock = counting(snapshot(level(4, version=1)))

    do(recording(ID, tally(4, version=0)), stock)

    assert line(stock).variance == 4


def test_found_goods_get_a_line_at_the_version_of_now() -> None:
    stock = counting(snapshot(level(10), level(3, "P002", version=8)))

    do(recording(ID, tally(5, "P002"), tally(1, "P003")), stock)

    assert line(stock, "P002")[2:8] == (1, 8, 3, 8, 3, 5)
    assert line(stock, "P003")[2:8] == (2, 0, 0, 0, 0, 1)
    assert (sheet(stock).line_count, sheet(stock).counted_count) == (3, 2)


def test_found_goods_that_nobody_knows_are_refused_and_nothing_is_recorded() -> None:
    stock = counting(snapshot(level(10)))
    stock.barred_items[key("P002")[0]] = Code.UNKNOWN_SKU

    decision = do(recording(ID, tally(9), tally(1, "P002")), stock)

    assert refused(decision) == [("P002", Code.UNKNOWN_SKU)]
    assert line(stock).counted is None


def test_a_count_takes_no_more_lines_than_it_may_have() -> None:
    stock = counting(snapshot(level(10)))

    decision = do(recording(ID, tally(1, "P002"), lines_max=1), stock)

    assert whole(decision) is Code.TOO_MANY_LINES
    assert not do(recording(ID, tally(1), lines_max=1), stock).refused


def test_what_was_recorded_can_be_taken_back() -> None:
    stock = counting(snapshot(level(10), level(5, "P002")), "P001", "P002")
    do(recording(ID, tally(9), tally(5, "P002")), stock)

    do(recording(ID, tally(None)), stock)
    decision = do(settling("post", ID), stock)

    assert sheet(stock).counted_count == 1
    assert decision.facts == {"uncounted": ["P001"]}
    assert (on_hand(stock), on_hand(stock, "P002")) == (10, 5)


def test_a_count_of_nothing_is_not_posted() -> None:
    stock = counting(snapshot(level(10)))

    assert whole(do(settling("post", ID), stock)) is Code.NOTHING_COUNTED


def test_one_line_that_can_not_be_booked_stops_all_of_them() -> None:
    stock = counting(snapshot(level(10), level(5, "P002")), "P001", "P002")
    do(recording(ID, tally(4), tally(6, "P002")), stock)
    do(command(adjust(-5)), stock)

    decision = do(settling("post", ID), stock)

    assert refused(decision) == [("P001", Code.INSUFFICIENT_STOCK)]
    assert (on_hand(stock), on_hand(stock, "P002")) == (5, 5)
    assert sheet(stock).status == "open"


def test_a_count_may_leave_less_than_was_promised() -> None:
    stock = counting(snapshot(level(10, reserved=8)))
    do(recording(ID, tally(3)), stock)

    (change,) = do(settling("post", ID), stock).changes

    assert (change.on_hand, change.oversold_by) == (3, 5)


def test_more_than_there_can_be_is_refused() -> None:
    stock = counting(snapshot(level(0, version=1)))
    do(recording(ID, tally(UNITS_MAX)), stock)
    do(command(adjust(1)), stock)

    assert refused(do(settling("post", ID), stock)) == [("P001", Code.QUANTITY_OUT_OF_RANGE)]


def test_what_two_counts_miss_is_booked_once() -> None:
    stock = counting(counting(snapshot(level(10))), name=OTHER)
    do(recording(ID, tally(8)), stock)
    do(recording(OTHER, tally(8)), stock)
    do(command(adjust(-1)), stock)

    do(settling("post", ID), stock)
    decision = do(settling("post", OTHER), stock)

    assert refused(decision) == [("P001", Code.STALE_QUANTITY)]
    assert on_hand(stock) == 7
    do(recording(OTHER, tally(7, version=3)), stock)
    assert not do(settling("post", OTHER), stock).refused
    assert on_hand(stock) == 7


def test_a_set_since_the_version_that_was_seen_is_a_count_too() -> None:
    stock = counting(snapshot(level(10)))
    do(recording(ID, tally(8)), stock)
    do(command(count(9)), stock)

    decision = do(settling("post", ID), stock)

    (result,) = decision.results
    assert isinstance(result, Refused)
    assert result.rejection.code is Code.STALE_QUANTITY
    assert result.rejection.facts == {"expected_on_hand": 10, "on_hand": 9, "level_version": 2}


def test_a_variance_above_the_threshold_waits_for_an_approval() -> None:
    stock = counting(snapshot(level(10), level(5, "P002")), "P001", "P002", threshold=1)
    do(recording(ID, tally(9), tally(7, "P002")), stock)

    decision = do(settling("post", ID), stock)

    assert whole(decision) is Code.APPROVAL_REQUIRED
    assert refused(decision) == [("P002", Code.APPROVAL_REQUIRED)]
    do(settling("approve", ID), stock, actor="boss")
    assert (sheet(stock).status, sheet(stock).approved_by) == ("approved", "boss")
    assert not do(settling("post", ID), stock).refused
    assert (on_hand(stock), on_hand(stock, "P002")) == (9, 7)


def test_a_variance_at_the_threshold_needs_no_approval() -> None:
    stock = counting(snapshot(level(10)), threshold=2)
    do(recording(ID, tally(8)), stock)

    assert not do(settling("post", ID), stock).refused


def test_recording_again_takes_the_approval_back() -> None:
    stock = counting(snapshot(level(10)), threshold=1)
    do(recording(ID, tally(8)), stock)
    do(settling("approve", ID), stock)

    do(recording(ID, tally(2)), stock)

    assert (sheet(stock).status, sheet(stock).approved_by) == ("open", None)
    assert whole(do(settling("post", ID), stock)) is Code.APPROVAL_REQUIRED


def test_what_is_over_stays_so() -> None:
    for verb in ("post", "cancel"):
        stock = counting(snapshot(level(10)))
        do(recording(ID, tally(8)), stock)
        do(settling(verb, ID), stock)

        for again in (
            recording(ID, tally(7)),
            settling("post", ID),
            settling("approve", ID),
            settling("cancel", ID),
        ):
            assert whole(do(again, stock)) is Code.COUNT_NOT_OPEN
        assert on_hand(stock) == (8 if verb == "post" else 10)


def test_a_count_elsewhere_is_unknown_to_who_may_not_hear_of_it() -> None:
    stock = counting(snapshot(level(10)))
    visible = frozenset({"store-1"})

    assert whole(do(recording(ID, tally(7), visible=visible), stock)) is Code.UNKNOWN_ID
    assert whole(do(settling("post", ID, visible=visible), stock)) is Code.UNKNOWN_ID


def test_a_change_of_another_version_than_was_read_is_refused() -> None:
    stock = counting(snapshot(level(10)))
    old = frozenset({"1"})
    do(recording(ID, tally(7), if_match=old), stock)

    assert whole(do(recording(ID, tally(6), if_match=old), stock)) is Code.VERSION_MISMATCH
    assert whole(do(settling("approve", ID, if_match=old), stock)) is Code.VERSION_MISMATCH


def test_a_blind_count_tells_what_it_expects_when_it_is_posted() -> None:
    stock = snapshot(level(10))

    for asked, expected in (
        (opening("P001", blind=True, sees_expected=False), None),
        (recording(ID, tally(8), sees_expected=False), None),
        (recording(ID, tally(8)), 10),
        (settling("post", ID, sees_expected=False), 10),
    ):
        told = do(asked, stock).sheet
        assert told is not None
        (shown,) = show_tallied(told)["lines"]
        assert shown["expected"] == expected
        assert (shown["variance"] is None) == (expected is None or shown["counted"] is None)


def test_a_blind_count_keeps_what_it_expects_from_who_cancels_it() -> None:
    stock = snapshot(level(10))
    do(opening("P001", blind=True), stock)

    told = do(settling("cancel", ID, sees_expected=False), stock).sheet

    assert told is not None
    assert show_tallied(told)["lines"][0]["expected"] is None


def test_the_refusals_of_a_blind_count_do_not_tell_what_it_expects() -> None:
    for change, code, told in (
        (adjust(-9), Code.INSUFFICIENT_STOCK, set[str]()),
        (count(1), Code.STALE_QUANTITY, {"level_version"}),
    ):
        stock = snapshot(level(10))
        do(opening("P001", blind=True), stock)
        do(recording(ID, tally(0)), stock)
        do(command(change), stock)

        (result,) = do(settling("post", ID, sees_expected=False), stock).results
        assert isinstance(result, Refused)
        assert result.rejection.code is code
        assert result.rejection.facts.keys() == told


def test_a_posting_waits_for_what_is_due_on_its_levels() -> None:
    stock = counting(snapshot(level(10)))
    stock.undecidable.add(key())

    assert must_wait(settling("post", ID), stock)
    assert not must_wait(settling("post", "unknown"), stock)
    assert not must_wait(recording(ID, tally(1)), stock)


meanwhile = st.lists(
    st.one_of(
        st.integers(-6, 6).map(lambda delta: command(adjust(delta))),
        st.integers(1, 3).map(lambda units: command(transfer(units))),
        st.integers(1, 3).map(
            lambda units: command(transfer(units, source="store-1", target="main"))
        ),
    ),
    max_size=12,
)


@given(before=st.integers(0, 20), counted=st.integers(0, 25), sold=meanwhile, late=meanwhile)
def test_whatever_moves_while_goods_are_counted_only_the_variance_is_booked(
    before: int, counted: int, sold: list[Asked], late: list[Asked]
) -> None:
    stock = counting(snapshot(level(before), level(9, location="store-1")))
    for one in sold:
        do(one, stock)
    do(recording(ID, tally(counted)), stock)
    for one in late:
        do(one, stock)
    left = on_hand(stock)

    decision = do(settling("post", ID), stock)

    variance = counted - before
    if left + variance < 0:
        assert refused(decision) == [("P001", Code.INSUFFICIENT_STOCK)]
        assert on_hand(stock) == left
    else:
        assert on_hand(stock) == left + variance
        assert [change.d_on_hand for change in decision.changes] == [variance]


@given(
    shelf=st.integers(0, 20), error=st.integers(-5, 5), sold=st.lists(st.integers(1, 3), max_size=8)
)
def test_the_shelf_is_what_the_books_say_after_a_true_count(
    shelf: int, error: int, sold: list[int]
) -> None:
    stock = counting(snapshot(level(max(0, shelf + error))))
    for units in sold:
        if shelf >= units and not do(command(adjust(-units)), stock).refused:
            shelf -= units
    version = stock.levels[key()].version

    do(recording(ID, tally(shelf, version=version)), stock)
    do(settling("post", ID), stock)

    assert on_hand(stock) == shelf
