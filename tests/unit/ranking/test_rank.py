"""The list: what changes it, that it is full, and that it is the same when nothing changed."""

from dataclasses import replace
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest

from services.ranking.metrics import RankingMetrics
from services.ranking.rank import Ranker
from services.ranking.serving_model import ServingModel
from shared.contracts.internal import Profile
from shared.contracts.recommendation import ReturnShape
from shared.features.catalogue import Catalogue, CatalogueItem
from tests.tiny_bundle import fusion
from tests.tiny_shop import HOUR_MS, UNTIL_MS, tiny_items
from tests.unit.ranking.requests import Did, departments, ids, request, score_of, state

ALL = 60


@pytest.fixture
def narrow_ranker(metrics: RankingMetrics) -> Ranker:
    """Return the use case with two candidates a source, so that lists run short."""
    return Ranker(ZoneInfo("UTC"), metrics, per_source=2)


def test_list_is_personal_and_says_where_it_is_from(ranker: Ranker, model: ServingModel) -> None:
    wine = ranker.rank(model, request(*(Did(f"wine-fine-{n}", 2 + n) for n in range(3)), context={}))
    lamps = ranker.rank(model, request(*(Did(f"lamps-plain-{n}", 2 + n) for n in range(3))))
    assert departments(wine).count("wine") > departments(lamps).count("wine")
    assert wine.model.name == "tiny"
    assert wine.model.version == model.version
    assert not wine.cold_start
    assert all(item.sources for item in wine.items)


def test_scores_never_rise_and_the_list_is_as_long_as_asked(ranker: Ranker, model: ServingModel) -> None:
    reply = ranker.rank(model, request(Did("wine-fine-0"), num_items=25))
    assert len(set(ids(reply))) == 25
    assert all(before.score >= after.score for before, after in pairwise(reply.items))


def test_same_request_gives_the_same_list(ranker: Ranker, model: ServingModel) -> None:
    asked = request(Did("wine-fine-0"), Did("coffee-plain-1", 9))
    first, second = ranker.rank(model, asked), ranker.rank(model, asked)
    assert first.items == second.items
    assert first.counts == second.counts


def test_hour_changes_scores(ranker: Ranker, model: ServingModel) -> None:
    morning = ranker.rank(model, request(as_of_ms=UNTIL_MS + 8 * HOUR_MS, num_items=ALL))
    evening = ranker.rank(model, request(as_of_ms=UNTIL_MS + 19 * HOUR_MS, num_items=ALL))
    assert score_of(morning, "coffee-fine-0") > score_of(evening, "coffee-fine-0")
    assert score_of(morning, "wine-fine-0") < score_of(evening, "wine-fine-0")


def test_budget_changes_scores(ranker: Ranker, model: ServingModel) -> None:
    free = ranker.rank(model, request(num_items=ALL))
    tight = ranker.rank(model, request(num_items=ALL, context={"budget": {"max": 15}}))
    assert score_of(tight, "chairs-fine-4") < score_of(free, "chairs-fine-4") - 1
    assert score_of(tight, "coffee-plain-0") == pytest.approx(score_of(free, "coffee-plain-0"), abs=1e-5)


def test_category_preference_changes_scores(ranker: Ranker, model: ServingModel) -> None:
    def rank_with(preference: dict[str, float]) -> float:
        known = state(Did("bread-fine-0"), category_preference=preference)
        return score_of(ranker.rank(model, request(state=known, num_items=ALL)), "lamps-fine-1")

    assert rank_with({"lamps": 0.9}) > rank_with({"bread": 0.9})


def test_profile_changes_scores_even_of_a_stranger(ranker: Ranker, model: ServingModel) -> None:
    young = ranker.rank(model, request(state=state(profile=Profile(age_band="19-24")), num_items=ALL))
    older = ranker.rank(model, request(state=state(profile=Profile(age_band="45-54")), num_items=ALL))
    assert score_of(young, "snacks-fine-0") > score_of(older, "snacks-fine-0")
    assert young.cold_start


def test_page_changes_scores(ranker: Ranker, model: ServingModel) -> None:
    assert set(departments(ranker.rank(model, request(context={"category": "chairs"})))) == {"chairs"}


@pytest.mark.parametrize("known", [None, state()])
def test_stranger_gets_a_full_cold_start_list(ranker: Ranker, model: ServingModel, known: object) -> None:
    reply = ranker.rank(model, request(state=known))
    assert reply.cold_start
    assert len(reply.items) == 10
    assert all("popularity" in item.sources for item in reply.items)


def test_session_of_a_stranger_ends_the_cold_start(ranker: Ranker, model: ServingModel) -> None:
    context = {"session": [{"item_id": "lamps-fine-0"}, {"item_id": "lamps-fine-1"}]}
    cold, warm = ranker.rank(model, request()), ranker.rank(model, request(context=context))
    assert not warm.cold_start
    assert departments(warm).count("lamps") > departments(cold).count("lamps")


def test_candidates_are_all_that_is_ranked(ranker: Ranker, model: ServingModel) -> None:
    wanted = ["lamps-fine-4", "coffee-plain-0", "unknown", "chairs-fine-4", "lamps-fine-4"]
    reply = ranker.rank(model, request(Did("lamps-fine-0"), candidates=wanted))
    assert set(ids(reply)) == {"lamps-fine-4", "coffee-plain-0", "chairs-fine-4"}
    assert (reply.counts.retrieved, reply.counts.removed, reply.counts.ranked) == (4, {"unknown": 1}, 3)


def test_no_candidates_give_an_empty_list(ranker: Ranker, model: ServingModel) -> None:
    assert ranker.rank(model, request(candidates=[])).items == []


def test_candidates_score_as_they_do_in_the_open_list(ranker: Ranker, model: ServingModel) -> None:
    everything = ranker.rank(model, request(Did("wine-fine-0"), num_items=ALL))
    named = ranker.rank(model, request(Did("wine-fine-0"), candidates=["lamps-fine-4", "wine-fine-1"]))
    for item in named.items:
        assert item.score == pytest.approx(score_of(everything, str(item.item_id)), abs=1e-5)


def test_filter_that_starves_the_sources_still_gives_a_full_list(narrow_ranker: Ranker, model: ServingModel) -> None:
    reply = narrow_ranker.rank(model, request(Did("coffee-fine-0"), filter='category == "chairs"', num_items=10))
    assert departments(reply) == ["chairs"] * 10
    counts = reply.counts
    assert counts.retrieved - sum(counts.removed.values()) == counts.ranked >= 10


def test_list_is_filled_to_the_last_item_that_may_be_shown(
    narrow_ranker: Ranker, model: ServingModel, catalogue: Catalogue
) -> None:
    catalogue.upsert([CatalogueItem(item_id=f"never-sold-{number}") for number in range(3)])
    reply = narrow_ranker.rank(model, request(num_items=200, exclude=["bread-fine-0"]))
    assert len(set(ids(reply))) == ALL - 1 + 3
    assert {item.item_id for item in reply.items if item.flags == ["filled"]} >= {"never-sold-0", "never-sold-1"}
    assert all(before.score >= after.score for before, after in pairwise(reply.items))


def test_a_long_list_asks_every_source_for_as_many(narrow_ranker: Ranker, model: ServingModel) -> None:
    reply = narrow_ranker.rank(model, request(Did("coffee-fine-0"), num_items=12))
    assert sum("sequence" in item.sources for item in reply.items) > 2, "more than the two of a short list"


def test_item_newer_than_the_model_is_found(ranker: Ranker, model: ServingModel, catalogue: Catalogue) -> None:
    like = catalogue.items[catalogue.row_of["wine-fine-0"]]
    catalogue.upsert([replace(like, item_id="wine-fine-new", created_at=None)])
    reply = ranker.rank(model, request(Did("wine-fine-1"), num_items=200))
    assert "wine-fine-new" in ids(reply)


def test_shopper_whose_items_are_all_gone_gets_a_full_list(
    ranker: Ranker, model: ServingModel, catalogue: Catalogue
) -> None:
    catalogue.upsert([replace(catalogue.items[catalogue.row_of["wine-fine-0"]], deleted=True)])
    reply = ranker.rank(model, request(Did("wine-fine-0"), Did("never existed")))
    assert len(reply.items) == 10
    assert "wine-fine-0" not in ids(reply)


def test_only_wanted_fields_are_shown(ranker: Ranker, model: ServingModel) -> None:
    shape = ReturnShape(fields=["title", "price", "categories", "created_at", "no such field"])
    item = ranker.rank(model, request(return_=shape, candidates=["wine-fine-0"])).items[0]
    assert item.item == {
        "title": "Fine wine no. 0",
        "price": 15.0,
        "categories": ["wine", "fine wine"],
        "created_at": "2025-01-01T00:00:00+00:00",
    }
    assert item.reasons == []


def test_integer_identifiers_are_answered_as_the_shop_writes_them(
    ranker: Ranker, model: ServingModel, catalogue: Catalogue
) -> None:
    like = catalogue.items[catalogue.row_of["wine-fine-0"]]
    catalogue.upsert([replace(like, item_id="42", is_integer=True)])
    assert ranker.rank(model, request(candidates=["42"])).items[0].item_id == 42


def test_empty_catalogue_gives_an_empty_list(model: ServingModel, catalogue: Catalogue, ranker: Ranker) -> None:
    catalogue.upsert([replace(item, deleted=True) for item in catalogue.items])
    reply = ranker.rank(model, request(Did("wine-fine-0")))
    assert reply.items == []
    assert reply.counts.ranked == 0


def test_a_stranger_is_scored_by_the_weights_of_strangers(ranker: Ranker, model: ServingModel) -> None:
    known, stranger = fusion({"item_cf": 1.0}), fusion({"log_price": 1.0})
    model.recommender.contents = replace(model.recommender.contents, fusion=known, stranger_fusion=stranger)
    price_of = {item.item_id: item.price or 0.0 for item in tiny_items()}
    prices = [price_of[str(item.item_id)] for item in ranker.rank(model, request()).items]
    assert prices == sorted(prices, reverse=True)
    assert len(set(prices)) > 1
    of_known = [price_of[str(item.item_id)] for item in ranker.rank(model, request(Did("wine-fine-0"))).items]
    assert of_known != sorted(of_known, reverse=True)
