"""What the ingest worker counts of lists and what they bring: by scenario, model and arm, with few labels for ever."""

import pytest
from sqlalchemy import Engine, create_engine

from services.feature.outcomes import MOST_MODELS, Outcomes
from shared.contracts.events import EventType
from shared.contracts.impressions import Impression
from shared.service.metrics import BoundedLabel, ServiceMetrics
from shared.storage.relational.impressions import insert_impressions
from tests.integration.test_metrics import act, shown

GROUP = {"scenario": "home", "model": "v1", "arm": "none"}


@pytest.fixture
def metrics() -> ServiceMetrics:
    return ServiceMetrics("ingest")


@pytest.fixture
def outcomes(metrics: ServiceMetrics, engine: Engine) -> Outcomes:
    return Outcomes(metrics, engine, again_s=0.0)


def figure(metrics: ServiceMetrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(f"aisle_{name}_total", GROUP | labels)


def stored(engine: Engine, *lists: Impression) -> None:
    with engine.begin() as connection:
        assert len(insert_impressions(connection, lists)) == len(lists)


def test_lists_and_their_places_are_counted_by_scenario_model_and_arm(
    outcomes: Outcomes, metrics: ServiceMetrics
) -> None:
    outcomes.count_lists([shown("r1", "ABC"), shown("r2", "AB"), shown("r3", "A", arms={"mix": "b", "age": "x"})])
    outcomes.count_lists([shown("r4", "AB", model_version=None, scenario="cart")])
    assert (figure(metrics, "lists_shown"), figure(metrics, "items_shown")) == (2, 5)
    assert figure(metrics, "lists_shown", arm="age=x mix=b") == 1
    assert figure(metrics, "items_shown", model="none", scenario="cart") == 2


def test_acts_count_for_the_list_they_name_if_it_showed_the_item(
    outcomes: Outcomes, metrics: ServiceMetrics, engine: Engine
) -> None:
    stored(engine, shown("r1", "ABC"), shown("r2", "AD", scenario="cart", model_version="v2"))
    outcomes.count_acts(
        [
            act(1, EventType.CLICK, "A", "r1"),
            act(2, EventType.VIEW, "B", "r1"),
            act(3, EventType.PURCHASE, "A", "r1", price=10.0, quantity=2.0),
            act(4, EventType.PURCHASE, "D", "r2", price=7.0),
            act(5, EventType.CLICK, "Z", "r1"),  # was not in the list
            act(6, EventType.CLICK, "A", "r1", hours=24 * 8),  # too late
            act(7, EventType.CLICK, "A", None),  # names no list
            act(8, EventType.ADD_TO_CART, "A", "r1"),  # neither a click nor a purchase
        ]
    )
    assert (figure(metrics, "clicks"), figure(metrics, "purchases"), figure(metrics, "revenue")) == (2, 1, 20.0)
    cart = {"scenario": "cart", "model": "v2"}
    assert (figure(metrics, "purchases", **cart), figure(metrics, "revenue", **cart)) == (1, 7.0)
    assert figure(metrics, "clicks", scenario="unknown", model="none") is None
    outcomes.count_acts([])
    assert figure(metrics, "clicks", scenario="unknown", model="none") == 2


def test_an_act_that_comes_before_its_list_counts_once_the_list_is_there(
    outcomes: Outcomes, metrics: ServiceMetrics, engine: Engine
) -> None:
    outcomes.count_acts([act(1, EventType.CLICK, "A", "r1")])
    assert figure(metrics, "clicks") is None
    stored(engine, shown("r1", "ABC"))
    outcomes.count_lists([shown("r1", "ABC")])
    assert figure(metrics, "clicks") == 1
    assert figure(metrics, "clicks", scenario="unknown", model="none") is None


def test_the_series_of_models_long_gone_are_dropped(outcomes: Outcomes, metrics: ServiceMetrics) -> None:
    for number in range(MOST_MODELS + 2):
        outcomes.count_lists([shown(f"r{number}", "A", model_version=f"v{number}")])
    assert figure(metrics, "lists_shown", model="v0") is None
    assert figure(metrics, "lists_shown", model=f"v{MOST_MODELS + 1}") == 1


def test_a_label_keeps_its_first_values_and_calls_later_ones_other() -> None:
    label = BoundedLabel(2)
    assert [label.of(value) for value in ("a", "b", "c", "a")] == ["a", "b", "other", "a"]


def test_a_database_that_is_away_costs_figures_and_nothing_else(metrics: ServiceMetrics) -> None:
    away = create_engine("postgresql+psycopg2://nobody@127.0.0.1:9/none", connect_args={"connect_timeout": 1})
    Outcomes(metrics, away).count_acts([act(1, EventType.CLICK, "A", "r1")])
    assert figure(metrics, "clicks") is None
