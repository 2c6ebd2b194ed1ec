"""Files of products and shoppers to items and accounts."""

from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from services.training.importing.errors import MalformedFileError
from services.training.importing.items import read_items
from services.training.importing.mapping import ColumnMapping
from services.training.importing.records import Records, rule_of
from services.training.importing.users import read_users
from shared.contracts.users import Consent, User
from shared.features.catalogue import CatalogueItem

ZONE = ZoneInfo("America/New_York")


def items_of(
    tmp_path: Path, content: str, name: str = "items.csv", **columns: tuple[str, ...]
) -> Records[CatalogueItem]:
    path = tmp_path / name
    path.write_text(content)
    return read_items(path, ColumnMapping("items", columns), ZONE)[1]


def users_of(tmp_path: Path, content: str) -> Records[User]:
    path = tmp_path / "users.csv"
    path.write_text(content)
    return read_users(path, ColumnMapping("users"))[1]


def test_all_fields_of_an_item_are_read(tmp_path: Path) -> None:
    header = (
        "item_id,title,description,categories,brand,price,currency,stock,rating,image_url,created_at,attributes.size"
    )
    row = "7,Tea,Green,GROCERY > TEA,Mill,3.50,USD,12,4.5,https://x/t.png,2026-01-05 12:00:00,XL"
    item = items_of(tmp_path, f"{header}\n{row}\n").good[0]
    assert item == CatalogueItem(
        "7",
        True,
        "Tea",
        "Green",
        ("GROCERY", "TEA"),
        "Mill",
        3.5,
        "USD",
        12,
        4.5,
        {"size": "XL"},
        "https://x/t.png",
        created_at=datetime(2026, 1, 5, 17, tzinfo=UTC),
    )


def test_an_item_needs_nothing_but_its_id(tmp_path: Path) -> None:
    assert items_of(tmp_path, "item_id,title\na,\n").good == [CatalogueItem("a")]


@pytest.mark.parametrize(("ids", "is_integer"), [("1\n2", True), ("1\n02", False), ("1\na", False), ("0\n-5", True)])
def test_csv_ids_are_integers_when_all_are_written_like_integers(tmp_path: Path, ids: str, is_integer: bool) -> None:
    assert {item.is_integer for item in items_of(tmp_path, f"item_id\n{ids}\n").good} == {is_integer}


def test_json_ids_are_integers_when_they_are(tmp_path: Path) -> None:
    assert items_of(tmp_path, '{"item_id": 1}\n', "a.jsonl").good[0].is_integer
    assert not items_of(tmp_path, '{"item_id": "1"}\n', "b.jsonl").good[0].is_integer


def test_a_path_may_be_a_list_several_columns_or_one_text(tmp_path: Path) -> None:
    listed = items_of(tmp_path, '{"item_id": 1, "categories": ["a", "b"]}\n{"item_id": 2}\n', "a.jsonl")
    assert [item.categories for item in listed.good] == [("a", "b"), ()]
    columns = items_of(tmp_path, "item_id,one,two\n1,a,b\n2,a,\n", categories=("one", "two"))
    assert [item.categories for item in columns.good] == [("a", "b"), ("a",)]
    text = items_of(tmp_path, "item_id,categories\n1,a > b|c\n2,\n")
    assert [item.categories for item in text.good] == [("a", "b", "c"), ()]


def test_attributes_of_csv_are_numbers_when_the_whole_column_is(tmp_path: Path) -> None:
    content = "item_id,attributes.grams,attributes.depth,attributes.code\n1,500,1.5,1\n2,,2,a\n"
    assert [item.attributes for item in items_of(tmp_path, content).good] == [
        {"grams": 500, "depth": 1.5, "code": "1"},
        {"depth": 2.0, "code": "a"},
    ]


def test_rows_that_are_no_items_are_rejected_with_their_reason(tmp_path: Path) -> None:
    content = "item_id,price,stock\n1,5,1\n,5,1\n2,-5,1\n3,5,1.5\n1,6,1\n"
    records = items_of(tmp_path, content)
    assert [(item.item_id, item.price) for item in records.good] == [("1", 6.0)]
    assert [(row, rule_of(reason)) for row, reason in sorted(records.rejected)] == [
        (0, "replaced"),
        (1, "missing_id"),
        (2, "invalid_field"),
        (3, "invalid_field"),
    ]
    assert dict(records.rejected)[2].startswith("invalid_field: price: ")


def test_a_price_that_is_no_number_is_named_with_its_line(tmp_path: Path) -> None:
    with pytest.raises(MalformedFileError, match="line 3, column 'price': expected a number"):
        items_of(tmp_path, "item_id,price\n1,5\n2,cheap\n")


def test_all_fields_of_a_shopper_are_read(tmp_path: Path) -> None:
    content = "user_id,age,gender,region,personalisation,attributes.kids\n7,34,F,North,no,2\n8,,,,yes,\n9,,,,,\n"
    assert users_of(tmp_path, content).good == [
        User(
            user_id="7",
            age=34,
            gender="F",
            region="North",
            consent=Consent(personalisation=False),
            attributes={"kids": "2"},
        ),
        User(user_id="8", consent=Consent(personalisation=True)),
        User(user_id="9"),
    ]


def test_rows_that_are_no_shoppers_are_rejected_with_their_reason(tmp_path: Path) -> None:
    records = users_of(
        tmp_path, "user_id,age,personalisation\n7,200,yes\n8,20,perhaps\n,20,yes\n" + "x" * 129 + ",20,yes\n"
    )
    assert records.good == []
    assert [rule_of(reason) for _, reason in records.rejected] == [
        "invalid_field",
        "invalid_field",
        "missing_id",
        "invalid_identifier",
    ]


def test_attributes_of_shoppers_become_text(tmp_path: Path) -> None:
    path = tmp_path / "users.parquet"
    pq.write_table(pa.table({"user_id": [1], "attributes.kids": [2], "attributes.club": [True]}), path)
    assert read_users(path, ColumnMapping("users"))[1].good[0].attributes == {"kids": "2", "club": "true"}
