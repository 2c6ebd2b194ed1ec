"""MovieLens-100K as a shop that the product trains on and serves: films with genres as categories, ratings as views.

Called by   __main__.py
Period      the pipeline's own split by time: the last days are the test, the days before them the validation, and
            nothing of either is learned from; one question is one second in which somebody rated
Why         small enough to train within minutes on one core; the content vectors (titles and genres) that variety is
            made of are the product's own
Not         a shop: prices, purchases and repeats are missing, so revenue and caps by brand cannot be seen here
"""

from dataclasses import dataclass, replace
from pathlib import Path
from zoneinfo import ZoneInfo

import pandas as pd
import pyarrow as pa

from benchmarks.quality.data_sets.data_set import open_table
from services.training.assemble import in_memory
from services.training.config import TrainingConfig
from services.training.examples.queries import QueryMaker, Question, find_questions
from services.training.examples.shop import Shop, open_shop
from services.training.examples.source import ShopFiles, with_event_columns
from services.training.examples.split import split_by_time
from services.training.pipeline import Pipeline
from services.training.progress import Report
from shared.contracts.events import EVENT_TYPE_CODES, EventType
from shared.features.catalogue import CatalogueItem
from shared.models.recommender import Recommender

NAME = "movielens-100k"
ZONE = ZoneInfo("UTC")
CONFIG = TrainingConfig(name=NAME, refit=False, validation_days=14.0, test_days=14.0, threads=1, promotion="never")
SEED = 7
LATER_MS = 1304 * 7 * 86_400_000
"""the ratings of 1997 and 1998 are moved by 25 years in whole weeks: cleaning takes events that old for mistakes"""


@dataclass(frozen=True)
class Trained:
    """A model that knows nothing of the test, and the test."""

    shop: Shop
    recommender: Recommender
    maker: QueryMaker
    questions: list[Question]


@dataclass(frozen=True)
class Films:
    """The training source."""

    root: Path

    def read(self) -> ShopFiles:
        """Return ratings as views, and the films."""
        folder = self.root / NAME
        ratings = open_table(folder / "ratings.parquet", self.root)
        films = open_table(folder / "movies.parquet", self.root)
        return ShopFiles(with_event_columns(_events(ratings)), _items(films), {})


def train(root: Path, num_questions: int, report: Report) -> Trained:
    """Train as `aisle train` does, and draw questions of the test period that have a past."""
    source = Films(root)
    config = replace(CONFIG, sequence=replace(CONFIG.sequence, threads=1, events_to_learn=500_000))
    model = Pipeline(source, ZONE, config, lambda *_: None, report=report).run()
    if model is None:
        raise RuntimeError("a run of one process makes a model")
    shop = open_shop(source.read())
    maker = QueryMaker(shop.log, shop.catalogue, shop.profiles, ZONE)
    split = split_by_time(shop.log, config.validation_days, config.test_days)
    found = find_questions(shop.log, split.test_from_ms, split.end_ms, 4 * num_questions, SEED)
    known = [question for question in found if len(maker.window(question).positive()) >= 5]
    return Trained(shop, Recommender(in_memory(model.contents), shop.catalogue), maker, known[:num_questions])


def _events(ratings: pd.DataFrame) -> pa.Table:
    count = len(ratings)
    return pa.table(
        {
            "user_key": [f"u:{user}" for user in ratings["user_id"]],
            "event_id": [f"{place:06d}" for place in range(count)],
            "item_id": ratings["movie_id"].astype(str).tolist(),
            "type": pa.array([EVENT_TYPE_CODES[EventType.VIEW]] * count, pa.int8()),
            "at_ms": pa.array(ratings["timestamp"].astype("int64") * 1000 + LATER_MS, pa.int64()),
            "price": pa.nulls(count, pa.float32()),
            "quantity": pa.array([1.0] * count, pa.float32()),
        }
    )


def _items(films: pd.DataFrame) -> list[CatalogueItem]:
    rows = films.to_dict("records")
    return [CatalogueItem(str(row["movie_id"]), title=row["title"], categories=tuple(row["genres"])) for row in rows]
