"""What a pull has counted so far, and the first of everything that somebody has to look at."""

from dataclasses import dataclass, field
from typing import Any

from inventory_api.domain.supplier import SAMPLES_MAX, Run

Sample = dict[str, Any]  # Any: JSON values


@dataclass(slots=True)
class Tally:
    """The numbers of one run; lists hold the first `SAMPLES_MAX` of each kind.

    Attributes:
        unread: bad rows of which nobody can tell what they are about.
        missing: SKUs with stock that the list does not name, and that were kept.
    """

    pages: int = 0
    bytes: int = 0
    rows: int = 0
    named: int = 0
    changed: int = 0
    unchanged: int = 0
    zeroed: int = 0
    refused: int = 0
    unknown: int = 0
    bad: int = 0
    unread: int = 0
    applied: bool = False
    unknown_codes: list[str] = field(default_factory=list)
    bad_rows: list[Sample] = field(default_factory=list)
    refusals: list[Sample] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)

    def bad_row(self, line: int, reason: str, code: str | None) -> None:
        """One row that can't be used."""
        self.bad += 1
        if len(self.bad_rows) < SAMPLES_MAX:
            self.bad_rows.append({"line": line, "code": code, "reason": reason})

    def unknown_code(self, code: str) -> None:
        """One code that means no item of ours."""
        self.unknown += 1
        if len(self.unknown_codes) < SAMPLES_MAX:
            self.unknown_codes.append(code)

    def refusal(self, sku: str, code: str) -> None:
        """One level that could not be set."""
        self.refused += 1
        if len(self.refusals) < SAMPLES_MAX:
            self.refusals.append({"sku": sku, "code": code})

    def progress(self) -> Sample:
        """How far it has come."""
        names = ("pages", "rows", "named", "changed", "unchanged", "zeroed")
        return {name: getattr(self, name) for name in names}

    def report(self, detail: str | None) -> Sample:
        """The part of a run's report that is no number of its own."""
        return {
            "detail": detail,
            "bytes": self.bytes,
            "unknown_codes": self.unknown_codes,
            "bad_rows": self.bad_rows,
            "refusals": self.refusals,
            "remarks": self.remarks,
        }

    def over(self, run: Run) -> Run:
        """The run with these numbers."""
        names = (
            "pages", "rows", "named", "changed", "unchanged", "zeroed", "refused", "unknown", "bad",
        )  # fmt: skip
        numbers = {name: getattr(self, name) for name in names}
        return run._replace(applied=int(self.applied), **numbers)
