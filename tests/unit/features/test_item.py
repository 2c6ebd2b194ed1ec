"""Item features at a moment: popularity with decay, sales, ratings, price and age; later events change nothing."""

import json
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest

from shared.contracts.events import EVENT_TYPE_CODES, EventType
from shared.features.catalogue import CatalogueItem
from shared.features.item import (
    ITEM_FEATURES,
    PRIOR_RATING,
    AlignedActivity,
    ItemActivity,
    LogColumns,
    item_features,
    measure_activity,
)
from shared.features.user import DAY_MS
from tests.unit.features.example_shop import NOW_MS, shop


def log(*lines: tuple[int, EventType, float, float]) -> LogColumns:
    """Return events from (row, type, days before now, quantity or stars)."""
    number = np.array([line[3] for line in lines], np.float32)
    return LogColumns(
        np.array([line[0] for line in lines], np.int32),
        np.array([EVENT_TYPE_CODES[line[1]] for line in lines], np.int8),
        np.array([NOW_MS - round(line[2] * DAY_MS) for line in lines], np.int64),
        number,
        np.where([line[1] is EventType.RATING for line in lines], number, np.nan).astype(np.float32),
    )


def test_popularity_weighs_types_and_halves_in_14_days() -> None:
    activity = measure_activity(
        log((0, EventType.PURCHASE, 0.001, 1), (1, EventType.PURCHASE, 14.0, 1), (2, EventType.VIEW, 0.001, 1)),
        ["a", "b", "c"],
        NOW_MS,
    )
    assert np.expm1(activity.log_popularity_V) == pytest.approx([5.0, 2.5, 1.0], rel=1e-3)


def test_sales_are_the_units_of_the_last_30_days() -> None:
    sold = log((0, EventType.PURCHASE, 29, 3), (0, EventType.PURCHASE, 31, 9), (0, EventType.VIEW, 1, 5))
    assert np.expm1(measure_activity(sold, ["a"], NOW_MS).log_sales_V) == pytest.approx([3.0])


def test_ratings_are_pulled_towards_the_prior_until_there_are_many() -> None:
    rated = log((0, EventType.RATING, 2, 5), *[(1, EventType.RATING, 1, 5)] * 45, (2, EventType.VIEW, 1, 1))
    rating_V = measure_activity(rated, ["a", "b", "c"], NOW_MS).rating_V
    assert rating_V == pytest.approx([3.75, 4.85, PRIOR_RATING])


def test_events_at_or_after_the_moment_and_unknown_items_change_nothing() -> None:
    past = log((0, EventType.PURCHASE, 1, 2), (0, EventType.RATING, 1, 4))
    both = log(
        (0, EventType.PURCHASE, 1, 2),
        (0, EventType.RATING, 1, 4),
        (-1, EventType.PURCHASE, 1, 2),
        (0, EventType.PURCHASE, 0, 7),
        (0, EventType.RATING, -1, 1),
    )
    assert measure_activity(both, ["a"], NOW_MS).to_json() == measure_activity(past, ["a"], NOW_MS).to_json()


def test_activity_survives_json_and_refuses_other_ids() -> None:
    activity = measure_activity(log((0, EventType.PURCHASE, 3.3, 2)), ["a", "b"], NOW_MS)
    stored = json.loads(json.dumps(activity.to_json()))
    back = ItemActivity.from_json(["a", "b"], stored)
    assert np.array_equal(back.log_popularity_V, activity.log_popularity_V)
    with pytest.raises(ValueError, match="does not fit"):
        ItemActivity.from_json(["a"], stored)


def test_item_features_come_from_the_live_catalogue_and_the_learnt_activity() -> None:
    catalogue = shop()
    activity = ItemActivity(["bread", "mango"], *(np.array([1, 2], np.float32) for _ in range(3)))
    aligned = AlignedActivity(activity, catalogue)
    created = datetime.fromtimestamp((NOW_MS - 30 * DAY_MS) / 1000, UTC)
    catalogue.upsert([replace(catalogue.items[catalogue.row_of["mango"]], created_at=created)])
    matrix = item_features(catalogue.rows(["apple", "mango", "bread", "mystery"]), catalogue, aligned, NOW_MS)
    columns = {name: matrix[:, place].tolist() for place, name in enumerate(ITEM_FEATURES)}
    assert columns["log_popularity"] == columns["log_sales"] == [0, 2, 1, 0]
    assert columns["rating"] == [4.5, 2.0, 1.0, PRIOR_RATING]
    assert columns["price_position"] == [0.0, 1.0, 0.5, 0.5]
    assert columns["log_price"] == pytest.approx([np.log(2), np.log(4), np.log(3), 0])
    assert columns["newness"] == pytest.approx([0, 0.5, 0, 0])


def test_items_appended_after_binding_are_aligned_at_the_next_question() -> None:
    catalogue = shop()
    aligned = AlignedActivity(ItemActivity(["late"], *(np.array([2.0], np.float32) for _ in range(3))), catalogue)
    aligned.take(np.array([0], np.int32))
    catalogue.upsert([CatalogueItem("late"), CatalogueItem("later")])
    assert aligned.take(catalogue.rows(["late", "later"]))[0].tolist() == [2.0, 0.0]
