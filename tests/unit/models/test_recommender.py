"""The recommender asks the history sources that its fusion hears, and only those; of several queries as of each."""

from dataclasses import replace
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from services.training.assemble import in_memory
from shared.contracts.events import EVENT_TYPE_CODES, EventType
from shared.contracts.internal import Profile
from shared.contracts.recommendation import Budget, Context
from shared.features.candidates import Query
from shared.features.catalogue import Catalogue
from shared.features.context import context_features
from shared.features.events import EventWindow
from shared.features.user import user_features
from shared.models.recommender import SOURCES, Recommender, heard_sources
from shared.models.sources.history import HISTORY_SOURCES
from tests.tiny_bundle import fusion, tiny_contents
from tests.tiny_shop import HOUR_MS, UNTIL_MS, tiny_items

HEARD = {"item_cf": 1.0, "repeat_log": 0.5, "log_price": -0.2}


def shopper_query(catalogue: Catalogue, *item_ids: str) -> Query:
    """Return the question of a shopper who bought these items, an hour apart."""
    number = len(item_ids)
    window = EventWindow(
        catalogue.rows(list(item_ids)),
        np.full(number, EVENT_TYPE_CODES[EventType.PURCHASE], np.int8),
        UNTIL_MS - HOUR_MS * np.arange(number, 0, -1),
        np.full(number, np.nan, np.float32),
        np.ones(number, np.float32),
    )
    context = context_features(Context(), UNTIL_MS, ZoneInfo("UTC"))
    return Query(window, user_features(window, catalogue, UNTIL_MS), context, None, UNTIL_MS)


def different_queries(catalogue: Catalogue) -> list[Query]:
    """Return questions that differ in everything a column is made of: the past, the profile, the place, the moment."""
    bread = shopper_query(catalogue, "bread-fine-0", "bread-fine-1", "bread-fine-0")
    page = Context(category="wine", item_id="coffee-fine-0", budget=Budget(min=15, max=40))
    return [
        shopper_query(catalogue, "wine-fine-0", "bread-fine-0"),
        shopper_query(catalogue),
        replace(bread, profile=Profile(age_band="19-24"), as_of_ms=UNTIL_MS + 30 * HOUR_MS),
        replace(
            shopper_query(catalogue, "coffee-fine-1"),
            context=context_features(page, UNTIL_MS, ZoneInfo("UTC")),
            profile=Profile(age_band="45-54", attributes={"tier": "gold"}),
        ),
    ]


@pytest.mark.parametrize("heard", [*HISTORY_SOURCES, "all"])
def test_what_is_found_for_several_shoppers_together_is_what_is_found_for_each(heard: str) -> None:
    catalogue = Catalogue(tiny_items())
    weights = dict.fromkeys(HISTORY_SOURCES, 1.0) if heard == "all" else {heard: 1.0}
    recommender = Recommender(in_memory(tiny_contents(weights=weights)), catalogue)
    queries = different_queries(catalogue)
    together = recommender.retrieve_together(recommender.start_together(queries), 10)
    for query, found in zip(queries, together, strict=True):
        alone = recommender.retrieve(recommender.start(query), 10)
        assert found.row_C.tolist() == alone.row_C.tolist()
        assert found.retrieved_CS.tolist() == alone.retrieved_CS.tolist()
        np.testing.assert_allclose(found.matrix_CF, alone.matrix_CF, rtol=1e-5, atol=1e-5)


def test_those_shoppers_differ_in_every_kind_of_column() -> None:
    catalogue = Catalogue(tiny_items())
    features = Recommender(in_memory(tiny_contents()), catalogue).features
    all_N = np.arange(len(catalogue), dtype=np.int32)
    matrices = [features.matrix(all_N, query) for query in different_queries(catalogue)]
    for name in ("over_budget", "under_budget", "repeat_count", "age_band_affinity", "same_category_as_context"):
        column = features.names.index(name)
        assert len({tuple(matrix_NF[:, column]) for matrix_NF in matrices}) > 1, f"{name} is alike for all"


def test_only_sources_with_weight_bring_candidates_and_columns() -> None:
    catalogue = Catalogue(tiny_items())
    recommender = Recommender(in_memory(tiny_contents(weights=HEARD)), catalogue)
    scored = recommender.start(shopper_query(catalogue, "wine-fine-0", "bread-fine-0"))
    found = recommender.retrieve(scored, 10)
    brought = {name for name, any_ in zip(SOURCES, found.retrieved_CS.any(axis=0), strict=True) if any_}
    assert brought & {*HISTORY_SOURCES} == {"item_cf", "repeat"}
    column_of = {name: found.matrix_CF[:, place] for place, name in enumerate(recommender.fusion_names)}
    assert column_of["item_cf"].any()
    assert not column_of["svd"].any()
    assert len(scored.alone("svd").top(10, None)) == 10


def test_a_fusion_that_was_not_fitted_hears_every_source() -> None:
    assert heard_sources(fusion({})) == {*HISTORY_SOURCES}


def test_the_logarithm_of_a_score_alone_is_a_weight() -> None:
    assert heard_sources(fusion(HEARD)) == {"item_cf", "repeat"}
