"""Global importance: real parts of served candidates, in the report's figures and in its two pictures."""

import struct

import numpy as np
import pytest

from services.training.assemble import in_memory
from services.training.examples.queries import QueryMaker, find_questions
from services.training.examples.shop import open_shop
from services.training.multitask.importance import Importance, importance_of
from services.training.multitask.importance_plots import BARS, BEESWARM, pictures_of, spread_apart
from services.training.pipeline import TrainedModel
from services.training.progress import quiet
from services.training.simulation.log import SimulatedLog
from shared.models.multitask_calibration import logit
from shared.models.recommender import Recommender
from tests.unit.training.multitask.shown_lists import CONFIG, UTC, Shown


def size_of(png: bytes) -> tuple[int, int]:
    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    width, height = struct.unpack(">II", png[16:24])
    return width, height


def test_the_report_names_what_the_chances_depend_on_and_has_two_pictures(trained: TrainedModel):
    found = trained.contents.facts.metrics["ranker"]["importance"]
    assert CONFIG.multitask is not None
    assert found["candidates"] == CONFIG.multitask.explained
    assert found["pictures"] == [BEESWARM, BARS] == list(trained.pictures)
    for task in ("click", "purchase"):
        sizes = list(found["mean_absolute_part"][task].values())
        assert sizes == sorted(sizes, reverse=True)
        assert sizes[0] > 0
    assert all(min(size_of(picture)) > 200 for picture in trained.pictures.values())


def test_parts_of_the_importance_add_up_to_what_the_served_ranker_says(trained: TrainedModel, log: SimulatedLog):
    shop = open_shop(Shown(log, impressions=False).read())
    recommender = Recommender(in_memory(trained.contents), shop.catalogue)
    maker = QueryMaker(shop.log, shop.catalogue, shop.profiles, UTC)
    questions = [one for one in find_questions(shop.log, 0, shop.log.last_ms, 40, 7) if len(one.target_row_T) == 1][:5]
    assert recommender.ranker is not None
    found = importance_of(recommender.ranker, recommender, maker, questions, 5, 7, quiet)
    for place, question in enumerate(questions):
        scored = recommender.start(maker.query(question))
        served = recommender.chances(scored, recommender.candidates_for(scored, question.target_row_T))
        expected_T = [float(logit(served[task])[0]) for task in found.tasks]
        assert found.logit_XT[place].tolist() == pytest.approx(expected_T, abs=1e-3)
        base_T = found.logit_XT[place] - found.part_XTG[place].sum(axis=1)
        assert base_T.tolist() == pytest.approx((found.logit_XT[0] - found.part_XTG[0].sum(axis=1)).tolist(), abs=1e-3)


def made_up(scale: float) -> Importance:
    rng = np.random.default_rng(3)
    part_XTG = (rng.normal(size=(60, 2, 3)) * [0.1, scale, 0.5]).astype(np.float32)
    return Importance(("click", "purchase"), ("price", "history", "moment"), part_XTG, part_XTG.sum(axis=2))


def test_a_group_with_larger_parts_comes_first_and_changes_the_pictures():
    small, large = made_up(0.2), made_up(2.0)
    assert [small.groups[group] for group in small.order(0)] == ["moment", "history", "price"]
    assert [large.groups[group] for group in large.order(0)] == ["history", "moment", "price"]
    assert pictures_of(small)[BARS] == pictures_of(small)[BARS] != pictures_of(large)[BARS]
    assert pictures_of(small)[BEESWARM] != pictures_of(large)[BEESWARM]


def test_dots_of_a_swarm_stay_in_their_row_and_do_not_cover_each_other():
    part_X = np.full(50, 0.3, np.float32)
    moved_X = spread_apart(part_X, 1.0)
    assert len(np.unique(moved_X)) == 50
    assert np.abs(moved_X).max() <= 0.4
    assert spread_apart(np.array([-0.5, 0.5], np.float32), 1.0).tolist() == [0.0, 0.0]
