"""The pipeline's step: a shop that logs its lists gets a ranker in its bundle; one with receipts is told why not."""

from dataclasses import replace
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pytest

from services.ranking.score_tasks import chances_of, contributions_at
from services.training.assemble import in_memory
from services.training.config import FusionConfig, TrainingConfig
from services.training.examples.queries import QueryMaker, find_questions
from services.training.examples.shop import open_shop
from services.training.examples.source import ShopFiles
from services.training.multitask.config import MultitaskConfig
from services.training.pipeline import Pipeline, TrainedModel
from services.training.sequence.config import SequenceConfig
from services.training.simulation.config import SimulationConfig
from services.training.simulation.log import SimulatedLog
from services.training.simulation.simulate import simulate
from shared.contracts.events import EVENT_TYPE_CODES, EventType
from shared.features.registry import schema_hash
from shared.models.bundle import RANKER, BundleError, load_bundle, write_bundle
from shared.models.encoder import EncoderConfig
from shared.models.multitask_layers import RankerShape
from shared.models.recommender import Recommender

UTC = ZoneInfo("UTC")
SHAPE = RankerShape(embedding=4, width=16, cross=8, experts=2, expert=16, tower=8, dropout=0.2)
CONFIG = TrainingConfig(
    name="lists",
    min_item_events=2,
    content_dim=8,
    threads=1,
    test_questions=50,
    sequence=SequenceConfig(
        EncoderConfig(dim=16, blocks=1, heads=2, max_length=16, dropout=0.1), suit=False, epochs=1, threads=1
    ),
    fusion=FusionConfig(questions=100, per_source=20),
    multitask=MultitaskConfig(shape=SHAPE, epochs=3, batch=512, learning_rate=1e-2, averaging=0.9, lists=700),
)


class Shown:
    """The simulated shop as files, with the impressions of its lists or without."""

    def __init__(self, log: SimulatedLog, impressions: bool, only: EventType | None = None) -> None:
        self._log, self._impressions, self._only = log, impressions, only

    def read(self) -> ShopFiles:
        """Return events, products and profiles."""
        files, log = self._log.shop_files(), self._log
        events = files.events
        if self._only is not None:
            events = events.filter(pa.array(log.events.type_E == EVENT_TYPE_CODES[self._only]))
        if self._impressions:
            events = pa.concat_tables([events, impressions(log, events.schema)])
        return ShopFiles(events, files.items, files.profiles)


def impressions(log: SimulatedLog, schema: pa.Schema) -> pa.Table:
    shown = log.impressions
    size = len(shown)
    columns = {
        "user_key": [f"u:sim-u{user}" for user in shown.user_N],
        "event_id": [f"shown-{place}" for place in range(size)],
        "item_id": [f"sim-i{item}" for item in shown.item_N],
        "type": np.full(size, EVENT_TYPE_CODES[EventType.IMPRESSION]),
        "at_ms": shown.shown_at_ms_N,
        "price": np.full(size, np.nan, np.float32),
        "quantity": np.ones(size, np.float32),
        "value": [None] * size,
        "context": ["{}"] * size,
    }
    return pa.table({name: pa.array(columns[name]).cast(schema.field(name).type) for name in schema.names})


@pytest.fixture(scope="module")
def log() -> SimulatedLog:
    return simulate(SimulationConfig(num_users=200, num_items=60, days=21, sessions_per_user=9.0))


@pytest.fixture(scope="module")
def trained(log: SimulatedLog) -> TrainedModel:
    model = Pipeline(Shown(log, impressions=True), UTC, CONFIG, lambda *_: None).run()
    assert model is not None
    return model


def test_lists_in_the_log_make_a_ranker_that_orders_later_clicks_better_than_chance(trained: TrainedModel):
    report = trained.contents.facts.metrics["ranker"]
    assert report["trained"]
    assert report["exposures"] == "impression"
    assert report["test"]["click"]["auc"] > 0.55


def test_weights_kept_from_before_the_refit_stand_on_the_columns_they_were_fitted_on(
    trained: TrainedModel, log: SimulatedLog
):
    shop = open_shop(Shown(log, impressions=False).read())
    assert (
        Recommender(in_memory(trained.contents), shop.catalogue).fusion_names == trained.contents.fusion.feature_names
    )


def test_the_bundle_carries_the_ranker_and_answers_alike(trained: TrainedModel, log: SimulatedLog, tmp_path: Path):
    write_bundle(trained.contents, tmp_path / "bundle")
    loaded = load_bundle(tmp_path / "bundle", schema_hash())
    shop = open_shop(Shown(log, impressions=False).read())
    question = find_questions(shop.log, 0, shop.log.last_ms, 1, 7)[0]
    query = QueryMaker(shop.log, shop.catalogue, shop.profiles, UTC).query(question)
    answers = []
    for bundle in (loaded, in_memory(trained.contents)):
        recommender = Recommender(bundle, shop.catalogue)
        scored = recommender.start(query)
        found = chances_of(recommender, scored, recommender.retrieve(scored, 20))
        assert found is not None
        answers.append(found)
    np.testing.assert_array_equal(answers[0].click_C, answers[1].click_C)
    assert ((answers[0].click_C > 0) & (answers[0].click_C < 1)).all()


def test_a_ranker_that_cannot_be_opened_is_refused_by_the_name_of_its_file(trained: TrainedModel, tmp_path: Path):
    ranker = trained.contents.ranker
    assert ranker is not None
    write_bundle(replace(trained.contents, ranker=replace(ranker, model=b"no model")), tmp_path / "bundle")
    with pytest.raises(BundleError, match=RANKER):
        load_bundle(tmp_path / "bundle", schema_hash())


def test_a_log_of_purchases_alone_trains_no_ranker_and_says_why(log: SimulatedLog, tmp_path: Path):
    source = Shown(log, impressions=False, only=EventType.PURCHASE)
    model = Pipeline(source, UTC, replace(CONFIG, refit=False), lambda *_: None).run()
    assert model is not None
    assert model.contents.ranker is None
    assert model.contents.facts.metrics["ranker"] == {
        "trained": False,
        "reason": "the log shows too few impressions and views",
    }
    write_bundle(model.contents, tmp_path / "bundle")
    assert load_bundle(tmp_path / "bundle", schema_hash()).contents.ranker is None


def test_contributions_of_a_served_candidate_add_up_to_its_calibrated_chance(trained: TrainedModel, log: SimulatedLog):
    shop = open_shop(Shown(log, impressions=False).read())
    recommender = Recommender(in_memory(trained.contents), shop.catalogue)
    question = find_questions(shop.log, 0, shop.log.last_ms, 40, 7)[-1]
    scored = recommender.start(QueryMaker(shop.log, shop.catalogue, shop.profiles, UTC).query(question))
    candidates = recommender.retrieve(scored, 20)
    chances = recommender.chances(scored, candidates)
    for place in (0, 5):
        parts = contributions_at(recommender, scored, candidates, place)
        assert parts is not None
        for entry in parts:
            p = float(chances[entry["chance"].removeprefix("p_")][place])
            assert entry["base"] + sum(entry["parts"].values()) == pytest.approx(np.log(p / (1 - p)), abs=1e-3)
