"""The stack that the cases of the fault matrix share, and the record of which of them held.

Fixtures    stack     a shop in good health before each case and after it
            held      says in words what a case has shown; called once, at its end
Record      a case is every test that carries its mark; it held when all of them passed. `make faults` names the file
            in FAULTS_RESULT; a row of it is replaced when its case runs again, with the commit it ran on
Time        tests without the mark `quick` wait for `make faults` (FAULTS=all, or the names of cases)
"""

import os
import shutil
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import pytest

from tests.faults.record import Record, write_result
from tests.faults.stack import FaultStack

WANTED = os.environ.get("FAULTS", "").split()
RESULT = os.environ.get("FAULTS_RESULT")
RECORD = pytest.StashKey[Record]()
SAID = pytest.StashKey[str]()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave what takes long to `make faults`, and to that what nobody asked for."""
    for item in items:
        mark = item.get_closest_marker("case")
        if mark is None or WANTED == ["all"] or mark.args[0] in WANTED:
            continue
        if WANTED:
            item.add_marker(pytest.mark.skip(reason="not among the cases of FAULTS"))
        elif not item.get_closest_marker("quick"):
            item.add_marker(pytest.mark.skip(reason="takes long; run by `make faults`"))


@pytest.fixture(scope="session")
def running_stack(store_home: Path) -> Iterator[FaultStack]:
    """Return the stack of this run."""
    stack = FaultStack(store_home / "faults")
    try:
        stack.start()
        stack.open_shop()
        yield stack
    finally:
        stack.stop()
        shutil.rmtree(stack.home, ignore_errors=True)


@pytest.fixture
def stack(running_stack: FaultStack) -> Iterator[FaultStack]:
    """Return the stack in good health."""
    running_stack.mend()
    running_stack.await_personal(timeout_s=60)
    yield running_stack
    running_stack.mend()


@pytest.fixture
def held(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Return what a test calls with what it has shown."""

    def say(words: str) -> None:
        request.node.stash[SAID] = words

    return say


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: "pytest.CallInfo[None]"
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Take down how each test of a case ended, and say it at once."""
    report = yield
    mark = item.get_closest_marker("case")
    if mark is not None and (report.when == "call" or (report.failed and report.when == "setup")):
        error = "" if call.excinfo is None else f"{item.name}: {call.excinfo.exconly()}"
        record = item.config.stash.setdefault(RECORD, Record())
        line = record.take(mark.args[0], report.outcome, item.stash.get(SAID, "") or error, call.duration)
        if line:
            print(f"\n{line}")
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Close with a table, and write it down for `make faults`."""
    record = terminalreporter.config.stash.get(RECORD, None)
    if record is None or not record.rows:
        return
    terminalreporter.section("fault matrix")
    for line in record.table():
        terminalreporter.write_line(line)
    if RESULT:
        write_result(Path(RESULT), record)
