"""README's promises are what the script makes of the fault matrix, and a case that broke stands there as broken."""

import copy
import json

import pytest

from benchmarks.environment import ROOT
from benchmarks.promises import BEGIN, END, PROMISES, README, RESULT, table, with_table


def test_readme_holds_the_table_of_the_result_file() -> None:
    readme = README.read_text()
    assert readme == with_table(readme, json.loads(RESULT.read_text()))


def test_every_case_of_a_promise_was_run_and_every_case_that_was_run_holds_one() -> None:
    promised = {case for promise in PROMISES for case in promise.cases}
    assert {f"F{number}" for number in range(1, 25)} <= promised
    assert promised == {row["case"] for row in json.loads(RESULT.read_text())["rows"]}


def test_every_test_of_a_promise_exists() -> None:
    for promise in PROMISES:
        for named in promise.tests:
            path, _, name = named.partition("::")
            assert f"def {name}" in (ROOT / path).read_text()


def test_a_broken_case_shows() -> None:
    result = json.loads(RESULT.read_text())
    broken = copy.deepcopy(result)
    for row in broken["rows"]:
        if row["case"] == "F7":
            row |= {"held": False, "said": "9,999 stored | of 10,000"}
    line = next(line for line in table(broken).splitlines() if "F7 **broken**" in line)
    assert "F7: 9,999 stored / of 10,000" in line
    assert line not in table(result)


def test_a_readme_without_the_markers_is_refused() -> None:
    with pytest.raises(ValueError, match="lacks"):
        with_table(f"{BEGIN} {END[1:]}", {})
