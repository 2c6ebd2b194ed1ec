"""The whole pipeline on the tiny shop, without a database: what it learns, and that it repeats."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pytest

from services.training.asking import LEAST_SHARE
from services.training.assemble import in_memory
from services.training.config import FusionConfig, TrainingConfig
from services.training.errors import TooLittleDataError
from services.training.evaluation.offline import METRICS, SLICES
from services.training.examples.source import ShopFiles, with_event_columns
from services.training.pipeline import Pipeline, TrainedModel
from services.training.progress import Progress
from services.training.sequence.config import SequenceConfig
from shared.contracts.internal import Profile
from shared.contracts.recommendation import Budget, Context
from shared.features.candidates import Query
from shared.features.catalogue import Catalogue
from shared.features.context import context_features
from shared.features.events import EMPTY_WINDOW
from shared.features.registry import schema_hash
from shared.features.user import NO_FEATURES, UserFeatures
from shared.models.bundle import load_bundle, write_bundle
from shared.models.encoder import EncoderConfig
from shared.models.recommender import Recommender
from shared.models.sources.history import HISTORY_SOURCES
from tests.tiny_shop import SHOPPERS, UNTIL_MS, tiny_items, tiny_log

CONFIG = TrainingConfig(
    name="tiny",
    min_item_events=2,
    content_dim=8,
    threads=1,
    sequence=SequenceConfig(
        EncoderConfig(dim=16, blocks=1, heads=2, max_length=16, dropout=0.1), suit=False, epochs=2, threads=1
    ),
    fusion=FusionConfig(per_source=20),
)


SHOP = Catalogue(tiny_items())


class TinySource:
    """The tiny shop as files."""

    def read(self) -> ShopFiles:
        """Return its events, products and age bands."""
        log = tiny_log()
        items = tiny_items()
        events = pa.table(
            {
                "user_key": [f"u:{user}" for user in log.user_E],
                "event_id": [f"e{place:05d}" for place in range(len(log.user_E))],
                "item_id": [items[item].item_id for item in log.item_E],
                "type": pa.array(log.type_E, pa.int16()),
                "at_ms": log.at_ms_E,
                "price": np.array([items[item].price for item in log.item_E], np.float32),
                "quantity": np.ones(len(log.user_E), np.float32),
            }
        )
        profiles = {f"u:{user}": Profile(age_band=log.age_band_U[user]) for user in range(SHOPPERS)}
        return ShopFiles(with_event_columns(events), items, profiles)


def run(
    config: TrainingConfig = CONFIG, work: Path | None = None, reports: list[Progress] | None = None
) -> TrainedModel:
    report = (reports if reports is not None else []).append
    model = Pipeline(TinySource(), ZoneInfo("UTC"), config, lambda *_: None, work, report=report).run()
    assert model is not None
    return model


@pytest.fixture(scope="module")
def reports() -> list[Progress]:
    return []


@pytest.fixture(scope="module")
def model(reports: list[Progress]) -> TrainedModel:
    return run(reports=reports)


def test_fused_beats_popularity_and_the_gate_says_so(model: TrainedModel) -> None:
    score = {row["source"]: row["NDCG@10"] for row in model.evaluation["rows"]}
    assert score["fused"] > 1.3 * score["popularity"]
    assert model.verdict.promoted
    assert "no model serves yet" in model.verdict.summary


def test_report_has_every_source_metric_and_slice(model: TrainedModel) -> None:
    expected = {"fused", "popularity", "content", *HISTORY_SOURCES}
    assert {row["source"] for row in model.evaluation["rows"]} == expected
    for part in (model.evaluation, *(model.evaluation[name] for name in SLICES[1:])):
        assert part["questions"] > 0
        for row in part["rows"]:
            assert all(0 <= row[metric] <= 1 for metric in METRICS)
    assert model.evaluation["items"] == len(tiny_items())


def test_strangers_have_weights_of_their_own_that_beat_the_popular_list(model: TrainedModel) -> None:
    assert not np.array_equal(model.contents.stranger_fusion.weight_F, model.contents.fusion.weight_F)
    strangers = model.evaluation["strangers"]
    score = {row["source"]: row["NDCG@10"] for row in strangers["rows"]}
    assert strangers["questions"] == model.evaluation["questions"]
    assert score["fused"] > score["popularity"]


def test_repeat_source_finds_repeats_and_never_a_new_product(model: TrainedModel) -> None:
    repeats, fresh = (
        {row["source"]: row["NDCG@10"] for row in model.evaluation[name]["rows"]} for name in ("repeats", "new")
    )
    assert repeats["repeat"] > 1.2 * repeats["popularity"]
    assert fresh["item_cf"] > fresh["repeat"]


def test_bundle_loads_and_knows_the_whole_log_after_the_refit(model: TrainedModel, tmp_path: Path) -> None:
    version = write_bundle(model.contents, tmp_path / "bundle")
    loaded = load_bundle(tmp_path / "bundle", schema_hash(), version)
    facts = loaded.contents.facts
    assert facts.trained_until_ms == int(tiny_log().at_ms_E.max())
    assert facts.trained_until_ms < UNTIL_MS
    assert facts.metrics["test"] == model.evaluation
    assert facts.configuration["seed"] == CONFIG.seed


def test_two_runs_give_one_bundle(model: TrainedModel, tmp_path: Path) -> None:
    assert write_bundle(model.contents, tmp_path / "one") == write_bundle(run().contents, tmp_path / "two")


def test_a_bundle_does_not_depend_on_the_number_of_processes(model: TrainedModel, tmp_path: Path) -> None:
    assert model.evaluation["questions"] >= 2 * LEAST_SHARE
    shared_out = run(replace(CONFIG, threads=2))
    assert write_bundle(model.contents, tmp_path / "one") == write_bundle(shared_out.contents, tmp_path / "two")


def test_every_step_reports_its_end(reports: list[Progress], model: TrainedModel) -> None:
    done = {report.step for report in reports if report.done >= report.total}
    assert {"read and clean", "sequence epoch 1", "sequence epoch 2", "collaborative tables", "evaluation"} <= done
    assert {"fusion: candidates", "fusion: weights", "refit: sequence epoch 1", "refit: export and encode"} <= done


def test_without_a_refit_the_model_ends_before_the_validation_period() -> None:
    config = replace(CONFIG, refit=False, sequence=replace(CONFIG.sequence, epochs=1))
    contents = run(config).contents
    assert contents.facts.trained_until_ms <= int(tiny_log().at_ms_E.max()) - 14 * 86_400_000


def test_a_shop_with_too_few_events_is_refused_in_words() -> None:
    with pytest.raises(TooLittleDataError, match="no item has 100000 events"):
        run(replace(CONFIG, min_item_events=100_000))


def score_of(model: TrainedModel, item_id: str, query: Query) -> float:
    """Return the fused score of one product, against an average candidate."""
    recommender = Recommender(in_memory(model.contents), SHOP)
    scored = recommender.start(query)
    return float(recommender.score(scored, recommender.candidates_for(scored, SHOP.rows([item_id])))[0])


def query_of(context: Context, user: UserFeatures = NO_FEATURES) -> Query:
    return Query(EMPTY_WINDOW, user, context_features(context, UNTIL_MS, UTC), None, UNTIL_MS)


def test_trained_model_offers_coffee_in_the_morning_and_wine_in_the_evening(model: TrainedModel) -> None:
    morning, evening = (query_of(Context(local_time=datetime(2026, 11, 1, hour, tzinfo=UTC))) for hour in (8, 19))
    assert score_of(model, "coffee-plain-0", morning) > score_of(model, "coffee-plain-0", evening)
    assert score_of(model, "wine-plain-0", morning) < score_of(model, "wine-plain-0", evening)


def test_trained_model_heeds_a_budget_it_never_saw_in_the_log(model: TrainedModel) -> None:
    free, poor, rich = (
        query_of(Context(budget=budget)) for budget in (None, Budget(max=20.0), Budget(min=300.0, max=1000.0))
    )
    assert score_of(model, "chairs-fine-4", poor) < score_of(model, "chairs-fine-4", free)
    assert score_of(model, "coffee-plain-0", poor) == score_of(model, "coffee-plain-0", free)
    assert score_of(model, "coffee-plain-0", rich) < score_of(model, "coffee-plain-0", free)


def test_trained_model_follows_the_category_that_a_shopper_prefers(model: TrainedModel) -> None:
    fond = replace(NO_FEATURES, category_preference={"lamps": 0.8, "bread": 0.2})
    plain, drawn = query_of(Context()), query_of(Context(), fond)
    assert score_of(model, "lamps-plain-0", drawn) > score_of(model, "lamps-plain-0", plain)
    assert score_of(model, "wine-plain-0", drawn) == score_of(model, "wine-plain-0", plain)
