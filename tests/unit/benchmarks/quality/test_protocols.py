"""Splits and questions on logs small enough to make by hand."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks.quality.errors import ProtocolError
from benchmarks.quality.interactions import Interactions
from benchmarks.quality.protocols import NO_QUERY_TIME, PAST_TIMES, QUERY_TIME, Benchmark, make_benchmark
from benchmarks.quality.splits import Split, global_time, held_back, leave_one_out, sessions
from benchmarks.quality.task import Questions
from services.training.examples.sequences import Sequences
from tests.unit.benchmarks.quality.small_log import read


def names(interactions: Interactions, sequences: Sequences) -> list[list[str]]:
    """The item ids of each user of a log."""
    items = interactions.catalogue.items
    users = zip(sequences.start_U1[:-1], sequences.start_U1[1:], strict=True)
    return [[items[code].item_id for code in sequences.code_E[start:stop]] for start, stop in users]


def asked(interactions: Interactions, questions: Questions) -> list[tuple[list[str], list[str]]]:
    items = interactions.catalogue.items
    pairs = zip(questions.histories, questions.targets, strict=True)
    return [([items[c].item_id for c in past.code_L], [items[c].item_id for c in target]) for past, target in pairs]


def counted(benchmark: Benchmark) -> dict[str, int]:
    return {finding.what: finding.count for finding in benchmark.findings}


def three_users(folder: Path) -> Interactions:
    return read(
        folder,
        user_id=[1, 1, 1, 1, 2, 2, 3],
        item_id=["a", "b", "c", "d", "b", "c", "a"],
        position=[0, 1, 2, 3, 0, 1, 0],
    )


def test_leave_one_out_takes_the_last_two_events(tmp_path: Path) -> None:
    interactions = three_users(tmp_path)
    benchmark = make_benchmark(interactions, leave_one_out, True, NO_QUERY_TIME)
    assert names(interactions, benchmark.task.train) == [["a", "b"], ["b"], ["a"]]
    assert names(interactions, benchmark.task.refit) == [["a", "b", "c"], ["b"], ["a"]]
    assert asked(interactions, benchmark.task.validation) == [(["a", "b"], ["c"])]
    assert asked(interactions, benchmark.test) == [(["a", "b", "c"], ["d"]), (["b"], ["c"])]
    assert counted(benchmark) == {"one-item users": 1, "test answers on an item that is only in the test": 1}


def test_ties_are_broken_by_the_row_of_the_file(tmp_path: Path) -> None:
    interactions = read(tmp_path, user_id=[1, 1, 1, 1], item_id=["d", "b", "c", "a"], timestamp=[50, 60, 60, 60])
    benchmark = make_benchmark(interactions, leave_one_out, True, NO_QUERY_TIME)
    assert asked(interactions, benchmark.test) == [(["d", "b", "c"], ["a"])]


def test_a_question_without_query_time_is_asked_one_second_after_the_newest_event(tmp_path: Path) -> None:
    interactions = read(tmp_path, user_id=[1] * 4, item_id=["a", "b", "c", "d"], timestamp=[100, 200, 300, 90_000])
    blind = make_benchmark(interactions, leave_one_out, True, NO_QUERY_TIME).test.histories[0]
    assert (blind.at_ms_L.tolist(), blind.as_of_ms) == ([0, 1000, 2000], 3000)
    seeing = make_benchmark(interactions, leave_one_out, True, QUERY_TIME).test.histories[0]
    assert (seeing.at_ms_L.tolist(), seeing.as_of_ms) == ([100_000, 200_000, 300_000], 90_000_000)
    between = make_benchmark(interactions, leave_one_out, True, PAST_TIMES).test.histories[0]
    assert (between.at_ms_L.tolist(), between.as_of_ms) == ([100_000, 200_000, 300_000], 301_000)


def test_the_query_time_track_needs_times(tmp_path: Path) -> None:
    with pytest.raises(ProtocolError, match="query-time needs the time of every event,"):
        make_benchmark(three_users(tmp_path), leave_one_out, True, QUERY_TIME)
    with pytest.raises(ProtocolError, match="needs the time of every event"):
        global_time(three_users(tmp_path))


def test_the_past_times_track_needs_no_time_of_an_answer_and_all_of_the_past(tmp_path: Path) -> None:
    events = {"user_id": [1] * 4, "item_id": ["a", "b", "c", "d"], "position": [0, 1, 2, 3]}
    dated = read(tmp_path / "dated", **events, timestamp=[1, 2, 3, None])
    assert len(make_benchmark(dated, leave_one_out, True, PAST_TIMES).test) == 1
    with pytest.raises(ProtocolError, match="query-time needs"):
        make_benchmark(dated, leave_one_out, True, QUERY_TIME)
    undated = read(tmp_path / "undated", **events, timestamp=[1, None, 3, 4])
    with pytest.raises(ProtocolError, match="past-times needs the time of every event before the test"):
        make_benchmark(undated, leave_one_out, True, PAST_TIMES)


def test_an_answer_that_was_seen_before_is_counted_and_not_asked(tmp_path: Path) -> None:
    interactions = read(
        tmp_path, user_id=[1, 1, 1, 2, 2, 2], item_id=["a", "b", "a", "a", "b", "c"], position=[0, 1, 2, 0, 1, 2]
    )
    benchmark = make_benchmark(interactions, leave_one_out, True, NO_QUERY_TIME)
    assert asked(interactions, benchmark.test) == [(["a", "b"], ["c"])]
    assert counted(benchmark)["test questions whose answer was seen before"] == 1
    again = make_benchmark(interactions, leave_one_out, False, NO_QUERY_TIME)
    assert asked(interactions, again.test) == [(["a", "b"], ["a"]), (["a", "b"], ["c"])]


def test_a_global_split_learns_nothing_from_after_the_cut(tmp_path: Path) -> None:
    # Ten events at times 0 to 9: validation is time 7 (80 %), test is from time 8 on (90 %).
    interactions = read(
        tmp_path,
        user_id=[1, 2, 1, 2, 1, 2, 1, 2, 1, 3],
        item_id=["a", "a", "b", "b", "c", "d", "e", "f", "g", "h"],
        timestamp=list(range(10)),
    )
    benchmark = make_benchmark(interactions, global_time, True, NO_QUERY_TIME)
    assert names(interactions, benchmark.task.train) == [["a", "b", "c", "e"], ["a", "b", "d"], []]
    assert names(interactions, benchmark.task.refit) == [["a", "b", "c", "e"], ["a", "b", "d", "f"], []]
    assert asked(interactions, benchmark.task.validation) == [(["a", "b", "d"], ["f"])]
    assert asked(interactions, benchmark.test) == [(["a", "b", "c", "e"], ["g"])]
    assert counted(benchmark)["test questions without a history"] == 1


def test_what_the_source_holds_back_is_asked_and_validation_is_made_alike(tmp_path: Path) -> None:
    # User 1 keeps another purchase than the last one; user 2 does not, and is not asked in validation.
    interactions = read(
        tmp_path,
        user_id=[1, 1, 1, 1, 1, 2, 2, 2],
        item_id=["a", "b", "b", "c", "d", "a", "b", "d"],
        event=["transaction", "view", "transaction", "view", "transaction", "view", "transaction", "transaction"],
        timestamp=[1, 2, 3, 4, 5, 1, 2, 3],
    )
    held_E = np.isin(interactions.row_E, [4, 7])

    def split(given: Interactions) -> Split:
        return held_back(given, held_E)

    benchmark = make_benchmark(interactions, split, True, NO_QUERY_TIME)
    assert names(interactions, benchmark.task.train) == [["a", "c"], ["a", "b"]]
    assert names(interactions, benchmark.task.refit) == [["a", "b", "b", "c"], ["a", "b"]]
    assert asked(interactions, benchmark.task.validation) == [(["a", "c"], ["b"])]
    assert asked(interactions, benchmark.test) == [(["a", "b", "b", "c"], ["d"]), (["a", "b"], ["d"])]


def test_sessions_are_held_out_whole_and_asked_at_every_place_or_the_last(tmp_path: Path) -> None:
    interactions = read(
        tmp_path, user_id=[1, 1, 2, 2, 3, 3, 3], item_id=["a", "b", "b", "c", "a", "b", "a"], timestamp=list(range(7))
    )
    part_U = np.array([0, 1, 2], np.int32)
    every = make_benchmark(interactions, lambda given: sessions(given, part_U, True), False, NO_QUERY_TIME)
    assert names(interactions, every.task.train) == [["a", "b"], [], []]
    assert asked(interactions, every.test) == [(["a"], ["b"]), (["a", "b"], ["a"])]
    last = make_benchmark(interactions, lambda given: sessions(given, part_U, False), False, NO_QUERY_TIME)
    assert asked(interactions, last.test) == [(["a", "b"], ["a"])]


def test_the_target_hash_changes_with_an_answer_and_not_with_the_order_of_the_file(tmp_path: Path) -> None:
    columns = {"user_id": [1, 1, 1, 2, 2, 2], "item_id": ["a", "b", "c", "b", "c", "d"], "position": [0, 1, 2] * 2}
    turned = {name: cells[::-1] for name, cells in columns.items()}
    other = {**columns, "item_id": ["a", "b", "d", "b", "c", "d"]}
    hashes = [
        make_benchmark(read(tmp_path / str(place), **given), leave_one_out, True, NO_QUERY_TIME).target_hash
        for place, given in enumerate((columns, turned, other))
    ]
    assert hashes[0] == hashes[1] != hashes[2]


def test_a_log_without_a_question_is_refused(tmp_path: Path) -> None:
    interactions = read(tmp_path, user_id=[1, 2], item_id=["a", "b"], position=[0, 0])
    with pytest.raises(ProtocolError, match="0 validation and 0 test questions"):
        make_benchmark(interactions, leave_one_out, True, NO_QUERY_TIME)
