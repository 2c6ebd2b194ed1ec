"""The recommender asks the history sources that its fusion hears, and only those."""

from zoneinfo import ZoneInfo

import numpy as np

from services.training.assemble import in_memory
from shared.contracts.events import EVENT_TYPE_CODES, EventType
from shared.contracts.recommendation import Context
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
