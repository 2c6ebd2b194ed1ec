"""The conditional logit: recovered weights, priors, signs."""

import numpy as np
import pytest

from services.training.fusion.examples import FusionExamples
from services.training.fusion.fit import ConditionalLogit, fit_fusion
from services.training.fusion.prior import WeightPrior
from shared.models.columns import source_names
from shared.models.sources.history import HISTORY_SOURCES


def examples_of(names: tuple[str, ...], weight_F: list[float], questions: int = 800, seed: int = 0) -> FusionExamples:
    """Return questions of 12 candidates whose choices follow the weights."""
    random = np.random.default_rng(seed)
    matrix = random.normal(size=(questions * 12, len(names))).astype(np.float32)
    utility = matrix @ np.array(weight_F) + random.gumbel(size=len(matrix))
    bought = np.zeros(len(matrix), np.bool_)
    bought[np.arange(questions) * 12 + utility.reshape(questions, 12).argmax(axis=1)] = True
    return FusionExamples(np.arange(questions + 1) * 12, matrix, bought, names)


def raw_weights(examples: FusionExamples, l2: float = 1e-4) -> dict[str, float]:
    fusion, _ = fit_fusion(examples, l2)
    return dict(zip(fusion.feature_names, (fusion.weight_F / fusion.std_F).tolist(), strict=True))


def test_weights_that_made_the_choices_are_found_again() -> None:
    found = raw_weights(examples_of(("repeat", "log_price", "item_cf"), [1.5, -0.8, 0.5], 2000))
    assert found == pytest.approx({"repeat": 1.5, "log_price": -0.8, "item_cf": 0.5}, abs=0.12)


def test_a_source_never_counts_against_an_item_though_the_log_says_so() -> None:
    assert raw_weights(examples_of(("svd_log", "log_price"), [-1.0, 0.5]))["svd_log"] == 0


@pytest.mark.parametrize("source", HISTORY_SOURCES)
def test_every_source_of_the_recommender_has_its_sign(source: str) -> None:
    assert (WeightPrior.of(source_names((source,))).least_F == 0).all()


def test_what_the_log_cannot_teach_keeps_its_prior() -> None:
    examples = examples_of(("repeat", "under_budget", "device_affinity"), [1.0, 0.0, 0.0])
    examples.matrix_CF[:, 1:] = 0
    found = raw_weights(examples)
    assert found["under_budget"] == -2
    assert found["device_affinity"] == 1


def test_a_budget_always_counts() -> None:
    assert raw_weights(examples_of(("over_budget", "repeat"), [1.0, 0.5]))["over_budget"] == pytest.approx(-1, abs=1e-3)


def test_fit_explains_the_choices_better_than_equal_scores() -> None:
    fusion, report = fit_fusion(examples_of(("repeat",), [2.0]), 1e-3)
    assert report.loss_uniform == pytest.approx(np.log(12), abs=1e-4)
    assert report.loss < report.loss_uniform - 0.5
    assert np.isfinite(fusion.weight_F).all()


def test_gradient_is_that_of_the_loss() -> None:
    examples = examples_of(("repeat", "log_price"), [1.0, 0.3], 50)
    logit = ConditionalLogit(examples.matrix_CF, examples, 0.1, np.array([0.2, 0.0]))
    weight = np.array([0.4, -0.2])
    for place in range(2):
        step = np.zeros(2)
        step[place] = 1e-2
        numeric = (logit(weight + step)[0] - logit(weight - step)[0]) / 2e-2
        assert logit(weight)[1][place] == pytest.approx(numeric, rel=1e-2)


def test_equal_examples_give_equal_weights() -> None:
    one, two = (fit_fusion(examples_of(("repeat", "content"), [1.0, 0.2]), 1e-2)[0] for _ in range(2))
    assert (one.weight_F == two.weight_F).all()


def test_prior_is_made_for_any_column_and_is_free_where_it_knows_nothing() -> None:
    prior = WeightPrior.of(("department=MEAT", "hour_affinity", "price_gap"))
    assert prior.centre_F.tolist() == [0, 1, 0]
    assert prior.least_F.tolist() == [-np.inf, 0, -np.inf]
    assert prior.greatest_F.tolist() == [np.inf, np.inf, 0]


def test_a_source_that_adds_next_to_nothing_gets_no_weight() -> None:
    examples = examples_of(("item_cf", "markov", "repeat"), [1.5, 0.05, 1.0], 2000)
    everything, _ = fit_fusion(examples, 1e-4)
    worth_it, _ = fit_fusion(examples, 1e-4, least_gain=0.01)
    assert everything.weight_F[1] > 0
    assert worth_it.weight_F[1] == 0
    assert worth_it.weight_F[[0, 2]] == pytest.approx(everything.weight_F[[0, 2]], rel=0.05)


def test_a_feature_is_never_left_out_for_its_small_part() -> None:
    fusion, _ = fit_fusion(examples_of(("item_cf", "log_price"), [1.5, 0.05], 2000), 1e-4, least_gain=0.01)
    assert fusion.weight_F[1] != 0
