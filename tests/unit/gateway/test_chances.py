"""Chances and their parts in the reply: there when asked for and known, never made up."""

from services.gateway.answer import shaped
from shared.contracts.recommendation import ReturnShape

RANKED = {"item_id": "a", "score": 1.0, "p_click": 0.2, "p_purchase": None, "contributions": [{"chance": "p_click"}]}


def test_chances_are_in_the_reply_when_scores_are_asked_for():
    assert shaped([RANKED], ReturnShape(scores=True)) == [{"item_id": "a", "score": 1.0, "p_click": 0.2}]


def test_without_the_wish_there_are_no_chances():
    assert shaped([RANKED], ReturnShape()) == [{"item_id": "a", "score": 1.0}]


def test_parts_of_the_chances_come_with_the_wish_for_shap_only():
    assert shaped([RANKED], ReturnShape(explain="shap"))[0]["contributions"] == [{"chance": "p_click"}]
    assert "contributions" not in shaped([RANKED], ReturnShape(explain="reasons"))[0]
