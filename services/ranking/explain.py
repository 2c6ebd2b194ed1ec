"""Why an item is in a shopper's list, or why it is not: the use case of POST /explain.

Called by   services/ranking/routes.py
How         the list is made as for POST /rank, then the item is looked for; where re-ranking left it out, the list is
            made again without one wish after the other, and the first that brings the item back is the reason
Parts       contributions of the linear fusion, so they sum to the score by construction; Shapley values of the
            ranker's chances of a click and of a purchase (score_tasks.py), so they sum to its logits
Errors      UnknownItemError; those of rank.py
Dimensions  C candidates, F columns of the fusion, P parts
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from services.ranking.choice import take
from services.ranking.metrics import Stopwatch
from services.ranking.rank import Ranker, Workings
from services.ranking.reasons import PART_NAMES, part_columns, reasons_for
from services.ranking.rerank.business_rules import BusinessRules
from services.ranking.rerank.rerank import Offer, Wishes, rerank
from services.ranking.score_tasks import chances_at, chances_of, contributions_at
from services.ranking.sentences import WHY, in_language
from services.ranking.serving_model import ServingModel
from services.ranking.similar import UnknownItemError
from shared.contracts.explanation import ExplainRankRequest, ExplainReply, FeaturePart, Outcome, ScorePart
from shared.contracts.merchandising import NO_MERCHANDISING
from shared.contracts.recommendation import DegradedReason
from shared.models.recommender import Candidates, Recommender

MAX_FEATURES = 10
OTHER = "other"
NOT_A_CANDIDATE = "not_a_candidate"
NO_ROWS = np.empty(0, np.int32)


@dataclass(frozen=True)
class Finding:
    """What became of the item."""

    outcome: Outcome
    rank: int | None = None
    score_rank: int | None = None
    removed_by: str | None = None
    rule_id: str | None = None
    flags: tuple[str, ...] = ()


def explain(ranker: Ranker, model: ServingModel, request: ExplainRankRequest) -> ExplainReply:
    """Return the answer for one item."""
    recommender, catalogue = model.recommender, model.recommender.catalogue
    row = catalogue.row_of.get(request.item_id, -1)
    if row < 0:
        raise UnknownItemError
    done = ranker.work(model, request, ranker.merchandising(), Stopwatch())
    item = _item(done, row)
    scored = done.offer.scored
    score = float(recommender.score(scored, item)[0])
    found = _find(done, request, row, score)
    parts, features = _parts(recommender, done, item)
    reasons = [
        in_language(reason, catalogue, row, request.language) for reason in reasons_for(recommender, scored, item)[0]
    ]
    candidates = len(done.choice.candidates.row_C)
    words = {"rank": found.rank, "score_rank": found.score_rank, "candidates": candidates}
    return ExplainReply(
        item_id=catalogue.public_id(row),
        outcome=found.outcome,
        why=WHY[found.outcome][request.language].format(**words, rule=found.rule_id or found.removed_by),
        sentence=reasons[0].text,
        rank=found.rank,
        score_rank=found.score_rank,
        candidates=candidates,
        removed_by=found.removed_by,
        rule_id=found.rule_id,
        score=score,
        parts=parts,
        features=features,
        **chances_at(chances_of(recommender, scored, item), 0),
        contributions=contributions_at(recommender, scored, item, 0),
        sources=item.sources()[0],
        reasons=reasons,
        flags=list(found.flags),
        notices=list(done.order.notices),
        model=model.name,
        scenario=request.scenario,
        degraded_reason=_degraded(request, done),
    )


def _item(done: Workings, row: int) -> Candidates:
    """Return the item as the only candidate: out of the list's own, else looked up."""
    place = np.flatnonzero(done.choice.candidates.row_C == row)
    if len(place):
        return take(done.choice.candidates, place)
    return done.offer.recommender.candidates_for(done.offer.scored, np.array([row], np.int32))


def _find(done: Workings, request: ExplainRankRequest, row: int, score: float) -> Finding:
    removed_by = next(iter(done.rules.judge(np.array([row], np.int32)).removed), None)
    if removed_by is not None:
        rule_id = done.rules.business.hidden_by(row) if removed_by == "hidden_by_rule" else None
        return Finding(Outcome.REMOVED, removed_by=removed_by, rule_id=rule_id)
    if request.candidates is not None and request.item_id not in request.candidates:
        return Finding(Outcome.REMOVED, removed_by=NOT_A_CANDIDATE)
    better = int(np.count_nonzero(done.offer.score_C > np.float32(score)))
    places = np.flatnonzero(done.choice.candidates.row_C == row)
    if not len(places):
        return Finding(Outcome.NOT_RETRIEVED, score_rank=better + 1)
    place = int(places[0])
    ties_before = int(np.count_nonzero(done.offer.score_C[:place] == done.offer.score_C[place]))
    score_rank = int(np.count_nonzero(done.offer.score_C > done.offer.score_C[place])) + ties_before + 1
    listed = np.flatnonzero(done.order.place_K == place)
    if len(listed):
        flag = done.order.flags.get(place)
        return Finding(Outcome.SHOWN, int(listed[0]) + 1, score_rank, flags=() if flag is None else (flag,))
    return Finding(_why_left_out(done, place, request.num_items), score_rank=score_rank)


def _why_left_out(done: Workings, place: int, limit: int) -> Outcome:
    for outcome, offer, wishes, rules in _without_one(done):
        if place in rerank(offer, wishes, rules, limit).place_K:
            return outcome
    return Outcome.OUTRANKED


def _without_one(done: Workings) -> Iterator[tuple[Outcome, Offer, Wishes, BusinessRules]]:
    """Yield the list's making with one of its wishes left out, in the order in which they are suspected."""
    offer, wishes, rules = done.offer, done.wishes, done.rules.business
    yield Outcome.REMOVED_BY_DIVERSITY, offer, replace(wishes, diversity=0.0), rules
    yield Outcome.REMOVED_BY_NOVELTY, offer, replace(wishes, novelty=0.0), rules
    unruled = BusinessRules(NO_MERCHANDISING, rules.scenario.name, offer.recommender.catalogue, 0)
    yield Outcome.DISPLACED_BY_RULES, replace(offer, first_showings=NO_ROWS), wishes, unruled


def _parts(recommender: Recommender, done: Workings, item: Candidates) -> tuple[list[ScorePart], list[FeaturePart]]:
    """Return the score by source and group of features, and its weightiest columns."""
    score_F = recommender.fusion_for(done.offer.scored).contributions(item.matrix_CF)[0]
    belongs_FP = part_columns(recommender.fusion_names)
    score_P = score_F @ belongs_FP
    sums = [*zip(PART_NAMES, score_P.tolist(), strict=True), (OTHER, float(score_F[belongs_FP.sum(axis=1) == 0].sum()))]
    parts = [ScorePart(name=name, score=score) for name, score in sorted(sums, key=lambda one: -one[1])]
    weightiest = np.argsort(-np.abs(score_F), kind="stable")[:MAX_FEATURES]
    features = [
        FeaturePart(
            feature=recommender.fusion_names[place], value=float(item.matrix_CF[0, place]), score=float(score_F[place])
        )
        for place in weightiest
        if score_F[place]
    ]
    return parts, features


def _degraded(request: ExplainRankRequest, done: Workings) -> DegradedReason:
    if request.state is None:
        return DegradedReason.FEATURE_UNAVAILABLE
    return DegradedReason.COLD_START if done.shopper.is_stranger else DegradedReason.NONE
