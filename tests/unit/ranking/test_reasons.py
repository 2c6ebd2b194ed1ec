"""Reasons: what spoke most for an item, in words, with its evidence."""

from dataclasses import replace
from pathlib import Path

import pytest

from services.ranking.rank import Ranker
from services.ranking.reasons import MAX_REASONS
from services.ranking.serving_model import ServingModel
from shared.contracts.events import EventType
from shared.contracts.internal import Profile, RankReply
from shared.contracts.recommendation import Reason
from shared.features.catalogue import Catalogue
from shared.models.recommender import heard_sources
from shared.models.sources.history import TRANSITION_SOURCES
from tests.tiny_bundle import fusion
from tests.tiny_shop import UNTIL
from tests.unit.ranking.requests import Did, request, state


def weighted(model: ServingModel, **weights: float) -> ServingModel:
    """Return the model with a fusion that knows only these columns."""
    contents = replace(model.recommender.contents, fusion=fusion(weights), stranger_fusion=fusion(weights))
    model.recommender.contents, model.recommender.heard = contents, heard_sources(contents.fusion)
    return model


def first_reason(reply: RankReply, item_id: str) -> Reason:
    return next(item.reasons[0] for item in reply.items if item.item_id == item_id)


def test_every_item_has_a_reason_and_no_more_than_two(ranker: Ranker, model: ServingModel) -> None:
    for asked in (request(num_items=60), request(Did("wine-fine-0"), Did("lamps-fine-1"), num_items=60)):
        reply = ranker.rank(model, asked)
        assert all(1 <= len(item.reasons) <= MAX_REASONS for item in reply.items)


def test_item_cf_names_the_product_that_was_bought(ranker: Ranker, model: ServingModel) -> None:
    reply = ranker.rank(weighted(model, item_cf=1), request(Did("wine-fine-0"), num_items=60))
    assert first_reason(reply, "wine-fine-1") == Reason(
        code="because_you_bought", text="Because you bought Fine wine no. 0", because_item_id="wine-fine-0"
    )


@pytest.mark.parametrize("source", TRANSITION_SOURCES)
def test_what_came_next_names_a_product_that_was_bought_before_it(
    ranker: Ranker, model: ServingModel, source: str
) -> None:
    reply = ranker.rank(weighted(model, **{source: 1}), request(Did("wine-fine-0"), num_items=60))
    told = [item.reasons[0] for item in reply.items if source in item.sources]
    assert {reason.because_item_id for reason in told if reason.code == "because_you_bought"} == {"wine-fine-0"}
    assert told[0].text == "Because you bought Fine wine no. 0"


@pytest.mark.parametrize(
    ("type_", "text"),
    [
        (EventType.VIEW, "Because you looked at Fine wine no. 0"),
        (EventType.ADD_TO_CART, "Goes with Fine wine no. 0 in your cart"),
        (EventType.WISHLIST, "Because Fine wine no. 0 is on your wishlist"),
    ],
)
def test_reason_says_what_the_shopper_did(ranker: Ranker, model: ServingModel, type_: EventType, text: str) -> None:
    reply = ranker.rank(weighted(model, item_cf=1), request(Did("wine-fine-0", type=type_), num_items=60))
    assert first_reason(reply, "wine-fine-1").text == text


def test_sequence_and_svd_name_the_nearest_product_of_the_history(ranker: Ranker, model: ServingModel) -> None:
    for column in ("sequence", "svd"):
        reply = ranker.rank(
            weighted(model, **{column: 1}), request(Did("wine-fine-0"), Did("chairs-fine-0", 4), num_items=60)
        )
        assert first_reason(reply, "wine-fine-1").because_item_id == "wine-fine-0"


def test_co_visitation_says_bought_together(ranker: Ranker, model: ServingModel) -> None:
    reply = ranker.rank(weighted(model, co_visitation=1), request(Did("wine-fine-0"), num_items=60))
    assert first_reason(reply, "bread-fine-0").text == "Often bought together with Fine wine no. 0"


def test_repeat_says_regularly_only_of_what_was_bought_twice(ranker: Ranker, model: ServingModel) -> None:
    done = (Did("wine-fine-0", 3), Did("wine-fine-0", 9), Did("coffee-fine-0", 5))
    reply = ranker.rank(weighted(model, repeat=1), request(*done, Did("bread-fine-0", 2, EventType.VIEW), num_items=60))
    assert first_reason(reply, "wine-fine-0").text == "You buy this regularly"
    assert first_reason(reply, "coffee-fine-0").text == "You bought this before"
    assert first_reason(reply, "bread-fine-0").text == "You looked at this"


def test_user_cf_speaks_of_similar_baskets(ranker: Ranker, model: ServingModel) -> None:
    reply = ranker.rank(weighted(model, user_cf=1), request(Did("wine-fine-0"), num_items=60))
    assert reply.items[0].reasons[0].text == "Shoppers with a similar basket buy this"


def test_profile_moment_and_page_have_their_words(ranker: Ranker, model: ServingModel) -> None:
    young = request(state=state(profile=Profile(age_band="19-24")), context={"category": "fine wine"}, num_items=60)
    by_profile = ranker.rank(weighted(model, age_band_affinity=1), young)
    assert first_reason(by_profile, "snacks-fine-0").code == "shoppers_like_you"
    by_hour = ranker.rank(weighted(model, hour_affinity=1), request(num_items=60))
    assert "timely" in {reason.code for item in by_hour.items for reason in item.reasons}
    by_page = ranker.rank(weighted(model, same_category_as_context=1), young)
    assert by_page.items[0].reasons[0].text == "More from fine wine"


def test_new_item_is_called_new_in_its_category(ranker: Ranker, model: ServingModel, catalogue: Catalogue) -> None:
    like = catalogue.items[catalogue.row_of["wine-fine-0"]]
    catalogue.upsert([replace(like, item_id="wine-fine-new", created_at=UNTIL)])
    reply = ranker.rank(weighted(model, newness=1), request())
    assert reply.items[0].item_id == "wine-fine-new"
    assert reply.items[0].reasons[0].text == "New in fine wine"


def test_favourites_are_named(ranker: Ranker, model: ServingModel) -> None:
    known = state(
        Did("wine-fine-0"), category_preference={"wine": 0.8, "lamps": 0.01}, brand_preference={"brand 1": 0.5}
    )
    by_category = ranker.rank(weighted(model, category_preference=1), request(state=known, num_items=60))
    assert first_reason(by_category, "wine-fine-1").text == "From wine, a favourite of yours"
    assert first_reason(by_category, "lamps-fine-1").code == "popular"
    by_brand = ranker.rank(weighted(model, brand_preference=1), request(state=known, num_items=60))
    assert first_reason(by_brand, "lamps-fine-1").text == "From brand 1, a brand you like"


def test_item_without_a_name_or_a_category_still_has_words(
    ranker: Ranker, model: ServingModel, catalogue: Catalogue
) -> None:
    plain = replace(catalogue.items[0], item_id="77", is_integer=True, title=None, categories=(), created_at=None)
    catalogue.upsert([plain, replace(catalogue.items[catalogue.row_of["wine-fine-0"]], title=None)])
    reply = ranker.rank(weighted(model, item_cf=1), request(Did("wine-fine-0"), num_items=200))
    assert first_reason(reply, "wine-fine-1").text == "Because you bought item wine-fine-0"
    assert next(item.reasons[0].text for item in reply.items if item.item_id == 77) == "From our range"


def test_stranger_is_told_what_is_popular(ranker: Ranker, model: ServingModel, bundle_store: Path) -> None:
    reply = ranker.rank(weighted(model, log_popularity=1), request())
    assert {item.reasons[0].text for item in reply.items} == {"Popular right now"}


def test_item_the_encoder_does_not_know_is_never_explained_by_it(
    ranker: Ranker, model: ServingModel, catalogue: Catalogue
) -> None:
    like = catalogue.items[catalogue.row_of["wine-fine-0"]]
    catalogue.upsert([replace(like, item_id="wine-fine-new")])
    asked = request(Did("coffee-fine-0"), Did("bread-fine-0"), num_items=200)
    reply = ranker.rank(weighted(model, sequence_log=-1), asked)
    assert first_reason(reply, "wine-fine-new").because_item_id is None
