"""Files of a shop as columns, and the place named where a file is malformed."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from services.training.importing.errors import MalformedFileError, MappingError
from services.training.importing.mapping import ColumnMapping
from services.training.importing.raw_table import RawTable
from services.training.importing.readers import read_mapped

ITEMS = ColumnMapping("items")


def written(tmp_path: Path, name: str, content: str | bytes) -> Path:
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def read(path: Path) -> RawTable:
    return read_mapped(path, ITEMS)[0]


def cells(raw: RawTable) -> dict[str, list[object]]:
    return {name: column.to_pylist() for name, column in raw.columns.items()}


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_csv_is_read_whatever_separates_its_cells(tmp_path: Path, delimiter: str) -> None:
    rows = [["item_id", "title", "colour"], ["1", '"a, b; c"', "red"], ["2", "", "blue"]]
    path = written(tmp_path, "items.csv", "\n".join(delimiter.join(row) for row in rows))
    raw = read(path)
    assert cells(raw) == {"item_id": ["1", "2"], "title": ["a, b; c", None]}
    assert not raw.is_typed


def test_csv_may_start_with_a_byte_order_mark(tmp_path: Path) -> None:
    assert cells(read(written(tmp_path, "items.csv", "\ufeffitem_id,title\n1,tea\n"))) == {
        "item_id": ["1"],
        "title": ["tea"],
    }


def test_lines_of_csv_rows_count_line_ends_inside_cells_and_empty_lines(tmp_path: Path) -> None:
    raw = read(written(tmp_path, "items.csv", 'item_id,title\n1,"two\nlines"\n\n2,tea\n3,cup\n'))
    assert raw.lines_of([0, 1, 2]) == [2, 5, 6]
    assert raw.lines_of([2]) == [6]


def test_json_lines_are_read_with_nested_and_absent_fields(tmp_path: Path) -> None:
    path = written(tmp_path, "items.jsonl", '{"item_id": 1, "names": {"en": "tea"}}\n\n{"item_id": 2, "price": 1.5}\n')
    raw, _ = read_mapped(path, ColumnMapping("items", {"title": ("names.en",)}))
    assert cells(raw) == {"item_id": [1, 2], "names.en": ["tea", None], "price": [None, 1.5]}
    assert raw.lines_of([0, 1]) == [1, 3]


def test_an_event_with_several_items_is_a_row_for_each_under_the_ids_that_the_gateway_gives(tmp_path: Path) -> None:
    basket = '{"event_id": "e", "user_id": 1, "items": [{"item_id": 7, "price": 2.5}, {"item_id": 8, "quantity": 3}]}'
    single = '{"event_id": "f", "user_id": 1, "items": [{"item_id": 9}]}'
    path = written(tmp_path, "events.jsonl", f"{basket}\n{single}\n")
    raw, _ = read_mapped(path, ColumnMapping("interactions", {"occurred_at": ("event_id",)}))
    assert cells(raw) == {
        "event_id": ["e#1", "e#2", "f"],
        "user_id": [1, 1, 1],
        "item_id": [7, 8, 9],
        "price": [2.5, None, None],
        "quantity": [None, 3, None],
    }
    assert raw.lines_of([0, 1, 2]) == [1, 1, 2]


def test_a_mixed_json_column_becomes_text(tmp_path: Path) -> None:
    path = written(tmp_path, "items.jsonl", '{"item_id": 1}\n{"item_id": "a"}\n{"item_id": true}\n')
    assert cells(read(path)) == {"item_id": ["1", "a", "true"]}


def test_parquet_keeps_its_types_and_reads_mapped_columns_only(tmp_path: Path) -> None:
    path = tmp_path / "items.parquet"
    pq.write_table(pa.table({"item_id": [1, 2], "title": ["a", None], "other": [0, 0]}), path)
    raw = read(path)
    assert cells(raw) == {"item_id": [1, 2], "title": ["a", None]}
    assert (raw.is_typed, raw.lines_of([1])) == (True, [2])


@pytest.mark.parametrize(
    ("name", "content", "line", "column"),
    [
        ("a.csv", "item_id,title\n1,tea\n2,cup,5\n", 3, 3),
        ("a.csv", "item_id,title,price\n1,tea\n", 2, 3),
        ("a.csv", 'item_id,title\n1,tea\n2,"cup\n3,pot\n', 3, 1),
        ("a.csv", b"item_id,title\n1,t\xffa\n", 2, 4),
        ("a.csv", b"item_id,t\xff\n", 1, 10),
        ("a.csv", "item_id,title,item_id\n1,tea,1\n", 1, 3),
        ("a.csv", "", 1, 1),
        ("a.jsonl", '{"item_id": 1}\n{"item_id": 2,}\n', 2, 14),
        ("a.jsonl", '{"item_id": 1}\n[1]\n', 2, 1),
        ("a.jsonl", '{"item_id": 1\n', 1, 14),
        ("a.parquet", "PAR1 not really", None, None),
        ("a.xlsx", "", None, None),
    ],
)
def test_a_malformed_file_is_named_with_line_and_column(
    tmp_path: Path, name: str, content: str | bytes, line: int | None, column: int | None
) -> None:
    path = written(tmp_path, name, content)
    with pytest.raises(MalformedFileError) as refused:
        read(path)
    assert (refused.value.path, refused.value.line, refused.value.column) == (path, line, column)
    assert str(path) in str(refused.value)


def test_a_damaged_parquet_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "items.parquet"
    pq.write_table(pa.table({"item_id": list(range(1000))}), path)
    content = bytearray(path.read_bytes())
    content[4:200] = b"\xff" * 196
    path.write_bytes(content)
    with pytest.raises(MalformedFileError, match=r"items\.parquet"):
        read(path)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(MalformedFileError, match="no such file"):
        read(tmp_path / "items.csv")


def test_a_file_without_a_column_it_needs_says_which_flag_would_help(tmp_path: Path) -> None:
    with pytest.raises(MappingError, match=r"--map item_id=<column>; the file has sku, title"):
        read(written(tmp_path, "items.csv", "sku,title\n1,tea\n"))


def test_a_mapped_column_that_the_file_lacks_is_named(tmp_path: Path) -> None:
    path = written(tmp_path, "items.csv", "sku,title\n1,tea\n")
    with pytest.raises(MappingError, match="no column 'id' for item_id"):
        read_mapped(path, ColumnMapping("items", {"item_id": ("id",)}))
