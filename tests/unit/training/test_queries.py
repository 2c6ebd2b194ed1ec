"""Point-in-time questions and the tables learned from the past."""

from zoneinfo import ZoneInfo

import numpy as np
import pytest

from services.training.examples.encoding import counted_events, fit_candidate_tables
from services.training.examples.event_log import EventLog
from services.training.examples.queries import QueryMaker, find_questions
from shared.contracts.events import EVENT_TYPE_CODES, EventType
from shared.contracts.internal import Profile
from shared.contracts.recommendation import Context
from shared.features.catalogue import Catalogue, CatalogueItem
from shared.features.context import affinity_values, context_features
from tests.unit.training.small_logs import DAY_MS, PURCHASE, log_of

BERLIN = ZoneInfo("Europe/Berlin")
HOUR_MS = 3_600_000
SHOP = Catalogue([CatalogueItem(str(place), categories=("Food" if place < 3 else "Toys",)) for place in range(6)])


def maker_of(log: EventLog, profiles: dict[str, Profile] | None = None) -> QueryMaker:
    return QueryMaker(log, SHOP, profiles or {}, BERLIN)


def with_contexts(log: EventLog, contexts: tuple[Context, ...], place_E: list[int]) -> EventLog:
    return EventLog(log.user_keys, log.start_U1, log.events, log.value_E, contexts, np.array(place_E, np.int32))


def test_one_question_a_basket_with_each_product_once() -> None:
    log = log_of([(10, 3), (10, 1), (10, 3), (20, 2)], [(20, 5)])
    questions = find_questions(log, 10, 21, limit=9, seed=0)
    assert [(q.user, q.as_of_ms, q.target_row_T.tolist()) for q in questions] == [
        (0, 10, [1, 3]),
        (0, 20, [2]),
        (1, 20, [5]),
    ]


def test_questions_are_of_the_period_only_and_at_most_the_limit_drawn_alike_each_time() -> None:
    log = log_of([(day, day % 6) for day in range(100)])
    assert {question.as_of_ms for question in find_questions(log, 50, 60, 99, 0)} == set(range(50, 60))
    drawn = [[question.as_of_ms for question in find_questions(log, 0, 100, 7, 1)] for _ in range(2)]
    assert drawn[0] == drawn[1] == sorted(drawn[0])
    assert len(drawn[0]) == 7


def test_a_question_sees_nothing_of_its_own_basket_or_later() -> None:
    log = log_of([(10, 1), (20, 2), (20, 3), (30, 4)])
    maker = maker_of(log)
    question = find_questions(log, 20, 21, 9, 0)[0]
    query = maker.query(question)
    assert query.window.row_E.tolist() == [1]
    assert query.as_of_ms == 20
    assert maker.bought_before(question).tolist() == [1]


def test_a_shop_with_purchases_asks_about_purchases_and_one_without_about_views() -> None:
    view = EVENT_TYPE_CODES[EventType.VIEW]
    mixed = log_of([(10, 1), (20, 2)])
    mixed.events.type_E[0] = view
    assert counted_events(mixed).tolist() == [False, True]
    assert counted_events(log_of([(10, 1), (20, 2)], type_code=view)).tolist() == [True, True]


def test_query_carries_the_profile_and_the_context_of_the_basket() -> None:
    log = with_contexts(log_of([(0, 1), (20 * HOUR_MS, 2)]), (Context(), Context(store="7")), [0, 1])
    query = maker_of(log, {"u:0": Profile(age_band="25-34")}).query(find_questions(log, 1, DAY_MS, 9, 0)[0])
    assert query.profile is not None
    assert query.profile.age_band == "25-34"
    assert (query.context.store, query.context.hour) == ("7", 21)


def test_affinities_are_learned_from_the_values_that_serving_reads() -> None:
    """Every field of a fitted table, for every event, is what affinity_values says of that event."""
    contexts = (
        Context(store="7", device="Phone", latitude=-33.0, longitude=151.0),
        Context(region="North", network="wifi"),
        Context(),
    )
    shoppers = ([(5 * HOUR_MS, 0), (30 * HOUR_MS, 3)], [(40 * HOUR_MS, 1)], [(50 * HOUR_MS, 2)])
    log = with_contexts(log_of(*shoppers), contexts, [0, 1, 2, 1])
    profiles = {
        "u:0": Profile(age_band="25-34", gender="F", attributes={"income": "high"}),
        "u:1": Profile(region="South"),
    }
    tables = fit_candidate_tables(log, SHOP, np.arange(6, dtype=np.int32), profiles, BERLIN, 99 * HOUR_MS)
    expected: dict[str, set[str]] = {}
    for user, at_ms, context in zip(log.user_E, log.events.at_ms_E, log.context_E, strict=True):
        values = affinity_values(
            context_features(contexts[context], int(at_ms), BERLIN), profiles.get(log.user_keys[user])
        )
        for field, value in values.items():
            expected.setdefault(field, set()).add(value)
            assert tables.affinity.lift_QK(field, [value]) is not None
    learned = {field: set(table.values.names) for field, table in tables.affinity.tables.items()}
    for field in expected.keys() - {"hour", "weekday", "season"}:
        assert learned[field] == expected[field], field


def test_tables_learn_nothing_from_the_time_asked_about_or_later() -> None:
    log = log_of([(1, 0), (5, 3), (9, 4)])
    tables = fit_candidate_tables(log, SHOP, np.arange(6, dtype=np.int32), {}, BERLIN, 5)
    assert tables.affinity.categories.names == ("Food",)
    assert tables.departments.names == ("Food",)
    assert (tables.activity.log_popularity_V > 0).tolist() == [True, False, False, False, False, False]


def test_region_of_the_profile_counts_where_the_context_names_none() -> None:
    log = with_contexts(log_of([(1, 0)] * 60, [(1, 3)] * 60), (Context(),), [0] * 120)
    profiles = {"u:0": Profile(region="North"), "u:1": Profile(region="South")}
    affinity = fit_candidate_tables(log, SHOP, np.arange(6, dtype=np.int32), profiles, BERLIN, 9).affinity
    lift_QK = affinity.lift_QK("region", ["north"])
    assert lift_QK is not None
    north = lift_QK[0]
    assert north[affinity.categories.code("Food")] > 0.3
    assert north[affinity.categories.code("Toys")] < -0.3


@pytest.mark.parametrize("row", [-1])
def test_products_that_the_catalogue_does_not_know_are_no_targets(row: int) -> None:
    log = log_of([(10, row), (10, 2)])
    assert log.events.type_E.tolist() == [PURCHASE, PURCHASE]
    assert find_questions(log, 0, 11, 9, 0)[0].target_row_T.tolist() == [2]
