"""Which items may be shown: repeats, stock, dates, filter, and the receipt."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from services.ranking.rank import Ranker
from services.ranking.serving_model import ServingModel
from shared.contracts.events import EventType
from shared.features.catalogue import Catalogue
from shared.features.filter import FilterError
from tests.tiny_shop import UNTIL
from tests.unit.ranking.requests import Did, departments, ids, request

ALL = 60


def change(catalogue: Catalogue, item_id: str, **fields: Any) -> None:
    catalogue.upsert([replace(catalogue.items[catalogue.row_of[item_id]], **fields)])


def test_auto_hides_a_lamp_that_was_bought_and_lets_coffee_come_back(ranker: Ranker, model: ServingModel) -> None:
    reply = ranker.rank(model, request(Did("lamps-fine-0"), Did("coffee-fine-0"), num_items=ALL))
    assert "lamps-fine-0" not in ids(reply)
    assert "coffee-fine-0" in ids(reply)
    assert reply.counts.removed == {"seen": 1}


def test_auto_lets_coffee_rest_on_the_day_it_was_bought(ranker: Ranker, model: ServingModel) -> None:
    assert "coffee-fine-0" not in ids(ranker.rank(model, request(Did("coffee-fine-0", 0.1), num_items=ALL)))


def test_auto_judges_what_few_have_bought_by_its_category(
    ranker: Ranker, model: ServingModel, catalogue: Catalogue
) -> None:
    for item_id, comes_back in (("coffee-fine-new", True), ("lamps-fine-new", False)):
        like = catalogue.items[catalogue.row_of[item_id.replace("new", "0")]]
        catalogue.upsert([replace(like, item_id=item_id)])
        reply = ranker.rank(model, request(Did(item_id), num_items=200))
        assert (item_id in ids(reply)) == comes_back


def test_hide_bought_hides_coffee_too(ranker: Ranker, model: ServingModel) -> None:
    bought = (Did("lamps-fine-0"), Did("coffee-fine-0"))
    reply = ranker.rank(model, request(*bought, num_items=ALL, repeat="hide_bought"))
    assert not {"lamps-fine-0", "coffee-fine-0"} & set(ids(reply))
    assert reply.counts.removed == {"seen": 2}


def test_allow_hides_nothing(ranker: Ranker, model: ServingModel) -> None:
    reply = ranker.rank(model, request(Did("lamps-fine-0"), num_items=ALL, repeat="allow"))
    assert "lamps-fine-0" in ids(reply)
    assert reply.counts.removed == {}


def test_looking_at_a_lamp_does_not_hide_it(ranker: Ranker, model: ServingModel) -> None:
    viewed = Did("lamps-fine-0", type=EventType.VIEW)
    assert "lamps-fine-0" in ids(ranker.rank(model, request(viewed, num_items=ALL, repeat="hide_bought")))


def test_item_the_shopper_hid_never_comes_back(ranker: Ranker, model: ServingModel) -> None:
    reply = ranker.rank(model, request(Did("coffee-fine-0", type=EventType.HIDE), num_items=ALL, repeat="allow"))
    assert "coffee-fine-0" not in ids(reply)
    assert reply.counts.removed == {"hidden": 1}


def test_current_item_and_cart_are_not_recommended_back(ranker: Ranker, model: ServingModel) -> None:
    context = {"item_id": "wine-fine-0", "cart": [{"item_id": "bread-fine-0"}, {"item_id": "unknown"}]}
    reply = ranker.rank(model, request(context=context, num_items=ALL))
    assert not {"wine-fine-0", "bread-fine-0"} & set(ids(reply))
    assert reply.counts.removed == {"current_item": 1, "in_cart": 1}


def test_excluded_items_stay_away_and_count_once(ranker: Ranker, model: ServingModel) -> None:
    fields: dict[str, Any] = {"exclude": ["lamps-fine-0", "wine-fine-0", "unknown"], "num_items": ALL}
    reply = ranker.rank(model, request(Did("lamps-fine-0"), **fields))
    assert not {"lamps-fine-0", "wine-fine-0"} & set(ids(reply))
    assert reply.counts.removed == {"exclude": 2}


def test_sold_out_deleted_and_out_of_date_items_are_never_shown(
    ranker: Ranker, model: ServingModel, catalogue: Catalogue
) -> None:
    change(catalogue, "coffee-fine-0", stock=0)
    change(catalogue, "coffee-fine-1", deleted=True)
    change(catalogue, "coffee-fine-2", available_from=UNTIL + timedelta(days=9))
    change(catalogue, "coffee-fine-3", available_until=UNTIL)
    reply = ranker.rank(model, request(num_items=ALL))
    assert [item for item in ids(reply) if item.startswith("coffee-fine")] == ["coffee-fine-4"]
    assert reply.counts.removed == {"out_of_stock": 1, "unavailable": 3}


def test_item_is_back_as_soon_as_its_stock_is(ranker: Ranker, model: ServingModel, catalogue: Catalogue) -> None:
    change(catalogue, "coffee-fine-0", stock=0)
    assert "coffee-fine-0" not in ids(ranker.rank(model, request(num_items=ALL)))
    change(catalogue, "coffee-fine-0", stock=None)
    assert "coffee-fine-0" in ids(ranker.rank(model, request(num_items=ALL)))


def test_filter_keeps_what_it_names(ranker: Ranker, model: ServingModel) -> None:
    reply = ranker.rank(
        model, request(Did("coffee-fine-0"), filter='category == "wine" and price <= 20', num_items=ALL)
    )
    assert set(departments(reply)) == {"wine"}
    assert reply.counts.removed["filter"] == ALL - len(reply.items)


def test_filter_that_cannot_be_read_is_refused_with_its_column(ranker: Ranker, model: ServingModel) -> None:
    with pytest.raises(FilterError) as refused:
        ranker.rank(model, request(filter="price <="))
    assert refused.value.column > 0


def test_receipt_adds_up(ranker: Ranker, model: ServingModel, catalogue: Catalogue) -> None:
    change(catalogue, "wine-fine-0", stock=0)
    fields: dict[str, Any] = {
        "exclude": ["bread-fine-1"],
        "filter": "price < 60",
        "context": {"item_id": "wine-fine-1"},
    }
    counts = ranker.rank(model, request(Did("lamps-plain-0"), **fields)).counts
    assert counts.retrieved - sum(counts.removed.values()) == counts.ranked > 0
