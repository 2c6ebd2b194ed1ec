"""The catalogue's columns: rows that stay, codes that grow, price positions, what can be sold."""

from datetime import UTC, datetime

import numpy as np

from shared.features.catalogue import Catalogue, CatalogueItem, CodeBook
from tests.unit.features.example_shop import ITEMS, NOW_MS, shop


def position(catalogue: Catalogue, item_id: str) -> float:
    return float(catalogue.price_position_N[catalogue.row_of[item_id]])


def test_a_code_book_gives_a_name_the_same_code_twice_and_unknown_names_zero() -> None:
    book = CodeBook(["a", "b", "a"])
    assert (book.code("a"), book.code("b"), book.code("c"), book.code(None), len(book)) == (1, 2, 0, 0, 3)


def test_rows_stay_when_an_item_is_replaced_and_new_items_are_appended() -> None:
    catalogue = shop()
    catalogue.upsert([CatalogueItem("bread", price=9.0), CatalogueItem("new")])
    assert catalogue.rows(["bread", "new", "never heard of"]).tolist() == [2, len(ITEMS), -1]
    assert catalogue.price_N[2] == np.float32(9.0)


def test_the_catalogue_grows_beyond_its_first_allocation() -> None:
    catalogue = Catalogue(CatalogueItem(str(number), price=float(number)) for number in range(3000))
    assert len(catalogue) == 3000
    assert catalogue.price_N[2999] == np.float32(2999.0)
    assert catalogue.price_position_N[2999] == np.float32(1.0)


def test_the_cheapest_of_a_path_has_position_0_the_dearest_1_and_a_lone_one_one_half() -> None:
    catalogue = shop()
    assert (position(catalogue, "apple"), position(catalogue, "mango"), position(catalogue, "bread")) == (0.0, 1.0, 0.5)
    assert position(catalogue, "mystery") == 0.5


def test_a_changed_price_moves_the_positions_of_its_path() -> None:
    catalogue = shop()
    catalogue.upsert([CatalogueItem("apple", categories=("food", "fruit"), price=7.0)])
    assert (position(catalogue, "apple"), position(catalogue, "mango")) == (1.0, 0.0)


def test_one_leaf_name_below_two_departments_is_two_price_ladders() -> None:
    catalogue = Catalogue(
        [
            CatalogueItem("a", categories=("grocery", "bread"), price=1.0),
            CatalogueItem("b", categories=("grocery", "bread"), price=2.0),
            CatalogueItem("c", categories=("pastry", "bread"), price=9.0),
        ]
    )
    assert (position(catalogue, "b"), position(catalogue, "c")) == (1.0, 0.5)
    assert catalogue.paths_through("bread").tolist() == [1, 2]
    assert catalogue.paths_through("pastry").tolist() == [2]


def test_an_item_out_of_stock_deleted_or_outside_its_dates_cannot_be_sold() -> None:
    soon, past = datetime.fromtimestamp(NOW_MS / 1000 + 60, UTC), datetime.fromtimestamp(NOW_MS / 1000 - 60, UTC)
    catalogue = Catalogue(
        [
            CatalogueItem("untracked"),
            CatalogueItem("in stock", stock=1),
            CatalogueItem("sold out", stock=0),
            CatalogueItem("deleted", deleted=True),
            CatalogueItem("not yet", available_from=soon),
            CatalogueItem("over", available_until=past),
        ]
    )
    rows = np.arange(len(catalogue), dtype=np.int32)
    assert catalogue.sellable(rows, NOW_MS).tolist() == [True, True, False, False, False, False]


def test_an_integer_id_is_answered_as_an_integer() -> None:
    catalogue = Catalogue([CatalogueItem("7", is_integer=True), CatalogueItem("8")])
    assert [catalogue.public_id(0), catalogue.public_id(1)] == [7, "8"]
