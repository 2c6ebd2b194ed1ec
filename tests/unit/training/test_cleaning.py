"""The cleaning rules: each strikes what it names, is counted, and no row is ever lost in silence."""

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.training.examples.cleaning import RULES, Cleaned, CleaningLimits, clean
from shared.contracts.events import EVENT_TYPE_CODES, EventType

NOW_MS = 1_760_000_000_000
HOUR_MS = 3_600_000
TYPES = {
    "user_key": pa.string(),
    "item_id": pa.string(),
    "type": pa.int8(),
    "at_ms": pa.int64(),
    "quantity": pa.float32(),
    "price": pa.float32(),
    "order_id": pa.string(),
}


def row(number: int = 0, **changed: Any) -> dict[str, Any]:
    plain = {
        "user_key": "u:1",
        "item_id": "apple",
        "type": EVENT_TYPE_CODES[EventType.PURCHASE],
        "at_ms": NOW_MS - HOUR_MS - number * 1000,
        "quantity": 1.0,
        "price": 2.0,
        "order_id": None,
    }
    return plain | changed


def table(*rows: dict[str, Any]) -> Any:
    return pa.table({name: pa.array([one[name] for one in rows], kind) for name, kind in TYPES.items()})


def cleaned(*rows: dict[str, Any], **options: Any) -> Cleaned:
    return clean(table(*rows), **{"now_ms": NOW_MS, "known_items": {"apple", "bread", "fuel"}} | options)


def struck(result: Cleaned) -> dict[str, int]:
    return {one.rule: one.rows for one in result.report.rules if one.rows}


def test_good_rows_pass_unchanged_and_every_rule_is_listed() -> None:
    rows = [row(1), row(2, item_id="bread", price=None), row(3, type=EVENT_TYPE_CODES[EventType.SEARCH], item_id=None)]
    result = cleaned(*rows)
    assert result.kept.equals(table(*rows))
    assert [one.rule for one in result.report.rules] == list(RULES)
    assert (struck(result), result.report.rows_read, result.report.rows_kept) == ({}, 3, 3)


@pytest.mark.parametrize(
    ("rule", "changed"),
    [
        ("missing_user", {"user_key": None}),
        ("missing_user", {"user_key": ""}),
        ("missing_item", {"item_id": None}),
        ("missing_time", {"at_ms": None}),
        ("implausible_time", {"at_ms": 5}),
        ("implausible_time", {"at_ms": NOW_MS + HOUR_MS}),
        ("quantity_not_positive", {"quantity": 0.0}),
        ("quantity_not_positive", {"quantity": -1.0}),
        ("negative_price", {"price": -0.5}),
        ("unknown_item", {"item_id": "never heard of"}),
    ],
)
def test_a_broken_row_is_rejected_under_the_name_of_its_rule(rule: str, changed: dict[str, Any]) -> None:
    result = cleaned(row(1), row(2, **changed), row(3))
    assert struck(result) == {rule: 1}
    assert result.kept.equals(table(row(1), row(3)))
    assert result.rejected.drop_columns("reason").equals(table(row(2, **changed)))
    assert (result.rejected["reason"].to_pylist(), result.rejected_row.tolist()) == ([rule], [1])


def test_a_missing_quantity_is_one() -> None:
    result = cleaned(row(quantity=None))
    assert (struck(result), result.kept["quantity"].to_pylist()) == ({"missing_quantity": 1}, [1.0])


def test_a_view_needs_no_quantity() -> None:
    result = cleaned(row(quantity=None, type=EVENT_TYPE_CODES[EventType.VIEW]))
    assert (struck(result), result.kept["quantity"].to_pylist()) == ({}, [1.0])


def test_a_doubled_row_is_kept_once_and_a_second_order_is_no_double() -> None:
    result = cleaned(
        row(), row(), row(order_id="a"), row(order_id="b"), row(order_id="b"), row(type=1), row(item_id="bread")
    )
    assert struck(result) == {"duplicate": 2}
    assert result.rejected_row.tolist() == [1, 4]


def test_a_doubled_event_id_is_kept_once_whatever_else_differs() -> None:
    events = table(row(1), row(2), row(3), row(4)).append_column("event_id", pa.array(["a", "a", None, None]))
    assert clean(events).rejected_row.tolist() == [1]


def test_two_searches_of_one_moment_are_two() -> None:
    search = row(type=EVENT_TYPE_CODES[EventType.SEARCH], item_id=None)
    assert struck(cleaned(search, search)) == {}


def test_an_item_sold_in_thousandths_becomes_one_piece_at_the_price_of_the_line() -> None:
    fuel = [row(n, item_id="fuel", quantity=10_000.0 + n, price=0.0025) for n in range(5)]
    result = cleaned(*fuel, row(9, item_id="fuel", quantity=50.0, price=0.0025), row(10))
    assert struck(result) == {"measured_quantity": 6}
    assert result.kept["quantity"].to_pylist() == [1.0] * 7
    assert result.kept["price"].to_pylist()[:1] == pytest.approx([25.0])


def test_a_quantity_far_above_the_items_usual_one_becomes_the_usual_one() -> None:
    result = cleaned(*[row(n, quantity=2.0) for n in range(5)], row(6, quantity=500.0), row(7, quantity=90.0))
    assert struck(result) == {"quantity_outlier": 1}
    assert result.kept["quantity"].to_pylist() == [2.0] * 6 + [90.0]


def test_a_price_far_from_the_items_usual_one_becomes_unknown_and_a_gift_stays() -> None:
    usual = [row(n, price=2.0) for n in range(10)]
    result = cleaned(*usual, row(11, price=99.0), row(12, price=0.01), row(13, price=0.0), row(14, price=30.0))
    assert struck(result) == {"price_outlier": 2}
    assert result.kept["price"].to_pylist()[10:] == [None, None, 0.0, 30.0]


def test_an_item_seen_a_few_times_has_no_usual_price() -> None:
    assert struck(cleaned(row(1, price=1.0), row(2, price=1.0), row(3, price=500.0))) == {}


def humans(count: int = 50) -> list[dict[str, Any]]:
    return [row(n, user_key=f"u:human {n % 10}", type=1) for n in range(count)]


def test_a_shopper_far_faster_than_all_others_is_a_bot_and_loses_every_event() -> None:
    bot = [row(n, user_key="u:bot", type=1) for n in range(700)]
    old = row(10**7, user_key="u:bot")
    result = cleaned(*humans(), *bot, old)
    assert struck(result) == {"bot_like_user": 701}
    assert set(result.kept["user_key"].to_pylist()) == {f"u:human {n}" for n in range(10)}


def test_a_slow_machine_is_found_by_the_day() -> None:
    yesterday_s = 32_000
    bot = [row(yesterday_s + n * 10, user_key="u:bot", type=1) for n in range(3500)]
    assert struck(cleaned(*humans(), *bot)) == {"bot_like_user": 3500}


def test_a_huge_basket_is_one_action_and_no_bot() -> None:
    known = {f"item {n}" for n in range(900)} | {"apple"}
    basket = [row(item_id=f"item {n}", user_key="u:big") for n in range(900)]
    assert struck(cleaned(*humans(), *basket, known_items=known)) == {}


def test_where_all_shoppers_are_fast_nobody_is_a_bot() -> None:
    fast = [row(n, user_key=f"u:{u}", type=1) for u in range(3) for n in range(700)]
    assert struck(cleaned(*fast)) == {}


def test_limits_can_be_drawn_elsewhere() -> None:
    limits = CleaningLimits(actions_per_hour=5, rate_factor=1)
    bot = [row(n, user_key="u:bot", type=1) for n in range(9)]
    assert struck(cleaned(*humans(), *bot, limits=limits)) == {"bot_like_user": 9}


def test_without_a_catalogue_and_a_clock_no_item_is_unknown_and_no_time_late() -> None:
    assert struck(clean(table(row(item_id="x", at_ms=NOW_MS * 2)))) == {}


def test_an_empty_table_is_clean() -> None:
    result = cleaned()
    assert (len(result.kept), len(result.rejected), result.report.rows_read) == (0, 0, 0)


def test_a_column_that_rules_need_is_named_when_it_is_missing() -> None:
    with pytest.raises(KeyError, match="price"):
        clean(table(row()).drop_columns("price"))


def test_cleaning_what_is_clean_changes_nothing() -> None:
    rows = [*humans(), row(quantity=None), row(1, price=-1.0), row(2, item_id="x"), row(3, quantity=900.0)]
    once = cleaned(*rows)
    twice = clean(once.kept, {"apple", "bread"}, NOW_MS)
    assert twice.kept.equals(once.kept)
    assert struck(twice) == {}


ANY_ROW = st.builds(
    row,
    st.integers(0, 3),
    user_key=st.sampled_from(["u:1", "u:2", None, ""]),
    item_id=st.sampled_from(["apple", "x", None]),
    type=st.integers(0, 10),
    quantity=st.sampled_from([1.0, 0.0, None, 5000.0, np.nan, np.inf]),
    price=st.sampled_from([1.0, 0.0, None, -1.0, 5000.0, np.inf]),
)


@given(st.lists(ANY_ROW, max_size=20))
def test_every_row_is_kept_or_rejected_and_counted_once(rows: list[dict[str, Any]]) -> None:
    result = cleaned(*rows)
    rejected = sum(one.rows for one in result.report.rules if one.action == "rejected")
    assert (len(result.kept), len(result.rejected)) == (len(rows) - rejected, rejected)
    assert result.report.rows_kept == len(result.kept)
    assert all(quantity > 0 for quantity in result.kept["quantity"].to_pylist())
