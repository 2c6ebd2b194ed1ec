"""Each named set on a few rows in the form of its files: what is left out, what is asked."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from benchmarks.quality.data_sets.data_set import DataSet
from benchmarks.quality.data_sets.registry import open_data_set
from benchmarks.quality.protocols import Benchmark, make_benchmark

DAY_MS = 86_400_000


def write(root: Path, name: str, **columns: list[Any]) -> None:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    pd.DataFrame(columns).to_parquet(path)


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("AISLE_DATA_DIR", str(tmp_path))
    return tmp_path


def opened(name: str) -> tuple[DataSet, Benchmark]:
    data_set = open_data_set(name)
    split = next(iter(data_set.splits.values()))
    return data_set, make_benchmark(data_set.interactions, split, data_set.hide_seen, data_set.track)


def answers(benchmark: Benchmark) -> list[list[str]]:
    items = benchmark.task.catalogue.items
    return [[items[code].item_id for code in target] for target in benchmark.test.targets]


def pasts(benchmark: Benchmark) -> list[list[str]]:
    items = benchmark.task.catalogue.items
    return [[items[code].item_id for code in past.code_L] for past in benchmark.test.histories]


def counted(data_set: DataSet) -> dict[str, int]:
    return {finding.what: finding.count for finding in data_set.interactions.findings}


def test_online_retail_asks_for_the_new_products_of_the_last_invoice(root: Path) -> None:
    write(
        root,
        "uci-online-retail/transactions_2010_2011.parquet",
        invoice_no=["1", "1", "2", "3", "3", None, "4"],
        stock_code=["cup", "tin", "cup", "tin", "hat", "cup", "cup"],
        description=["a cup", None, "a cup", "a tin", "a hat", "a cup", "a cup"],
        quantity=[1, 2, 1, 1, 1, -1, 1],
        invoice_date=pd.to_datetime(["2011-01-01"] * 2 + ["2011-01-02"] + ["2011-01-03"] * 2 + ["2011-01-04"] * 2),
        unit_price_gbp=[2.0, 3.0, 4.0, 3.0, 9.0, 2.0, 2.0],
        customer_id=[7, 7, 7, 7, 7, 7, None],
    )
    write_other_customer(root / "uci-online-retail" / "transactions_2010_2011.parquet")
    data_set, benchmark = opened("uci-online-retail")
    assert counted(data_set) == {"lines without customer, quantity or price": 2}
    assert pasts(benchmark)[0] == ["cup", "tin", "cup"]
    assert answers(benchmark)[0] == ["hat"]
    assert {item.item_id: item.price for item in benchmark.task.catalogue.items}["cup"] == 2.0


def write_other_customer(path: Path) -> None:
    """Add a customer whose invoice before the last holds a new product, so that validation has a question."""
    frame = pd.read_parquet(path)
    more = frame[frame["invoice_no"].notna() & frame["customer_id"].notna()].assign(customer_id=8)
    more = more.assign(invoice_no="9" + more["invoice_no"].astype(str))
    more.loc[more["invoice_no"] == "92", "stock_code"] = "pen"
    pd.concat([frame, more]).reset_index(drop=True).to_parquet(path)


def test_retailrocket_asks_for_the_purchase_that_the_source_holds_back(root: Path) -> None:
    write(
        root,
        "retailrocket-multibehavior/events.parquet",
        user_id=[0] * 5,
        item_id=[5, 4, 3, 3, 9],
        event=["view", "transaction", "view", "transaction", "transaction"],
        timestamp=[10, 15, 20, 30, None],
        split=["train"] * 4 + ["test"],
    )
    data_set, benchmark = opened("retailrocket-multibehavior")
    assert (pasts(benchmark), answers(benchmark)) == ([["5", "4", "3", "3"]], [["9"]])
    assert len(benchmark.task.train) == 2  # both events of the validation pair are out
    assert list(data_set.splits) == ["leave-one-out"]
    assert benchmark.test.histories[0].at_ms_L.tolist() == [10_000, 15_000, 20_000, 30_000]


def test_yoochoose_validates_on_the_last_day_of_training_and_ranks_seen_items_again(root: Path) -> None:
    start_ms = 1_396_000_000_000
    write(
        root,
        "yoochoose-clicks-100k/clicks.parquet",
        session_id=[1, 1, 2, 2, 3, 3, 3],
        item_id=[10, 11, 10, 12, 10, 11, 10],
        split=["train"] * 4 + ["test"] * 3,
        timestamp_ms=[
            start_ms + at for at in (0, 1, 2 * DAY_MS, 2 * DAY_MS + 1, 3 * DAY_MS, 3 * DAY_MS + 1, 3 * DAY_MS + 2)
        ],
    )
    _, benchmark = opened("yoochoose-clicks-100k")
    assert pasts(benchmark) == [["10"], ["10", "11"]]
    assert answers(benchmark) == [["11"], ["10"]]
    assert [len(past) for past in benchmark.task.validation.histories] == [1]
    assert len(benchmark.task.train) == 2


def test_rees46_takes_a_session_for_a_user_and_asks_for_its_last_view(root: Path) -> None:
    sessions = [session for session in range(10) for _ in range(3)]
    write(
        root,
        "rees46-multicategory/sessions_2days.parquet",
        user_id=[1] * 30,
        session_id=sessions,
        item_id=[1, 2, 3] * 10,
        timestamp=list(range(30)),
        category_id=[4] * 30,
        subcategory_id=[5] * 30,
        brand_id=[6] * 30,
    )
    _, benchmark = opened("rees46-multicategory")
    assert (pasts(benchmark), answers(benchmark)) == ([["1", "2"]] * 2, [["3"]] * 2)
    assert benchmark.task.catalogue.items[0].categories == ("category 4", "subcategory 5")


def test_movielens_1m_leaves_out_the_films_without_a_place_and_counts_them(root: Path) -> None:
    write(
        root,
        "movielens-1m/ratings.parquet",
        user_id=[1, 1, 1, 1],
        movie_id=[4, 2, 9, 1],
        timestamp=[5.0, 6.0, 7.0, None],
        position=[0.0, 1.0, None, 2.0],
    )
    write(root, "movielens-1m/movies.parquet", movie_id=[1, 2, 4], title=["a", "b", "c"], genres=[["Drama"]] * 3)
    data_set, benchmark = opened("movielens-1m")
    assert (pasts(benchmark), answers(benchmark)) == ([["4", "2"]], [["1"]])
    assert counted(data_set) == {"ratings of films with fewer than 5 ratings": 1}


@pytest.mark.parametrize("name", ["amazon-beauty", "amazon-toys"])
def test_amazon_items_have_a_brand_and_a_path_without_it(root: Path, name: str) -> None:
    write(root, f"{name}/interactions.parquet", user_id=[1] * 3, item_id=[1, 2, 3], position=[0, 1, 2])
    write(
        root,
        f"{name}/items.parquet",
        item_id=[1, 2, 3],
        title=["polish"] * 3,
        attributes=[["OPI", "Nails", "Polish"], ["Nails"], ["Nails"]],
        attribute_ids=[[173, 1, 162], [1], [1]],
        brand=["OPI", None, None],
        brand_attribute_id=[173.0, None, None],
    )
    _, benchmark = opened(name)
    first, second = benchmark.task.catalogue.items[:2]
    expected = {"amazon-beauty": ("OPI", ("Nails", "Polish")), "amazon-toys": ("173", ("1", "162"))}[name]
    assert (first.brand, first.categories) == expected
    assert second.brand is None
