"""The promise table of README.md, made from benchmarks/results/faults.json: no word of a result is typed by hand.

Called by   hand: python -m benchmarks.promises, after `make faults`; a test compares README with what it writes
In          the rows of the fault matrix, and which cases hold which promise
Out         README.md with the table between its two markers
Errors      ValueError when README lacks the markers; KeyError when a case of a promise has not been run
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.environment import ROOT

RESULT = ROOT / "benchmarks" / "results" / "faults.json"
README = ROOT / "README.md"
BEGIN, END = "<!-- promises: python -m benchmarks.promises -->", "<!-- end of promises -->"
MOST_WORDS = 160
E2E = "tests/e2e/test_platform.py"
ROLLBACK = (
    "tests/monitoring/test_running_platform.py"
    "::test_a_rollback_lets_the_former_model_serve_within_a_minute_and_fails_no_request"
)


@dataclass(frozen=True)
class Promise:
    """What Aisle promises, the cases of the fault matrix that it has to survive, and tests that show it elsewhere."""

    name: str
    words: str
    cases: tuple[str, ...] = ()
    tests: tuple[str, ...] = ()


PROMISES = (
    Promise("S1", "a valid `/recommend` gets a list, whatever dies", ("F1", "F3", "F4", "F5", "F17", "C1", "X3", "X6")),
    Promise("S2", "lists are personal again within 10 s of a fault's end", ("F1", "F4", "F5", "F6")),
    Promise("S3", "no list comes after its deadline", ("F2", "F6", "F15", "F16", "F19", "C2", "C3")),
    Promise("S4", "an event answered 202 is stored once", ("F3", "F7", "F8", "F9", "F23", "X1", "X2", "X4", "X5")),
    Promise(
        "S5", "an event acts within 5 s", ("F9",), (f"{E2E}::test_event_makes_the_next_list_personal_within_a_second",)
    ),
    Promise(
        "S6", "no request fails of a model change, a rollout or a stop", ("F10", "F11", "F12", "F13", "F14", "F15")
    ),
    Promise("S7", "the former model serves everywhere within 60 s", (), (ROLLBACK,)),
    Promise("S8", "an erased shopper is gone within 60 s and stays away", ("F24",)),
    Promise(
        "S9", "a restore brings everything back and nobody who was erased", (), ("tests/monitoring/test_backup.py",)
    ),
    Promise("access", "no request is an error of ours, or gets what it may not", ("F18", "F20", "F21", "F22")),
)


def table(result: Mapping[str, Any]) -> str:
    """Return the table in Markdown, and a line that says where and when."""
    rows = {row["case"]: row for row in result["rows"]}
    lines = ["| | promise | held | for example |", "|---|---|---|---|"]
    lines += [_line(promise, [rows[case] for case in promise.cases]) for promise in PROMISES]
    where, held = result["environment"], sum(row["held"] for row in rows.values())
    minutes = sum(row["seconds"] for row in rows.values()) / 60
    lines.append("")
    lines.append(f"{held} of {len(rows)} cases held: `make faults`, {minutes:.0f} minutes on {where['cores']} cores,")
    lines.append(f"{where['cpu']}, {where['measured_at'][:10]}.")
    return "\n".join(lines)


def _line(promise: Promise, rows: Sequence[Mapping[str, Any]]) -> str:
    cases = [f"{row['case']}{'' if row['held'] else ' **broken**'}" for row in rows]
    proofs = ", ".join([*cases, *(f"`{test}`" for test in promise.tests)])
    example = next((row for row in rows if not row["held"]), rows[0] if rows else None)
    words = "" if example is None else f"{example['case']}: {_shortened(example['said'])}"
    return f"| {promise.name} | {promise.words} | {proofs} | {words} |"


def with_table(readme: str, result: Mapping[str, Any]) -> str:
    """Return README with the table of this result."""
    before, begin, rest = readme.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"README.md lacks {BEGIN} or {END}")
    return f"{before}{BEGIN}\n{table(result)}\n{END}{after}"


def _shortened(said: str) -> str:
    """Return the first words, whole, with nothing that would end a cell."""
    plain = said.replace("|", "/")
    return plain if len(plain) <= MOST_WORDS else plain[:MOST_WORDS].rpartition(" ")[0] + " …"


if __name__ == "__main__":
    README.write_text(with_table(README.read_text(), json.loads(RESULT.read_text())))
