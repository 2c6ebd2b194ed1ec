"""From files to an ordered log."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from services.training.errors import SourceError, TooLittleDataError
from services.training.examples.shop import event_log, in_order, open_shop
from services.training.examples.source import ParquetSource, ShopFiles, with_event_columns
from shared.contracts.internal import Profile
from shared.features.catalogue import Catalogue, CatalogueItem

ITEMS = [CatalogueItem("a", categories=("Food",)), CatalogueItem("b")]


def events(**columns: list[object]) -> pa.Table:
    rows = len(columns["at_ms"])
    plain: dict[str, list[object]] = {
        "user_key": ["u:1"] * rows,
        "item_id": ["a"] * rows,
        "type": [6] * rows,
        "price": [1.0] * rows,
        "quantity": [1.0] * rows,
    }
    table = pa.table({**plain, **columns})
    return with_event_columns(table.set_column(2, "type", table["type"].cast(pa.int16())))


def test_log_is_ordered_by_shopper_time_and_event_id_as_text() -> None:
    table = events(user_key=["u:2", "u:10", "u:10", "u:10"], at_ms=[5, 9, 9, 1], event_id=["x", "e#2", "e#10", "z"])
    log = event_log(in_order(table), Catalogue(ITEMS))
    assert log.user_keys == ("u:10", "u:2")
    assert in_order(table)["event_id"].to_pylist() == ["z", "e#10", "e#2", "x"]
    assert log.start_U1.tolist() == [0, 3, 4]


def test_a_table_in_order_is_left_as_it_is() -> None:
    table = events(at_ms=[1, 2, 2], event_id=["b", "a", "c"])
    assert in_order(table) is table


def test_unknown_items_searches_and_missing_numbers_keep_their_places() -> None:
    table = events(at_ms=[1, 2, 3], item_id=["a", "zz", None], price=[None, 2.0, 1.0], type=[6, 6, 10])
    log = event_log(table, Catalogue(ITEMS))
    assert log.events.row_E.tolist() == [0, -1, -1]
    assert np.isnan(log.events.price_E[0])
    assert np.isnan(log.value_E).all()


def test_contexts_are_read_once_each() -> None:
    text = json.dumps({"store": 7, "device": "Phone"})
    log = event_log(events(at_ms=[1, 2, 3], context=[text, None, text]), Catalogue(ITEMS))
    assert log.context_E[0] == log.context_E[2] != log.context_E[1]
    assert log.contexts[log.context_E[0]].store == "7"
    assert log.contexts[log.context_E[1]].store is None


def test_events_are_cleaned_and_the_report_says_how() -> None:
    table = events(at_ms=[1_500_000_000_000, 1_500_000_000_000, 1_500_000_000_001], quantity=[1.0, 1.0, -1.0])
    shop = open_shop(ShopFiles(table, ITEMS, {}))
    assert len(shop.log) == 1
    assert shop.cleaning.count("duplicate") == 1
    assert shop.cleaning.count("quantity_not_positive") == 1


def test_events_of_shoppers_who_do_not_want_to_be_known_are_not_learned_from() -> None:
    table = events(at_ms=[1_500_000_000_000] * 2, user_key=["u:1", "u:2"])
    shop = open_shop(ShopFiles(table, ITEMS, {"u:2": Profile(personalisation=False)}))
    assert shop.log.user_keys == ("u:1",)


def test_an_empty_shop_is_refused_in_words() -> None:
    with pytest.raises(TooLittleDataError, match="no events"):
        open_shop(ShopFiles(events(at_ms=[]), ITEMS, {}))


def test_parquet_folder_is_read_with_timestamps_items_and_profiles(tmp_path: Path) -> None:
    table = events(at_ms=[1_500_000_000_000]).drop_columns(["at_ms", "value", "context"])
    moment = pa.array([1_500_000_000_000], pa.timestamp("ms", "UTC"))
    pq.write_table(table.append_column("occurred_at", moment), tmp_path / "interactions.parquet")
    item = {"item_id": "a", "categories": ["Food"], "price": 2.5, "attributes": '{"size": "L"}'}
    pq.write_table(pa.Table.from_pylist([item]), tmp_path / "items.parquet")
    user = {"user_key": "u:1", "age_band": "25-34", "attributes": '{"kids": 2}'}
    pq.write_table(pa.Table.from_pylist([user]), tmp_path / "users.parquet")
    files = ParquetSource(tmp_path).read()
    assert files.events["at_ms"].to_pylist() == [1_500_000_000_000]
    assert files.items[0].attributes == {"size": "L"}
    assert files.profiles["u:1"] == Profile(age_band="25-34", attributes={"kids": "2"})


def test_what_a_folder_lacks_is_named(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"no interactions\.parquet"):
        ParquetSource(tmp_path).read()
    pq.write_table(pa.table({"user_key": ["u:1"]}), tmp_path / "interactions.parquet")
    pq.write_table(pa.Table.from_pylist([{"item_id": "a"}]), tmp_path / "items.parquet")
    with pytest.raises(SourceError, match="no column item_id, type, at_ms, price, quantity"):
        ParquetSource(tmp_path).read()
