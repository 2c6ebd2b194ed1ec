"""The chances of a click and of a purchase, as re-ranking and the reply want them.

Called by   services/ranking/rank.py, where an objective or the reply asks for them; services/ranking/explain.py
Out         Chances of every candidate if it stood at the top; None without a ranker, or where the shop's log has no
            clicks to learn from
Parts       exact Shapley values of feature groups (shared/models/multitask_shapley.py)
Cost        for 300 candidates and for an explained item: docs/benchmarks/ctr.md; paid only when asked for
"""

from services.ranking.rerank.objective import Chances
from shared.contracts.recommendation import Contribution
from shared.models.recommender import Candidates, Recommender, Scored

BASE = "base"


def chances_of(recommender: Recommender, scored: Scored, candidates: Candidates) -> Chances | None:
    """Return the chances of all candidates."""
    by_task = recommender.chances(scored, candidates)
    if "click" not in by_task:
        return None
    return Chances(by_task["click"], by_task.get("purchase"))


def contributions_at(
    recommender: Recommender, scored: Scored, candidates: Candidates, place: int
) -> list[Contribution] | None:
    """Return what each group of features adds to the logit of each chance of one candidate; None without chances."""
    ranker = recommender.ranker
    if ranker is None or "click" not in ranker.tasks:
        return None
    explained = ranker.explain(scored, candidates, place)
    found = []
    for chance, task in (("p_click", "click"), ("p_purchase", "purchase")):
        if task in explained:
            parts = sorted(explained[task].parts.items(), key=lambda part: -abs(part[1]))
            named = [(BASE, explained[task].base), *parts]
            found += [Contribution(chance=chance, feature=feature, value=value) for feature, value in named]
    return found


def chances_at(chances: Chances | None, place: int) -> dict[str, float]:
    """Return one candidate's chances as the reply names them; empty where there are none."""
    if chances is None:
        return {}
    found = {"p_click": float(chances.click_C[place])}
    if chances.purchase_C is not None:
        found["p_purchase"] = float(chances.purchase_C[place])
    return found
