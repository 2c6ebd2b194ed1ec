"""Which cases of the fault matrix held, what each showed and how long it took; and the file that keeps it.

Called by   tests/faults/conftest.py
Out         {"rows": [{case, held, said, seconds, commit}], "environment": machine, versions, commit of the last run}
"""

import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.environment import environment

MAX_SAID = 400


@dataclass
class Row:
    """One case, of one or more tests."""

    case: str
    held: bool = True
    said: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def as_json(self, commit: str) -> dict[str, Any]:
        """Return the row of the result file."""
        said = "; ".join(self.said)[:MAX_SAID]
        return {"case": self.case, "held": self.held, "said": said, "seconds": round(self.seconds, 1), "commit": commit}


class Record:
    """The rows of one run."""

    def __init__(self) -> None:
        self.rows: dict[str, Row] = {}

    def take(self, case: str, outcome: str, said: str, seconds: float) -> str:
        """Add one test to its case and return the line to say; a skipped one shows nothing."""
        if outcome == "skipped":
            return ""
        row = self.rows.setdefault(case, Row(case))
        row.held = row.held and outcome == "passed"
        row.seconds += seconds
        words = " ".join(said.split())[:MAX_SAID]
        row.said += [words] if words else []
        return f"{case} {_verdict(outcome == 'passed')}: {words}"

    def table(self) -> list[str]:
        """Return the closing table, as lines."""
        rows = sorted(self.rows.values(), key=lambda row: order_of(row.case))
        lines = [f"{row.case:4} {_verdict(row.held):6} {row.seconds:6.1f} s  {'; '.join(row.said)}" for row in rows]
        held, seconds = sum(row.held for row in rows), sum(row.seconds for row in rows)
        return [*lines, f"{held} of {len(rows)} cases held, {seconds:.0f} s"]


def _verdict(held: bool) -> str:
    return "held" if held else "BROKEN"


def order_of(case: str) -> tuple[str, int]:
    """Return what sorts F2 before F10."""
    letters, number = re.fullmatch(r"([A-Z]+)(\d+)", case).groups()  # type: ignore[union-attr]  # the marks are ours
    return letters, int(number)


def write_result(path: Path, record: Record) -> None:
    """Replace the rows of the cases that ran, and leave the others as they are."""
    before = json.loads(path.read_text())["rows"] if path.exists() else []
    now = environment()
    rows = {row["case"]: row for row in before} | {
        case: row.as_json(now["commit"]) for case, row in record.rows.items()
    }
    ordered = [rows[case] for case in sorted(rows, key=order_of)]
    path.write_text(json.dumps({"rows": ordered, "environment": now}, indent=2) + "\n")
