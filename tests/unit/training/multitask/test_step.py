"""The pipeline's step: a shop that logs its lists gets a ranker in its bundle; one with receipts is told why not."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from services.ranking.explain import explain
from services.ranking.metrics import RankingMetrics
from services.ranking.rank import Ranker
from services.ranking.score_tasks import chances_of
from services.ranking.serving_model import BundleLoader, ServingModel
from services.training.assemble import in_memory
from services.training.examples.queries import QueryMaker, find_questions
from services.training.examples.shop import open_shop
from services.training.pipeline import Pipeline, TrainedModel
from services.training.simulation.log import SimulatedLog
from shared.contracts.events import EVENT_TYPE_CODES, EventType
from shared.contracts.explanation import ExplainRankRequest
from shared.contracts.internal import RankRequest, UserState
from shared.contracts.recommendation import Contribution, ReturnShape
from shared.features.registry import schema_hash
from shared.features.shopper_events import shopper_events
from shared.models.bundle import GOLDEN, RANKER, BundleError, load_bundle, write_bundle
from shared.models.bundle_store import put_bundle
from shared.models.recommender import Recommender
from shared.service.metrics import ServiceMetrics
from tests.unit.models.test_bundle import sign_again
from tests.unit.training.multitask.shown_lists import CONFIG, UTC, Shown


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
    write_bundle(trained.contents, tmp_path / "bundle")
    (tmp_path / "bundle" / RANKER).write_bytes(b"no model")
    sign_again(tmp_path / "bundle", RANKER)
    with pytest.raises(BundleError, match=RANKER) as refused:
        load_bundle(tmp_path / "bundle", schema_hash())
    assert refused.value.reason == "corrupt"


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


def test_a_ranker_that_gives_other_numbers_than_at_publication_is_refused_by_name(
    trained: TrainedModel, tmp_path: Path
):
    write_bundle(trained.contents, tmp_path / "bundle")
    golden = tmp_path / "bundle" / GOLDEN
    answers = json.loads(golden.read_bytes())
    assert {answer["source"] for answer in answers} >= {"ranker", "item_cf"}
    answers[-1]["scores"][-1] += 0.05
    golden.write_text(json.dumps(answers))
    sign_again(tmp_path / "bundle", GOLDEN)
    with pytest.raises(BundleError, match="ranker does not answer as it did") as refused:
        load_bundle(tmp_path / "bundle", schema_hash())
    assert refused.value.reason == "golden"


def test_a_ranker_without_golden_answers_is_refused(trained: TrainedModel, tmp_path: Path):
    write_bundle(replace(trained.contents, ranker=None), tmp_path / "without")
    write_bundle(trained.contents, tmp_path / "bundle")
    (tmp_path / "bundle" / GOLDEN).write_bytes((tmp_path / "without" / GOLDEN).read_bytes())
    sign_again(tmp_path / "bundle", GOLDEN)
    with pytest.raises(BundleError, match="ranker does not answer"):
        load_bundle(tmp_path / "bundle", schema_hash())


@pytest.fixture
def serving(trained: TrainedModel, log: SimulatedLog, tmp_path: Path) -> ServingModel:
    version = write_bundle(trained.contents, tmp_path / "bundle")
    put_bundle(tmp_path / "bundle", str(tmp_path / "store"), version)
    catalogue = open_shop(Shown(log, impressions=False).read()).catalogue
    return BundleLoader(str(tmp_path / "store"), tmp_path, schema_hash(), lambda: catalogue).load(version)


def asked_by_a_visitor_of_yesterday(log: SimulatedLog) -> RankRequest:
    as_of_ms = int(log.events.at_ms_E[-1]) + 86_400_000
    lines = [(f"sim-i{item}", as_of_ms - 86_400_000, EVENT_TYPE_CODES[EventType.VIEW], None, 1.0) for item in (3, 7)]
    state = UserState(user_key="u:1", version="1", as_of_ms=as_of_ms, events=shopper_events(lines).packed())
    return RankRequest(
        state=state,
        as_of_ms=as_of_ms,
        num_items=5,
        scenario="home",
        return_=ReturnShape(explain="shap", scores=True),
    )


def sums_by_chance(contributions: list[Contribution] | None) -> dict[str, float]:
    sums: dict[str, float] = {}
    for part in contributions or []:
        sums[part.chance] = sums.get(part.chance, 0.0) + part.value
    return sums


def log_odds(p_click: float | None, p_purchase: float | None) -> dict[str, float]:
    assert p_click is not None
    assert p_purchase is not None
    return {name: float(np.log(p / (1 - p))) for name, p in (("p_click", p_click), ("p_purchase", p_purchase))}


def test_contributions_of_listed_items_add_up_to_their_chances(serving: ServingModel, log: SimulatedLog):
    ranker = Ranker(UTC, RankingMetrics(ServiceMetrics("ranking")))
    reply = ranker.rank(serving, asked_by_a_visitor_of_yesterday(log))
    assert len(reply.items) == 5
    for item in reply.items:
        sums = sums_by_chance(item.contributions)
        assert sums == pytest.approx(log_odds(item.p_click, item.p_purchase), abs=1e-3)


def test_explanations_of_shown_and_hidden_items_add_up_to_their_chances(serving: ServingModel, log: SimulatedLog):
    ranker = Ranker(UTC, RankingMetrics(ServiceMetrics("ranking")))
    request = asked_by_a_visitor_of_yesterday(log)
    shown = ranker.rank(serving, request).items[0]
    for item_id, wishes in ((str(shown.item_id), {}), ("sim-i7", {"exclude": ["sim-i7"]})):
        found = explain(ranker, serving, ExplainRankRequest(**request.model_dump() | wishes, item_id=item_id))
        assert sums_by_chance(found.contributions) == pytest.approx(log_odds(found.p_click, found.p_purchase), abs=1e-3)
        features = [part.feature for part in found.contributions or [] if part.chance == "p_purchase"]
        assert features[0] == "base"
        assert {"history", "product", "likeness"} <= set(features)
        assert found.p_click is not None
        if item_id == str(shown.item_id):
            assert found.p_click == pytest.approx(shown.p_click, rel=1e-4)
