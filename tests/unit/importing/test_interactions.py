"""A file of interactions to the columns of the log: shoppers, types, numbers, contexts, and what is refused."""

from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from services.training.importing.errors import MalformedFileError, MappingError
from services.training.importing.event_identity import with_event_ids
from services.training.importing.interactions import TABLE_COLUMNS, ReadEvents, read_interactions
from services.training.importing.mapping import ColumnMapping
from services.training.importing.rejected_rows import rejected_path, write_rejected
from shared.contracts.events import EVENT_TYPE_CODES, EventType

ZONE = ZoneInfo("America/New_York")
HEADER = "user_id,item_id,occurred_at,type"
NOON_MS = int(datetime(2026, 1, 5, 17, tzinfo=UTC).timestamp() * 1000)


def read_csv(tmp_path: Path, content: str, **mapping: object) -> ReadEvents:
    path = tmp_path / "events.csv"
    path.write_text(content)
    return read_interactions(path, ColumnMapping("interactions", **mapping), ZONE)  # type: ignore[arg-type]


def column(read: ReadEvents, name: str) -> list[object]:
    return list(read.table[name].to_pylist())


def test_every_column_of_the_log_is_there_with_nulls_for_what_the_file_lacks(tmp_path: Path) -> None:
    read = read_csv(tmp_path, f"{HEADER}\n7,apple,2026-01-05 12:00:00,purchase\n")
    assert tuple(read.table.column_names) == TABLE_COLUMNS
    assert read.table.to_pylist() == [
        dict.fromkeys(TABLE_COLUMNS)
        | {
            "user_key": "u:7",
            "item_id": "apple",
            "type": EVENT_TYPE_CODES[EventType.PURCHASE],
            "at_ms": NOON_MS,
        }
    ]


def test_a_row_belongs_to_the_account_else_to_the_visitor(tmp_path: Path) -> None:
    header, rest = "user_id,visitor_id,item_id,occurred_at,type", "a,1767632400,view"
    content = f"{header}\n7,c,{rest}\n,c,{rest}\n,,{rest}\n"
    assert column(read_csv(tmp_path, content), "user_key") == ["u:7", "v:c", None]


def test_types_may_have_the_shops_names_segments_names_or_ours(tmp_path: Path) -> None:
    content = f"{HEADER}\n" + "".join(
        f"7,a,1767632400,{name}\n" for name in ("transaction", "Product Added", "View", "add to cart")
    )
    read = read_csv(tmp_path, content, types={"transaction": "purchase"})
    expected = [EventType.PURCHASE, EventType.ADD_TO_CART, EventType.VIEW, EventType.ADD_TO_CART]
    assert column(read, "type") == [EVENT_TYPE_CODES[one] for one in expected]


def test_a_file_without_types_needs_one_for_all(tmp_path: Path) -> None:
    content = "user_id,item_id,occurred_at\n7,a,1767632400\n"
    with pytest.raises(MappingError, match="--default-type"):
        read_csv(tmp_path, content)
    assert column(read_csv(tmp_path, content, default_type="click"), "type") == [EVENT_TYPE_CODES[EventType.CLICK]]


def test_contexts_are_written_once_for_equal_rows_and_coordinates_are_numbers(tmp_path: Path) -> None:
    content = f"{HEADER},branch,lat\n7,a,1767632400,view,12,52.5\n7,b,1767632400,view,12,52.5\n7,c,1767632400,view,,\n"
    columns = {"context.store": ("branch",), "context.latitude": ("lat",)}
    read = read_csv(tmp_path, content, columns=columns)
    assert column(read, "context") == ['{"latitude":52.5,"store":"12"}'] * 2 + [None]


@pytest.mark.parametrize(
    ("cells", "rule"),
    [
        ({"user_id": "x" * 129}, "invalid_identifier"),
        ({"item_id": "a\u200fb"}, "invalid_identifier"),
        ({"order_id": " a"}, "invalid_identifier"),
        ({"price": "1e12"}, "out_of_bounds"),
        ({"quantity": "9999999"}, "out_of_bounds"),
        ({"position": "0"}, "out_of_bounds"),
        ({"currency": "Euro"}, "out_of_bounds"),
    ],
)
def test_what_the_api_would_refuse_is_refused_row_by_row(tmp_path: Path, cells: dict[str, str], rule: str) -> None:
    row = {"user_id": "7", "item_id": "a", "occurred_at": "1767632400", "type": "view"}
    names = list(row | cells)
    lines = [",".join(names)] + [",".join(one.get(name, "") for name in names) for one in (row, row | cells, row)]
    read = read_csv(tmp_path, "\n".join(lines))
    assert read.refused == ((1, rule),)
    assert read.row_E.tolist() == [0, 2]
    assert len(read.table) == 2


@pytest.mark.parametrize(
    ("column_name", "cell", "message"),
    [
        ("price", "cheap", "expected a number"),
        ("quantity", "1,5", "expected a number"),
        ("occurred_at", "yesterday", "expected a time"),
        ("type", "browsed", "expected an event type"),
        ("type", "", "expected an event type"),
    ],
)
def test_a_cell_that_cannot_be_read_is_named_with_line_and_column(
    tmp_path: Path, column_name: str, cell: str, message: str
) -> None:
    row = {"user_id": "7", "item_id": "a", "occurred_at": "1767632400", "type": "view", "price": "1", "quantity": "1"}
    bad = row | {column_name: f'"{cell}"'}
    content = "\n".join(",".join(one) for one in (row, row.values(), bad.values()))
    with pytest.raises(MalformedFileError, match=message) as refused:
        read_csv(tmp_path, content)
    assert (refused.value.line, refused.value.column) == (3, repr(column_name))


def test_parquet_columns_of_every_usual_type_are_read(tmp_path: Path) -> None:
    path = tmp_path / "events.parquet"
    moment = datetime(2026, 1, 5, 12)
    table = pa.table(
        {
            "user_id": pa.array([7, None], pa.int32()),
            "item_id": pa.array([1.0, 2.0]),
            "occurred_at": pa.array([moment, None], pa.timestamp("ns")),
            "type": pa.array(["view", "view"]).dictionary_encode(),
            "price": pa.array([1, 2], pa.decimal128(6, 2)),
            "quantity": pa.array([None, None]),
        }
    )
    pq.write_table(table, path)
    read = read_interactions(path, ColumnMapping("interactions"), ZONE)
    assert column(read, "user_key") == ["u:7", None]
    assert column(read, "item_id") == ["1", "2"]
    assert column(read, "at_ms") == [NOON_MS, None]
    assert column(read, "price") == [1.0, 2.0]
    assert column(read, "quantity") == [None, None]


def test_parquet_dictionaries_with_unsigned_codes_are_read(tmp_path: Path) -> None:
    path = tmp_path / "events.parquet"
    words = pa.DictionaryArray.from_arrays(pa.array([0, None, 1], pa.uint8()), pa.array(["a", "b"]))
    kinds = pa.DictionaryArray.from_arrays(pa.array([0, 0, 0], pa.uint8()), pa.array(["view"]))
    table = {"user_id": words, "item_id": words, "type": kinds, "occurred_at": [1.0e9] * 3, "context.store": words}
    pq.write_table(pa.table(table), path)
    read = read_interactions(path, ColumnMapping("interactions"), ZONE)
    assert column(read, "user_key") == ["u:a", None, "u:b"]
    assert column(read, "context") == ['{"store":"a"}', None, '{"store":"b"}']


def test_whole_numbers_that_pandas_wrote_with_a_fraction_are_the_shops_own_ids(tmp_path: Path) -> None:
    read = read_csv(tmp_path, f"{HEADER}\n17850.0,1.0,1767632400,view\n,2.5,1767632400,view\n")
    assert column(read, "user_key") == ["u:17850", None]
    assert column(read, "item_id") == ["1.0", "2.5"]


def test_parquet_times_with_a_zone_keep_it(tmp_path: Path) -> None:
    path = tmp_path / "events.parquet"
    moments = pa.array([datetime(2026, 1, 5, 17, tzinfo=UTC)], pa.timestamp("us", "UTC"))
    pq.write_table(pa.table({"user_id": [1], "item_id": [1], "type": ["view"], "occurred_at": moments}), path)
    assert column(read_interactions(path, ColumnMapping("interactions"), ZONE), "at_ms") == [NOON_MS]


def test_json_lines_are_read_like_the_others(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_text(
        '{"user_id": 7, "item_id": "a", "occurred_at": "2026-01-05T12:00:00", "type": "view", "price": 1}\n'
    )
    read = read_interactions(path, ColumnMapping("interactions"), ZONE)
    assert (column(read, "user_key"), column(read, "at_ms"), column(read, "price")) == (["u:7"], [NOON_MS], [1.0])


def test_a_nested_cell_where_one_value_belongs_is_named(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_text('{"user_id": 7, "item_id": ["a"], "occurred_at": 1767632400, "type": "view"}\n')
    with pytest.raises(MalformedFileError, match="one value a cell"):
        read_interactions(path, ColumnMapping("interactions"), ZONE)


def test_an_empty_file_holds_no_interactions(tmp_path: Path) -> None:
    assert len(read_csv(tmp_path, f"{HEADER}\n").table) == 0


ROWS = "".join(
    f"{row}\n"
    for row in (
        "7,a,1767632400,purchase",
        "7,b,1767632400,purchase",
        "8,a,1767632400,purchase",
        "7,,1767632400,search",
        "7,,1767632400,search",
    )
)


def test_made_ids_are_distinct_and_the_same_in_every_run(tmp_path: Path) -> None:
    once, twice = (with_event_ids(read_csv(tmp_path, f"{HEADER}\n{ROWS}").table) for _ in range(2))
    ids = once["event_id"].to_pylist()
    assert ids == twice["event_id"].to_pylist()
    assert len(set(ids)) == len(ids)


def test_a_made_id_depends_neither_on_the_order_of_rows_nor_on_the_price(tmp_path: Path) -> None:
    plain = with_event_ids(read_csv(tmp_path, f"{HEADER}\n{ROWS}").table)
    rows = "".join(f"{row},9.5\n" for row in reversed(ROWS.splitlines()))
    other = with_event_ids(read_csv(tmp_path, f"{HEADER},price\n{rows}").table)
    assert set(plain["event_id"].to_pylist()) == set(other["event_id"].to_pylist())


def test_ids_of_the_shop_stay_and_only_missing_ones_are_made(tmp_path: Path) -> None:
    content = f"event_id,{HEADER}\nmine,7,a,1767632400,view\n,7,b,1767632400,view\n"
    ids = with_event_ids(read_csv(tmp_path, content).table)["event_id"].to_pylist()
    assert ids[0] == "mine"
    assert ids[1].startswith("i-")


def test_rejected_rows_are_written_with_line_and_reason_and_an_old_file_is_removed(tmp_path: Path) -> None:
    read = read_csv(tmp_path, f"{HEADER}\n7,a,1767632400,view\n7,b,1767632400,view\n")
    target = rejected_path(read.raw.path, None)
    assert target == tmp_path / "events.rejected.jsonl"
    assert write_rejected(read.raw, [(1, "because")], target) == target
    assert target.read_text() == (
        '{"line":3,"reason":"because","row":{"user_id":"7","item_id":"b","occurred_at":"1767632400","type":"view"}}\n'
    )
    assert write_rejected(read.raw, [], target) is None
    assert not target.exists()
