"""The ranker learns the funnel of a small shop, says it as ONNX, and is calibrated by a later slice."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

from services.training.multitask.calibrate import fit_calibration
from services.training.multitask.config import MultitaskConfig
from services.training.multitask.examples import RankerExamples, bins_of
from services.training.multitask.export import export_ranker
from services.training.multitask.fit import FittedRanker, fit_ranker, predict
from shared.models.multitask_calibration import Calibration
from shared.models.multitask_inputs import RankerFields
from shared.models.multitask_session import RankerSession
from tests.unit.training.multitask.small_shop import FIELDS, ITEMS, SMALL, small_shop


def test_the_ranker_finds_most_of_what_can_be_known(fitted: FittedRanker):
    shop = small_shop(1500, 3)
    p_NT = predict(fitted.model, shop.examples.rows)
    for task in range(2):
        label_N = shop.examples.label_NT[:, task]
        best = roc_auc_score(label_N, shop.truth_NT[:, task])
        assert (roc_auc_score(label_N, p_NT[:, task]) - 0.5) / (best - 0.5) > 0.85


def test_a_purchase_is_never_likelier_than_a_click(fitted: FittedRanker):
    p_NT = predict(fitted.model, small_shop(100, 4).examples.rows)
    assert (p_NT[:, 1] <= p_NT[:, 0]).all()


def test_a_place_further_down_is_clicked_less_and_an_unknown_place_counts_as_the_top(fitted: FittedRanker):
    rows = small_shop(200, 5).examples.rows
    top, third, unknown = (
        predict(fitted.model, replace(rows, position_N=np.full_like(rows.position_N, place))) for place in (1, 3, 0)
    )
    assert (third < top).all()
    assert np.array_equal(unknown, top)


def test_the_served_model_answers_as_the_trained_one_does_at_the_top(fitted: FittedRanker):
    session = RankerSession(export_ranker(fitted.model))
    for request, wanted in ((0, 6), (3, 1)):
        rows, _ = small_shop(10, 6).examples.rows.of_requests(np.array([request], np.int32))
        rows = rows.at(np.arange(wanted, dtype=np.int32))
        expected = predict(fitted.model, replace(rows, position_N=np.ones_like(rows.position_N)))
        np.testing.assert_allclose(session.chances(rows), expected, atol=1e-5)


def test_a_number_that_is_none_is_refused_by_the_name_of_its_side(fitted: FittedRanker):
    rows = small_shop(5).examples.rows
    broken = replace(rows, item_number_NF=np.full_like(rows.item_number_NF, np.nan))
    with pytest.raises(ValueError, match="number of the item is not finite"):
        broken.check(FIELDS)


@pytest.mark.parametrize(("largest", "wide_enough"), [(3.0, 1), (1e-40, 0)])
def test_a_number_that_fades_to_almost_nothing_is_trained_with(largest: float, wide_enough: int):
    shop = small_shop(300)
    fading_N = (largest * 0.5 ** np.linspace(0, 300, len(shop.examples))).astype(np.float32)
    bins = bins_of(fading_N[:, None])
    assert bool(torch.isfinite(1 / bins.width_K).all())
    assert len(bins.of_K) == wide_enough
    number_NF = np.column_stack([shop.examples.rows.item_number_NF[:, :-1], fading_N])
    faded = RankerExamples(replace(shop.examples.rows, item_number_NF=number_NF), shop.examples.label_NT)
    found = fit_ranker(faded, faded, FIELDS, replace(SMALL, epochs=1))
    assert np.isfinite(predict(found.model, faded.rows)).all()


def test_a_short_log_of_a_large_catalogue_is_trained_with():
    shop = small_shop(20).examples
    item, category = FIELDS.item_categories
    fields = replace(FIELDS, item_categories=(replace(item, size=50_000), category))
    found = fit_ranker(shop, shop, fields, replace(SMALL, epochs=20, patience=20))
    unseen = found.model.item.categories[0].weight[ITEMS + 1 :]
    assert float(unseen.detach().abs().max()) < 0.05
    assert found.curve[-1]["click"] < found.curve[0]["click"]


def test_leaving_out_negatives_does_not_raise_the_chances(fitted: FittedRanker):
    sampled = replace(SMALL, keep_negatives=0.3, epochs=8)
    thin = fit_ranker(small_shop(2500).examples, small_shop(400, 2).examples, FIELDS, sampled)
    shop = small_shop(1500, 3)
    top = replace(shop.examples.rows, position_N=np.ones_like(shop.examples.rows.position_N))
    for model in (thin.model, fitted.model):
        predicted = predict(model, shop.examples.rows)[:, 0].mean()
        assert predicted == pytest.approx(shop.truth_NT[:, 0].mean(), rel=0.12)
    assert predict(thin.model, top).mean() == pytest.approx(predict(fitted.model, top).mean(), rel=0.15)


def test_one_task_alone_is_trained_without_the_other():
    shop = small_shop(300)
    fields = replace(FIELDS, tasks=("click",))
    clicks = RankerExamples(shop.examples.rows, shop.examples.label_NT[:, :1])
    found = fit_ranker(clicks, clicks, fields, replace(SMALL, epochs=1))
    assert predict(found.model, shop.examples.rows).shape == (1800, 1)


def test_the_same_examples_and_seed_give_the_same_weights():
    shop = small_shop(200).examples
    first, second = (fit_ranker(shop, shop, FIELDS, replace(SMALL, epochs=1)) for _ in range(2))
    for one, other in zip(first.model.parameters(), second.model.parameters(), strict=True):
        assert torch.equal(one, other)


def test_uncertainty_may_weigh_the_tasks():
    shop = small_shop(300).examples
    found = fit_ranker(shop, shop, FIELDS, replace(SMALL, epochs=2, uncertainty=True))
    assert found.curve[-1]["click"] < found.curve[0]["click"] * 1.05


@pytest.mark.parametrize("method", ["platt", "isotonic"])
def test_calibration_brings_shifted_chances_back_without_changing_the_order(method: str):
    shop = small_shop(4000, 7)
    odds_NT = shop.truth_NT / (1 - shop.truth_NT) * 3
    wrong_NT = (odds_NT / (1 + odds_NT)).astype(np.float32)
    calibration = fit_calibration(wrong_NT, shop.examples.label_NT, method)
    right_NT = Calibration.from_json(calibration.to_json()).apply(wrong_NT)
    np.testing.assert_allclose(right_NT.mean(axis=0), shop.examples.label_NT.mean(axis=0), rtol=0.08)
    assert abs(right_NT - shop.truth_NT).mean() < 0.3 * abs(wrong_NT - shop.truth_NT).mean()
    order = np.argsort(wrong_NT[:, 0])
    assert (np.diff(right_NT[order, 0]) >= -1e-6).all()


def test_a_calibration_that_falls_is_refused():
    with pytest.raises(ValueError, match="does not rise"):
        Calibration.from_json([{"logit": [-1.0, 1.0], "calibrated": [0.0, -1.0]}])


def test_the_fields_come_back_from_json():
    assert RankerFields.from_json(FIELDS.to_json()) == FIELDS


def test_a_weight_that_is_no_number_is_refused():
    with pytest.raises(ValueError, match="task click"):
        MultitaskConfig(task_weights={"click": float("nan")})
