"""Which column fills which field: flags, a TOML file, and the names that need no mapping."""

from pathlib import Path

import pytest

from services.training.importing.errors import MappingError
from services.training.importing.mapping import ColumnMapping, read_mapping

TOML = """
[interactions]
columns = { user_id = "customer", "context.store" = "branch" }
types = { transaction = "purchase" }
default_type = "view"

[items]
columns = { item_id = "sku", categories = ["department", "aisle"] }
"""


def test_a_toml_file_holds_a_part_for_each_kind(tmp_path: Path) -> None:
    path = tmp_path / "map.toml"
    path.write_text(TOML)
    events = read_mapping(path, "interactions")
    assert events.columns == {"user_id": ("customer",), "context.store": ("branch",)}
    assert (events.types, events.default_type) == ({"transaction": "purchase"}, "view")
    assert read_mapping(path, "items").columns["categories"] == ("department", "aisle")
    assert read_mapping(path, "users").columns == {}


def test_flags_win_over_the_file() -> None:
    mapping = ColumnMapping("interactions", {"user_id": ("a",), "price": ("p",)}, {"x": "view"}, "view")
    changed = mapping.with_flags(["user_id=b"], ["x=click"], None)
    assert changed.columns == {"user_id": ("b",), "price": ("p",)}
    assert (changed.types, changed.default_type) == ({"x": "click"}, "view")
    items = ColumnMapping("items").with_flags(["categories=department,aisle"], [], None)
    assert items.columns["categories"] == ("department", "aisle")


def test_columns_named_like_fields_map_themselves_and_others_are_left_alone() -> None:
    resolved = ColumnMapping("users", {"user_id": ("customer",)}).resolve(
        ["customer", "age", "attributes.income", "note", "user_id"]
    )
    assert resolved == {"user_id": ("customer",), "age": ("age",), "attributes.income": ("attributes.income",)}


def test_a_visitor_is_a_shopper_too() -> None:
    resolved = ColumnMapping("interactions").resolve(["visitor_id", "item_id", "occurred_at"])
    assert set(resolved) == {"visitor_id", "item_id", "occurred_at"}
    with pytest.raises(MappingError, match="user_id or visitor_id"):
        ColumnMapping("interactions").resolve(["item_id", "occurred_at"])


@pytest.mark.parametrize(
    ("flag", "message"),
    [
        ("user=customer", "no field 'user'"),
        ("context.=x", "no field"),
        ("user_id", "expected name=value"),
        ("user_id=", "expected name=value"),
        ("user_id=a,b", "filled by one column"),
    ],
)
def test_a_wrong_flag_is_named(flag: str, message: str) -> None:
    with pytest.raises(MappingError, match=message):
        ColumnMapping("interactions").with_flags([flag], [], None)


def test_a_type_that_is_none_of_ours_is_named() -> None:
    with pytest.raises(MappingError, match="'bought' is no event type; the types are impression"):
        ColumnMapping("interactions").with_flags([], ["transaction=bought"], None)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[interactions", "cannot be read"),
        ("[orders]", r"unknown part \[orders\]"),
        ("[items]\nmap = 1", "unknown key 'map'"),
        ("[items]\ncolumns = { item_id = 5 }", "named by a text"),
        ("[items]\ncolumns = { item_id = [] }", "named by a text"),
    ],
)
def test_a_wrong_toml_file_is_named(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "map.toml"
    path.write_text(content)
    with pytest.raises(MappingError, match=message):
        read_mapping(path, "items")


def test_a_toml_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(MappingError, match=r"gone\.toml cannot be read"):
        read_mapping(tmp_path / "gone.toml", "items")
