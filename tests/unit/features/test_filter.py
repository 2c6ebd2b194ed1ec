"""The filter language: what it lets through, on columns and on single items alike, and where it says no."""

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from shared.features.catalogue import Catalogue, CatalogueItem
from shared.features.filter import FilterError, parse_filter
from shared.features.filter_syntax import FIELDS, MAX_LENGTH
from tests.unit.features.example_shop import NOW_MS

NOW = datetime.fromtimestamp(NOW_MS / 1000, UTC)

ITEMS = (
    CatalogueItem("1", True, title="Red Shoe", categories=("shoes", "running"), brand="X", price=49.99, stock=3),
    CatalogueItem("2", True, title="Blue shoe", categories=("shoes",), brand="Y", price=50.0, stock=0, currency="EUR"),
    CatalogueItem(
        "a-3",
        title='The "best" hat',
        categories=("hats",),
        price=0.1,
        rating=4.5,
        attributes={"colour": "red", "sizes": ["S", "M"], "organic": True, "weight": 1.5, "long name": "x"},
        created_at=NOW - timedelta(days=3),
    ),
    CatalogueItem("4", True, attributes={"colour": ["blue", "red"], "organic": False, "weight": 1}, created_at=NOW),
    CatalogueItem(
        "5", True, title="", brand="", price=0.0, rating=0.0, stock=1, attributes={"organic": 1, "nested": {}}
    ),
)


def as_fields(item: CatalogueItem) -> dict[str, Any]:
    return {
        "item_id": int(item.item_id) if item.is_integer else item.item_id,
        "title": item.title,
        "categories": list(item.categories),
        "brand": item.brand,
        "price": item.price,
        "currency": item.currency,
        "stock": item.stock,
        "rating": item.rating,
        "attributes": item.attributes,
        "created_at": item.created_at.isoformat() if item.created_at else None,
    }


def passing(text: str, items: tuple[CatalogueItem, ...] = ITEMS) -> list[str]:
    """Return the ids that pass, after checking that both ways agree."""
    parsed, catalogue = parse_filter(text), Catalogue(items)
    mask = parsed.mask(catalogue, np.arange(len(items), dtype=np.int32), NOW_MS)
    assert mask.tolist() == [parsed.matches(as_fields(item), NOW_MS) for item in items]
    return [item.item_id for item, passes in zip(items, mask, strict=True) if passes]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("in_stock", ["1", "a-3", "4", "5"]),
        ("not in_stock", ["2"]),
        ("in_stock == false", ["2"]),
        ('in_stock and price <= 50 and category in ["shoes"] and not brand in ["X"]', []),
        ('price <= 50 and category in ["shoes"] and not brand in ["X"]', ["2"]),
        ("price < 50", ["1", "a-3", "5"]),
        ("price == 0.1", ["a-3"]),
        ("price == 49.99", ["1"]),
        ("price != 50", ["1", "a-3", "4", "5"]),
        ("price in [50, 0.1]", ["2", "a-3"]),
        ("price in []", []),
        ("price not in [50]", ["1", "a-3", "4", "5"]),
        ("stock >= 1", ["1", "5"]),
        ("stock == 0", ["2"]),
        ("rating > 4", ["a-3"]),
        ("rating >= 0", ["a-3", "5"]),
        ('category == "running"', ["1"]),
        ('categories == "shoes"', ["1", "2"]),
        ('category != "shoes"', ["a-3", "4", "5"]),
        ('category contains "SHO"', ["1", "2"]),
        ('brand == "x"', []),
        ("brand in ['X', 'Y']", ["1", "2"]),
        ('brand == ""', []),
        ('brand contains "x"', ["1"]),
        ('title contains "SHOE"', ["1", "2"]),
        (r'title contains "\"best\""', ["a-3"]),
        ('title == "Red Shoe"', ["1"]),
        ("item_id in [1, '2', \"a-3\"]", ["1", "2", "a-3"]),
        ("item_id == 4", ["4"]),
        ("item_id contains '-'", ["a-3"]),
        ('currency == "EUR"', ["2"]),
        ('attributes.colour == "red"', ["a-3", "4"]),
        ('attributes.colour in ["blue", "green"]', ["4"]),
        ('attributes.sizes contains "m"', ["a-3"]),
        ("attributes.organic == true", ["a-3"]),
        ("attributes.organic == 1", ["5"]),
        ("attributes.weight >= 1.5", ["a-3"]),
        ('attributes["long name"] == "x"', ["a-3"]),
        ("attributes.nowhere == 1", []),
        ("attributes.nowhere != 1", ["1", "2", "a-3", "4", "5"]),
        ('attributes.nested == "x"', []),
        ("created_at > now-2d", ["4"]),
        ("created_at >= now - 96h", ["a-3", "4"]),
        ("created_at <= now", ["a-3", "4"]),
        ('created_at < "2020-01-01"', []),
        (f"created_at == {NOW_MS}", ["4"]),
        ("price < 1 or stock > 2 and rating > 4", ["a-3", "5"]),
        ("(price < 1 or stock > 2) and rating > 4", ["a-3"]),
        ("not not (in_stock)", ["1", "a-3", "4", "5"]),
        ("price<50and stock>0", None),
    ],
)
def test_a_filter_lets_through_what_it_says(text: str, expected: list[str] | None) -> None:
    if expected is None:
        with pytest.raises(FilterError):
            parse_filter(text)
    else:
        assert passing(text) == expected


@pytest.mark.parametrize(
    ("text", "column"),
    [
        ("", 1),
        ("prise < 5", 1),
        ("price", 6),
        ("price <", 8),
        ("price < 'x'", 9),
        ("price < 5 and", 14),
        ("price < 5 stock > 1", 11),
        ("price ~ 5", 7),
        ("(price < 5", 11),
        ("price < 5)", 10),
        ("price in 5", 10),
        ("price in [5", 12),
        ("price in [5 6]", 13),
        ("price in [5,", 13),
        ("price not 5", 11),
        ("brand < 'x'", 7),
        ("brand == 'x", 10),
        ("brand == x", 10),
        ("brand == true", 10),
        ("price contains 'x'", 7),
        ("in_stock == 1", 13),
        ("in_stock < true", 10),
        ("created_at > 'yesterday'", 14),
        ("created_at > now-2w", 17),
        ("price < 1e400", 9),
        ("price < 5€", 10),
        ("attributes[true]", 12),
        ("attributes. == 5", 11),
        ("attributes == 5", 12),
        ("attributes.x", 13),
        ("attributes.x < 'a'", 16),
        ("__import__('os')", 1),
        ("price < 5 and not", 18),
        ("(" * 40 + "in_stock" + ")" * 40, 33),
        ("not " * 40 + "in_stock", 129),
        ("price < 1 or " * 400 + "in_stock", MAX_LENGTH + 1),
        ("item_id in [" + ",".join(["1"] * 1001) + "]", 12 + 2 * 1000 + 1),
    ],
)
def test_a_text_that_is_no_filter_is_refused_with_its_column(text: str, column: int) -> None:
    with pytest.raises(FilterError) as refused:
        parse_filter(text)
    assert refused.value.column == column
    assert f"column {column}" in str(refused.value)


def test_an_error_never_echoes_the_text() -> None:
    with pytest.raises(FilterError) as refused:
        parse_filter("secret == 5")
    assert "secret" not in str(refused.value)


def test_a_changed_attribute_and_a_new_item_are_seen_by_a_filter_used_before() -> None:
    catalogue, red = Catalogue(ITEMS), parse_filter('attributes.colour == "red"')
    rows = np.arange(len(ITEMS), dtype=np.int32)
    assert red.mask(catalogue, rows, NOW_MS).sum() == 2
    catalogue.upsert([CatalogueItem("1", True, attributes={"colour": "red"}), CatalogueItem("a-3")])
    catalogue.upsert(CatalogueItem(f"new {number}", attributes={"colour": "red"}) for number in range(1500))
    assert red.mask(catalogue, np.arange(len(catalogue), dtype=np.int32), NOW_MS).sum() == 2 + 1500


def test_only_the_rows_asked_for_are_answered_in_their_order() -> None:
    catalogue = Catalogue(ITEMS)
    mask = parse_filter("price >= 50").mask(catalogue, np.array([1, 0, 1], np.int32), NOW_MS)
    assert mask.tolist() == [True, False, True]


NUMBER = st.sampled_from(["0", "1", "3", "49.99", "50", "-1", "4.5"])
TEXT = st.sampled_from(["'shoes'", "'X'", "'red'", "'1'", "'hats'", "''", "'Red Shoe'"])
ORDERED = st.sampled_from(["==", "!=", "<", "<=", ">", ">="])
NUMERIC = st.builds(
    lambda field, operator, value: f"{field} {operator} {value}",
    st.sampled_from(["price", "stock", "rating", "attributes.weight", "created_at"]),
    ORDERED,
    NUMBER,
)
TEXTUAL = st.builds(
    lambda field, operator, value: f"{field} {operator} {value}",
    st.sampled_from(["category", "brand", "title", "item_id", "currency", "attributes.colour"]),
    st.sampled_from(["==", "!=", "contains"]),
    TEXT,
)
LISTED = st.builds(
    lambda field, operator, values: f"{field} {operator} [{', '.join(values)}]",
    st.sampled_from(["category", "brand", "item_id", "attributes.organic", "attributes.sizes"]),
    st.sampled_from(["in", "not in"]),
    st.lists(TEXT, max_size=3),
)
FILTERS = st.recursive(
    st.one_of(st.just("in_stock"), NUMERIC, TEXTUAL, LISTED),
    lambda inner: st.one_of(
        st.builds(lambda a, b: f"({a} and {b})", inner, inner),
        st.builds(lambda a, b: f"({a} or {b})", inner, inner),
        st.builds(lambda a: f"not ({a})", inner),
    ),
    max_leaves=6,
)


@given(FILTERS)
def test_columns_and_single_items_always_agree(text: str) -> None:
    passing(text)


@given(FILTERS, FILTERS)
def test_the_laws_of_logic_hold_also_for_unknown_values(one: str, other: str) -> None:
    assert passing(f"not ({one} and {other})") == passing(f"not ({one}) or not ({other})")
    assert passing(f"not ({one} or {other})") == passing(f"not ({one}) and not ({other})")
    assert passing(f"{one} and {other}") == passing(f"{other} and {one}")
    everything = [item.item_id for item in ITEMS]
    assert passing(f"({one}) or not ({one})") == everything


@given(st.text(alphabet=st.sampled_from(sorted(set("priceink_t()[]<>=!,.'\"\\ 05now-dh~é\n"))), max_size=60))
@example("'\\")
@example("now")
def test_any_text_is_a_filter_or_refused_with_a_column_inside_it(text: str) -> None:
    assert 1 <= refused_column(text) <= len(text) + 1


@given(st.sampled_from(sorted(FIELDS)), st.text(max_size=20))
def test_free_text_after_a_field_never_raises_anything_else(field: str, rest: str) -> None:
    assert refused_column(f"{field} {rest}") >= 1


def refused_column(text: str) -> int:
    """Return the column of a refusal, 1 for a text that is a filter."""
    try:
        parse_filter(text)
    except FilterError as refused:
        return refused.column
    return 1
