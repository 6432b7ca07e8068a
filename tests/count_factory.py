"""Counts with all that a test does not care about filled in."""

from inventory_api.domain.count_sheet import OpenCount, RecordCount, SettleCount, Tally
from inventory_api.domain.types import SKU, LocationCode

LINES_MAX = 100


def opening(
    *skus: str,
    location: str = "main",
    blind: bool = False,
    threshold: int | None = None,
    reference: str | None = None,
    lines_max: int = LINES_MAX,
    sees_expected: bool = True,
) -> OpenCount:
    return OpenCount(
        location=LocationCode(location),
        skus=tuple(map(SKU, skus)),
        blind=blind,
        approval_threshold=threshold,
        reference=reference,
        lines_max=lines_max,
        sees_expected=sees_expected,
    )


def recording(
    count_id: str,
    *tallies: Tally,
    visible: frozenset[str] | None = None,
    if_match: frozenset[str] | None = None,
    lines_max: int = LINES_MAX,
    sees_expected: bool = True,
) -> RecordCount:
    return RecordCount(
        id=count_id,
        lines=tallies,
        visible=visible,
        if_match=if_match,
        lines_max=lines_max,
        sees_expected=sees_expected,
    )


def settling(
    verb: str,
    count_id: str,
    *,
    visible: frozenset[str] | None = None,
    if_match: frozenset[str] | None = None,
    sees_expected: bool = True,
) -> SettleCount:
    return SettleCount(
        verb=verb,
        id=count_id,
        visible=visible,
        if_match=if_match,
        lines_max=LINES_MAX,
        sees_expected=sees_expected,
    )


def tally(counted: int | None, sku: str = "P001", version: int | None = None) -> Tally:
    return Tally(SKU(sku), counted, version)
