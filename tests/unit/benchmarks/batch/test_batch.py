"""The benchmark of lists made ahead reads what the command prints, and its page says what was missed."""

import json
from pathlib import Path

import pytest

from benchmarks.batch.__main__ import Run, read
from benchmarks.batch.page import write_page

SPEEDS = ((1, 700), (2, 1200))


def test_what_the_command_prints_is_read_and_nothing_else_is_taken_for_it() -> None:
    assert read("2,024 lists in 1.6 s: 1,265 shoppers/s, 0.98 ms of a core each\n") == Run(2024, 1.6, 1265, 0.98)
    with pytest.raises(ValueError, match="Nobody is in this segment"):
        read("Nobody is in this segment; nothing was made.\n")


@pytest.mark.parametrize(("cores", "judged"), [(2, ["", "missed: 1,200 of 2,000"]), (16, ["", ""])])
def test_the_target_of_two_cores_is_judged_there_and_nowhere_else(
    tmp_path: Path, cores: int, judged: list[str]
) -> None:
    rows = [
        {"processes": processes, "shoppers_per_s": speed, "cpu_ms": 1.0, "runs": [vars(Run(2024, 1.0, speed, 1.0))]}
        for processes, speed in SPEEDS
    ]
    machine = {"measured_at": "now", "cores": cores, "cpu": "a", "commit": "b", "dirty": False}
    result, page = tmp_path / "batch.json", tmp_path / "batch.md"
    result.write_text(json.dumps({"segment": "active-30d", "rows": rows, "environment": machine}))
    write_page(result, page)
    lines = [line.split("|") for line in page.read_text().splitlines() if line.startswith(("| 1 |", "| 2 |"))]
    assert [cells[-2].strip() for cells in lines] == judged
