"""The chances of a click and of a purchase, as re-ranking and the reply want them.

Called by   services/ranking/rank.py, where an objective or the reply asks for them
Out         Chances of every candidate if it stood at the top; None without a ranker, or where the shop's log has no
            clicks to learn from
Parts       exact Shapley values of feature groups (shared/models/multitask_shapley.py)
Cost        about 1.5 ms of CPU for 300 candidates (docs/benchmarks/ctr.md): paid only when asked for
"""

from typing import Any

from services.ranking.rerank.objective import Chances
from shared.models.recommender import Candidates, Recommender, Scored


def chances_of(recommender: Recommender, scored: Scored, candidates: Candidates) -> Chances | None:
    """Return the chances of all candidates."""
    by_task = recommender.chances(scored, candidates)
    if "click" not in by_task:
        return None
    return Chances(by_task["click"], by_task.get("purchase"))


def contributions_at(
    recommender: Recommender, scored: Scored, candidates: Candidates, place: int
) -> list[dict[str, Any]] | None:
    """Return what each group of features adds to the logit of each chance of one candidate; None without a ranker."""
    if recommender.ranker is None:
        return None
    found = recommender.ranker.explain(scored, candidates, place)
    return [
        {"chance": f"p_{task}", "base": one.base, "parts": dict(one.parts), "logit": one.logit}
        for task, one in found.items()
    ]


def chances_at(chances: Chances | None, place: int) -> dict[str, float]:
    """Return one candidate's chances as the reply names them; empty where there are none."""
    if chances is None:
        return {}
    found = {"p_click": float(chances.click_C[place])}
    if chances.purchase_C is not None:
        found["p_purchase"] = float(chances.purchase_C[place])
    return found
