"""Items like one item: kinds, stock, filter, and what fills a short list."""

from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest

from services.ranking.serving_model import ServingModel
from services.ranking.similar import KINDS, UnknownItemError, UnknownKindError, similar_items
from shared.contracts.internal import SimilarRequest
from shared.features.catalogue import Catalogue
from tests.unit.ranking.requests import NOW_MS, departments, ids


def asked(**fields: Any) -> SimilarRequest:
    values = {"item_id": "wine-fine-0", "kind": "similar", "num_items": 10, "as_of_ms": NOW_MS}
    return SimilarRequest(**(values | fields))


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_gives_a_full_list_without_the_item_itself(model: ServingModel, kind: str) -> None:
    reply = similar_items(model, asked(kind=kind))
    assert len(set(ids(reply))) == 10
    assert "wine-fine-0" not in ids(reply)
    assert all(before.score >= after.score for before, after in pairwise(reply.items))
    assert reply.items[0].reasons[0].because_item_id == "wine-fine-0"


def test_bought_together_finds_the_bread_that_goes_with_the_wine(model: ServingModel) -> None:
    reply = similar_items(model, asked(kind="bought_together"))
    assert departments(reply)[0] == "bread"
    assert reply.items[0].reasons[0].text == "Often bought together with Fine wine no. 0"


def test_looks_like_stays_in_the_department(model: ServingModel) -> None:
    assert set(departments(similar_items(model, asked(kind="looks_like", num_items=9)))) == {"wine"}


def test_few_neighbours_are_filled_up_by_text(model: ServingModel) -> None:
    reply = similar_items(model, asked(kind="similar", num_items=24, filter='category in ["wine", "bread", "lamps"]'))
    filled = [item for item in reply.items if item.flags == ["filled"]]
    assert filled
    assert all(item.sources == ["content"] for item in filled)


def test_item_nobody_bought_is_answered_by_text(model: ServingModel, catalogue: Catalogue) -> None:
    like = catalogue.items[catalogue.row_of["wine-fine-0"]]
    catalogue.upsert([replace(like, item_id="wine-fine-new")])
    reply = similar_items(model, asked(item_id="wine-fine-new", num_items=5))
    assert set(departments(reply)) == {"wine"}
    assert {item.sources[0] for item in reply.items} == {"content"}


def test_sold_out_and_filtered_items_are_left_out_and_counted(model: ServingModel, catalogue: Catalogue) -> None:
    catalogue.upsert([replace(catalogue.items[catalogue.row_of["wine-fine-1"]], stock=0)])
    reply = similar_items(model, asked(kind="looks_like", filter="price <= 50", fields=["price"]))
    assert "wine-fine-1" not in ids(reply)
    assert all(item.item is not None and item.item["price"] <= 50 for item in reply.items)
    assert reply.counts.removed["out_of_stock"] == 1
    assert reply.counts.removed["filter"] > 0


def test_unknown_or_deleted_item_and_unknown_kind_are_refused(model: ServingModel, catalogue: Catalogue) -> None:
    catalogue.upsert([replace(catalogue.items[catalogue.row_of["wine-fine-1"]], deleted=True)])
    for item_id in ("unknown", "wine-fine-1"):
        with pytest.raises(UnknownItemError):
            similar_items(model, asked(item_id=item_id))
    with pytest.raises(UnknownKindError):
        similar_items(model, asked(kind="nearby"))
