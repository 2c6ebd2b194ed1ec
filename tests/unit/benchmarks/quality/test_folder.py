"""A stranger's folder: what is counted, and what is refused with its address."""

from pathlib import Path
from typing import Any

import pytest

from benchmarks.quality.errors import MissingDataError, ProtocolError
from benchmarks.quality.folder import read_folder
from benchmarks.quality.interactions import Interactions
from services.training.importing.errors import MalformedFileError
from tests.unit.benchmarks.quality.small_log import read, write_folder


def counted(interactions: Interactions) -> dict[str, tuple[int, str]]:
    return {finding.what: (finding.count, finding.first) for finding in interactions.findings}


def test_duplicate_rows_are_counted_once_and_named(tmp_path: Path) -> None:
    interactions = read(tmp_path, user_id=[1, 1, 1, 1], item_id=["a", "b", "a", "a"], timestamp=[1, 2, 1, 3])
    assert counted(interactions) == {"duplicate rows": (1, "interactions.parquet row 3")}
    assert len(interactions.log) == 3


def test_users_with_one_item_or_none_are_counted(tmp_path: Path) -> None:
    interactions = read(
        tmp_path,
        user_id=["ann", "bob", "cyd", "cyd"],
        item_id=["a", "b", "b", "a"],
        position=[0, 0, 0, 1],
        event=["hide", "view", "view", "view"],
    )
    assert counted(interactions) == {
        "events that are no interest": (1, "interactions.parquet row 1"),
        "empty users": (1, "user ann"),
        "one-item users": (1, "user bob"),
    }


def test_times_that_go_backwards_are_counted_and_the_position_counts(tmp_path: Path) -> None:
    interactions = read(
        tmp_path,
        user_id=[1, 1, 1, 2, 2],
        item_id=["a", "b", "c", "a", "b"],
        position=[0, 1, 2, 0, 1],
        timestamp=[100, 300, 200, 5, 6],
    )
    found = counted(interactions)
    assert found == {"times that go backwards against the position": (1, "interactions.parquet row 3")}
    assert interactions.log.events.row_E.tolist() == [0, 1, 2, 0, 1]
    assert interactions.real_ms_E.tolist() == [100_000, 300_000, 300_000, 5_000, 6_000]


def test_unknown_columns_and_items_are_named(tmp_path: Path) -> None:
    items: dict[str, list[Any]] = {
        "item_id": ["a", "z"],
        "category": [["food", "tea"], None],
        "price": [2.5, None],
        "colour": ["red", "blue"],
    }
    folder = write_folder(tmp_path, items, user_id=[1, 1], item_id=["a", "b"], position=[0, 1], mood=["good", "bad"])
    interactions = read_folder(folder, folder)
    assert counted(interactions) == {
        "unknown columns of interactions.parquet": (1, "mood"),
        "unknown columns of items.parquet": (1, "colour"),
        "items that items.parquet does not describe": (1, "item b"),
        "items without an interaction": (1, "item z"),
    }
    tea = interactions.catalogue.items[0]
    assert (tea.item_id, tea.categories, tea.price) == ("a", ("food", "tea"), 2.5)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (
            {"user_id": [1, None], "item_id": ["a", "b"], "position": [0, 1]},
            r"line 2, column 'user_id': expected an id",
        ),
        ({"user_id": [1, 1], "item_id": ["", "b"], "position": [0, 1]}, r"line 1, column 'item_id': expected an id"),
        (
            {"user_id": [1, 1], "item_id": ["a", "b"], "position": [0, -1]},
            r"line 2, column 'position': expected a whole",
        ),
        ({"user_id": [1, 1], "item_id": ["a", "b"], "position": [0.0, None]}, r"line 2, column 'position'"),
        (
            {"user_id": [1, 1], "item_id": ["a", "b"], "timestamp": [None, 5]},
            r"line 1, column 'timestamp': expected a t",
        ),
        ({"user_id": [1, 1], "item_id": ["a", "b"], "timestamp": ["soon", "5"]}, r"line 1, column 'timestamp'"),
        (
            {"user_id": [1, 1], "item_id": ["a", "b"], "position": [0, 1], "event": ["view", "stare"]},
            r"line 2, column 'event': expected an event type",
        ),
        ({"user_id": [1], "position": [0]}, r"column 'item_id': this column is missing"),
        ({"user_id": [1], "item_id": ["a"]}, r"column 'position' or 'timestamp'"),
    ],
)
def test_a_bad_cell_is_refused_with_file_row_and_column(
    tmp_path: Path, columns: dict[str, list[Any]], message: str
) -> None:
    with pytest.raises(MalformedFileError, match=rf"interactions.parquet, {message}"):
        read(tmp_path, **columns)


def test_a_missing_folder_is_named_with_the_variable_that_moves_it(tmp_path: Path) -> None:
    with pytest.raises(MissingDataError, match=r"nowhere/interactions.parquet is missing.*AISLE_DATA_DIR"):
        read_folder(tmp_path / "nowhere", tmp_path)


def test_a_folder_without_interest_in_anything_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ProtocolError, match="holds no interaction"):
        read(tmp_path, user_id=[1], item_id=["a"], position=[0], event=["hide"])
