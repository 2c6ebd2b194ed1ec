"""The vectors of the items while they are trained."""

import numpy as np
import torch

from services.training.sequence.items import ItemVectors
from services.training.sequence.sides import NO_SIDES, price_bucket, sides_of
from shared.features.catalogue import Catalogue, CatalogueItem
from tests.unit.training.small_encoder import ITEMS, small_model, text_vectors


def test_vector_of_an_item_is_its_own_plus_those_of_its_kinds_and_its_text() -> None:
    items = small_model().items
    category, brand = items.kinds["category"].weight, items.kinds["brand"].weight
    assert items.text is not None
    expected = items.own.weight[13] + category[1] + brand[1] + items.text.weight @ torch.from_numpy(text_vectors()[13])
    assert torch.allclose(items.all()[13], expected, atol=1e-6)


def test_vectors_of_some_items_are_rows_of_all() -> None:
    items = small_model().items
    code_X = torch.tensor([[3, 23], [0, 3]])
    assert torch.allclose(items(code_X), items.all()[code_X], atol=1e-6)


def test_without_sides_an_item_has_its_own_vector_alone() -> None:
    items = ItemVectors(ITEMS, 8, NO_SIDES)
    assert torch.equal(items.all(), items.own.weight)
    assert torch.equal(items(torch.tensor([5])), items.own.weight[5:6])


def test_price_bucket_counts_from_the_cheapest_and_is_zero_without_a_price() -> None:
    price, position = np.array([1.0, 5, 9, np.nan], np.float32), np.array([0, 0.5, 1, 0.5], np.float32)
    assert price_bucket(price, position).tolist() == [1, 6, 10, 0]


def test_sides_do_not_depend_on_the_order_of_the_catalogue() -> None:
    items = [
        CatalogueItem(name, categories=(name[0],), brand=name[1], price=1.0 + len(name)) for name in ("ax", "by", "ay")
    ]
    one, two = sides_of(Catalogue(items), np.arange(3)), sides_of(Catalogue(items[::-1]), np.array([2, 1, 0]))
    assert {name: kind.code_V.tolist() for name, kind in one.kinds.items()} == {
        name: kind.code_V.tolist() for name, kind in two.kinds.items()
    }
    assert len(set(one.kinds["category"].code_V.tolist())) == 2
