"""What grocery purchases lack, on sets that have it: gender and ratings (MovieLens), views and carts (RetailRocket).

Sets        looked for in AISLE_DATA_DIR, else in ../shared/data beside the repository; without them each is skipped
"""

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from shared.contracts.events import EVENT_TYPE_CODES, EventType
from shared.features.affinity import FieldColumn, fit_affinity
from shared.features.catalogue import Catalogue, CatalogueItem
from shared.features.events import EventWindow
from shared.features.item import PRIOR_RATING, LogColumns, measure_activity
from shared.features.user import DAY_MS, user_features

REPOSITORY = Path(__file__).parents[3]
DATA_DIR = Path(os.environ.get("AISLE_DATA_DIR", REPOSITORY.parent / "shared" / "data"))


def real_table(file: str) -> pd.DataFrame:
    """Return a table of a real set, or skip the test with the file's name."""
    path = DATA_DIR / file
    if not path.is_file():
        pytest.skip(f"{file} is not in AISLE_DATA_DIR; the same rules are tested on generated events")
    return pd.read_parquet(path)


def test_gender_lifts_the_genres_that_the_readme_of_movielens_would_suggest() -> None:
    ratings = real_table("movielens-100k/ratings.parquet")
    users = real_table("movielens-100k/users.parquet").set_index("user_id")
    movies = real_table("movielens-100k/movies.parquet").set_index("movie_id")
    genre = movies.genres.map(lambda genres: genres[0] if len(genres) else None)
    gender = FieldColumn.of(ratings.user_id.map(users.gender).str.lower().tolist())
    tables = fit_affinity({"gender": gender}, FieldColumn.of(ratings.movie_id.map(genre).tolist()))
    lift_QK = tables.lift_QK("gender", ["f", "m"])
    assert lift_QK is not None
    women, men = lift_QK
    romance, action = tables.categories.code("Romance"), tables.categories.code("Action")
    assert women[romance] > 0 > men[romance]
    assert women[action] < 0 < men[action]


def test_ratings_become_shrunk_means_of_each_film() -> None:
    ratings = real_table("movielens-100k/ratings.parquet")
    code, item_ids = pd.factorize(ratings.movie_id.astype(str))
    stars = ratings.rating.to_numpy(np.float32)
    at_ms = ratings.timestamp.to_numpy(np.int64) * 1000
    rated = np.full(len(ratings), EVENT_TYPE_CODES[EventType.RATING], np.int8)
    log = LogColumns(code.astype(np.int32), rated, at_ms, np.ones_like(stars), stars)
    activity = measure_activity(log, item_ids.tolist(), int(at_ms.max()) + 1)
    mean = pd.Series(stars).groupby(code).mean().to_numpy()
    assert (np.abs(activity.rating_V - PRIOR_RATING) <= np.abs(mean - PRIOR_RATING) + 1e-5).all()
    many = np.bincount(code) > 200
    assert np.abs(activity.rating_V - mean)[many].max() < 0.05


def test_views_carts_and_purchases_of_a_real_shop_are_counted_apart() -> None:
    events = real_table("retailrocket-multibehavior/events.parquet").dropna(subset=["timestamp"])
    codes = {"view": EventType.VIEW, "addtocart": EventType.ADD_TO_CART, "transaction": EventType.PURCHASE}
    busy = events.groupby("user_id").size().between(100, 500)
    user_id = busy[busy].index[0]
    own = events[events.user_id == user_id].sort_values(["timestamp", "item_id"])
    catalogue = Catalogue(CatalogueItem(str(item_id)) for item_id in own.item_id.unique())
    window = EventWindow(
        catalogue.rows(own.item_id.astype(str).tolist()),
        own.event.map(codes).map(EVENT_TYPE_CODES).to_numpy(np.int8),
        own.timestamp.to_numpy(np.int64) * 1000,
        np.full(len(own), np.nan, np.float32),
        np.ones(len(own), np.float32),
    )
    features = user_features(window, catalogue, int(window.at_ms_E[-1]) + DAY_MS)
    counted = [features[name] for name in ("browse_count", "cart_count", "purchase_count")]
    assert counted == [float((own.event == event).sum()) for event in codes]
    assert features["distinct_items"] == own.item_id.nunique()
    assert features["days_since_last_event"] == 1.0
