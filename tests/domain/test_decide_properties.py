"""What holds of every decision, whatever is asked of whatever stock."""

from collections import Counter

from hypothesis import example, given, strategies as st

from inventory_api.domain.alerts import state_of
from inventory_api.domain.commands import AdjustLine, Command, Line, Mode, SetLine
from inventory_api.domain.decide import Applied, Decision, Duplicate, Refused, Snapshot, decide
from inventory_api.domain.types import UNITS_MAX, Key, Level
from tests.stock_factory import adjust, command, count, level, snapshot, transfer

SKUS = st.sampled_from(["P001", "P002"])
LOCATIONS = st.sampled_from(["main", "store-1", "store-2"])
GROUPS = st.sampled_from([None, None, "g", "h"])
LINE_IDS = st.sampled_from([None, None, None, "a", "b"])
REASONS = st.sampled_from(["sale", "damaged", "received", "correction"])
DELTAS = st.integers(-6, 6) | st.sampled_from([UNITS_MAX, -UNITS_MAX])
COUNTS = st.integers(0, 6) | st.just(UNITS_MAX)
EXPECTED = st.none() | st.integers(0, 3)
SMALL = st.integers(0, 3)

adjusts = st.builds(adjust, DELTAS, SKUS, LOCATIONS, reason=REASONS, line_id=LINE_IDS, group=GROUPS)
counts = st.builds(
    count, COUNTS, SKUS, LOCATIONS, expected=EXPECTED, line_id=LINE_IDS, group=GROUPS
)
transfers = st.builds(
    transfer, st.integers(1, 6), SKUS, source=LOCATIONS, target=LOCATIONS, group=GROUPS
)
lines = adjusts | counts | transfers
line_lists = st.lists(lines, min_size=1, max_size=8)
commands = st.builds(
    lambda chosen, mode: command(*chosen, mode=mode), line_lists, st.sampled_from(Mode)
)
levels = st.builds(
    level,
    st.integers(0, 8) | st.just(UNITS_MAX),
    SKUS,
    LOCATIONS,
    reserved=SMALL,
    committed=SMALL,
    safety_stock=SMALL,
    backorder_limit=st.sampled_from([0, 0, 2, None]),
)
snapshots = st.builds(
    lambda stock, known: snapshot(*stock, line_ids=known),
    st.lists(levels, max_size=6),
    st.sampled_from([[], ["a"]]),
)


def copy(stock: Snapshot) -> Snapshot:
    return Snapshot(dict(stock.levels), line_ids=set(stock.line_ids))


def moved(decision: Decision) -> Counter[Key]:
    """Units that the decision adds, by level."""
    units: Counter[Key] = Counter()
    for change in decision.changes:
        units[change.sku, change.location] += change.d_on_hand
    return units


def at(stock: Snapshot, where: Key) -> Level:
    return stock.levels.get(where) or Level(*where)


@given(commands, snapshots)
def test_the_deltas_add_up_to_the_change_of_every_balance(one: Command, stock: Snapshot) -> None:
    before = copy(stock)

    units = moved(decide(one, stock))

    for where in stock.levels.keys() | before.levels.keys():
        assert at(stock, where).on_hand == at(before, where).on_hand + units[where]


@given(commands, snapshots)
def test_each_level_is_explained_version_by_version(one: Command, stock: Snapshot) -> None:
    running = copy(stock)

    decision = decide(one, stock)

    for change in decision.changes:
        where = (change.sku, change.location)
        before = at(running, where)
        assert change.level_version == before.version + 1
        assert change.on_hand == before.on_hand + change.d_on_hand
        running.levels[where] = before._replace(
            on_hand=change.on_hand, version=before.version + 1, alert=state_of(change.alerts)
        )
    assert running.levels == stock.levels


@given(commands, snapshots)
def test_on_hand_stays_between_zero_and_the_maximum(one: Command, stock: Snapshot) -> None:
    decision = decide(one, stock)

    for change in decision.changes:
        assert 0 <= change.on_hand <= UNITS_MAX


@given(commands, snapshots)
def test_only_facts_and_receipts_leave_less_than_the_limit(one: Command, stock: Snapshot) -> None:
    decision = decide(one, stock)

    for change in decision.changes:
        limit = stock.levels[change.sku, change.location].backorder_limit
        short = 0 if limit is None else max(0, -limit - change.available)
        assert change.oversold_by == short
        is_fact = change.type == "set" or change.reason in {"damaged", "correction"}
        if change.d_on_hand < 0 and not is_fact:
            assert short == 0


@given(line_lists, snapshots)
def test_an_atomic_command_does_all_or_nothing(chosen: list[Line], stock: Snapshot) -> None:
    before = copy(stock)

    decision = decide(command(*chosen), stock)

    refused = [result for result in decision.results if isinstance(result, Refused)]
    assert decision.refused == bool(refused)
    if refused:
        assert decision.changes == ()
        assert stock == before


@given(line_lists, snapshots)
@example([adjust(1, line_id="a"), adjust(-6), adjust(-6)], snapshot())
def test_without_its_refused_lines_an_atomic_command_is_accepted(
    chosen: list[Line], stock: Snapshot
) -> None:
    first = decide(command(*chosen), copy(stock))
    kept = [result.line for result in first.results if not isinstance(result, Refused)]

    if kept:
        second = decide(command(*kept), copy(stock))

        assert not second.refused


@given(line_lists, snapshots)
def test_independent_lines_without_groups_are_commands_of_one_line_each(
    chosen: list[Line], stock: Snapshot
) -> None:
    alone = [line._replace(group=None) for line in chosen]
    one_by_one = copy(stock)

    together = decide(command(*alone, mode=Mode.INDEPENDENT), stock)
    separate = [decide(command(line), one_by_one) for line in alone]

    assert list(together.results) == [decision.results[0] for decision in separate]
    assert stock == one_by_one


@given(line_lists, snapshots)
def test_a_group_is_applied_whole_or_not_at_all(chosen: list[Line], stock: Snapshot) -> None:
    decision = decide(command(*chosen, mode=Mode.INDEPENDENT), stock)

    for group in ("g", "h"):
        own = [
            one for one, line in zip(decision.results, chosen, strict=True) if line.group == group
        ]
        kinds = {type(result) for result in own}
        assert not kinds >= {Applied, Refused}


@given(line_lists, snapshots)
def test_a_line_id_is_applied_at_most_once(chosen: list[Line], stock: Snapshot) -> None:
    known = frozenset(stock.line_ids)

    decision = decide(command(*chosen, mode=Mode.INDEPENDENT), stock)
    again = decide(command(*chosen, mode=Mode.INDEPENDENT), stock)

    written = [
        change.line_id
        for change in (*decision.changes, *again.changes)
        if change.line_id is not None
    ]
    assert len(written) == len(set(written))
    assert known.isdisjoint(written)


@given(line_lists, snapshots)
def test_a_duplicate_is_a_line_whose_id_the_ledger_has(chosen: list[Line], stock: Snapshot) -> None:
    decision = decide(command(*chosen, mode=Mode.INDEPENDENT), stock)

    for result in decision.results:
        if isinstance(result, Duplicate):
            assert isinstance(result.line, AdjustLine | SetLine)
            assert result.line.line_id in stock.line_ids


@given(st.lists(transfers, min_size=1, max_size=8), snapshots, st.sampled_from(Mode))
def test_transfers_neither_make_nor_lose_units(
    chosen: list[Line], stock: Snapshot, mode: Mode
) -> None:
    before = sum(one.on_hand for one in stock.levels.values())

    decide(command(*chosen, mode=mode), stock)

    assert sum(one.on_hand for one in stock.levels.values()) == before


@given(commands, snapshots)
def test_the_same_question_about_the_same_stock_has_one_answer(
    one: Command, stock: Snapshot
) -> None:
    assert decide(one, copy(stock)) == decide(one, copy(stock))
