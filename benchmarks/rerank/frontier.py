"""What variety and novelty cost: the same offers, re-ranked by the product's own code under one wish after another.

Called by   __main__.py
Offers      candidates of the product's retrieval with fused scores, without what the shopper has rated before
Rows        {wish, method, strength, ndcg@10, hr@10, ild, genre_ild, novelty, coverage, gini, calibration}
Time        CPU time of one thread, of `rerank` alone, 20 places out of 300 candidates: the best of a retrieval that
            asks each source for more than serving does
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, get_args

import numpy as np

from benchmarks.rerank import metrics
from benchmarks.rerank.shop import CONFIG, Trained
from services.ranking.choice import take
from services.ranking.rerank.business_rules import BusinessRules
from services.ranking.rerank.diversity import wanted_mix
from services.ranking.rerank.rerank import Offer, Wishes, rerank
from services.training.examples.queries import Question
from shared.contracts.merchandising import NO_MERCHANDISING, Method
from shared.models.sources.scores import best_first

PLACES, TIMED_PLACES, TIMED_CANDIDATES = 10, 20, 300
STRENGTHS = tuple(round(0.1 * step, 1) for step in range(11))
METHODS: tuple[Method, ...] = get_args(Method)
TIMED_QUESTIONS, REPEATS = 300, 3


@dataclass(frozen=True)
class Asked:
    """One question with its offer."""

    offer: Offer
    targets: frozenset[int]


def offers(trained: Trained) -> list[Asked]:
    """Return the offers of all questions for which enough candidates are left."""
    asked = (_asked(trained, question, CONFIG.fusion.per_source) for question in trained.questions)
    return [one for one in asked if len(one.offer.candidates.row_C) >= TIMED_PLACES]


def _asked(trained: Trained, question: Question, per_source: int) -> Asked:
    recommender = trained.recommender
    scored = recommender.start(trained.maker.query(question))
    allowed_N = np.ones(len(recommender.catalogue), np.bool_)
    allowed_N[trained.maker.bought_before(question)] = False
    candidates = recommender.retrieve(scored, per_source, allowed_N)
    offer = Offer(recommender, scored, candidates, recommender.score(scored, candidates))
    return Asked(offer, frozenset(question.target_row_T.tolist()))


def rows(trained: Trained, asked: Sequence[Asked]) -> Iterator[dict[str, Any]]:
    """Yield a row for every wish."""
    for wish, wishes in every_wish():
        list_QK = np.array([_list(one.offer, wishes, PLACES) for one in asked], np.int64)
        strength = wishes.diversity or wishes.novelty
        method = wishes.method if wish == "diversity" else None
        yield {"wish": wish, "method": method, "strength": strength} | _judge(trained, asked, list_QK)


def every_wish() -> Iterator[tuple[str, Wishes]]:
    """Yield the pure order, then every strength of every method, then of novelty."""
    yield "none", Wishes()
    for method in METHODS:
        for strength in STRENGTHS[1:]:
            yield "diversity", Wishes(diversity=strength, method=method)
    for strength in STRENGTHS[1:]:
        yield "novelty", Wishes(novelty=strength)


def _list(offer: Offer, wishes: Wishes, places: int) -> np.ndarray[Any, np.dtype[np.int32]]:
    order = rerank(offer, wishes, _no_rules(offer), places)
    return offer.candidates.row_C[order.place_K]


def _no_rules(offer: Offer) -> BusinessRules:
    return BusinessRules(NO_MERCHANDISING, "home", offer.recommender.catalogue, offer.scored.query.as_of_ms)


def _judge(trained: Trained, asked: Sequence[Asked], list_QK: metrics.Rows) -> dict[str, float]:
    catalogue = trained.recommender.catalogue
    every_N = np.arange(len(catalogue), dtype=np.int32)
    vector_ND = trained.recommender.content.vectors(every_N).astype(np.float64)
    log = trained.shop.log.before(trained.recommender.contents.facts.trained_until_ms + 1)
    known = log.events.row_E[log.events.row_E >= 0]
    count_N = np.bincount(known, minlength=len(catalogue)).astype(np.int64)
    top_N = catalogue.top_category_N.astype(np.int64)
    wanted = [wanted_mix(catalogue, one.offer.scored.query.user.category_preference) for one in asked]
    hit_QK = np.array([[row in one.targets for row in list_K] for one, list_K in zip(asked, list_QK, strict=True)])
    discount_K = 1 / np.log2(np.arange(2, PLACES + 2))
    best_Q = np.array([discount_K[: len(one.targets)].sum() for one in asked])
    return {
        "ndcg@10": float(((hit_QK * discount_K).sum(axis=1) / best_Q).mean()),
        "hr@10": float(hit_QK.any(axis=1).mean()),
        "ild": metrics.ild(list_QK, vector_ND),
        "genre_ild": metrics.category_ild(list_QK, top_N),
        "novelty": metrics.novelty(list_QK, count_N),
        "coverage": metrics.coverage(list_QK, len(catalogue)),
        "gini": metrics.gini(list_QK, len(catalogue)),
        "calibration": metrics.calibration(list_QK, top_N, np.array(wanted, np.float64)),
    }


def times(trained: Trained) -> list[dict[str, Any]]:
    """Return what re-ranking costs, in milliseconds of CPU time, by wish."""
    wide = (_asked(trained, question, TIMED_CANDIDATES).offer for question in trained.questions[:TIMED_QUESTIONS])
    cut = [_cut(offer) for offer in wide if len(offer.candidates.row_C) >= TIMED_CANDIDATES]
    timed = [
        ("pure order", Wishes()),
        *((f"diversity 0.5, {method}", Wishes(diversity=0.5, method=method)) for method in METHODS),
        ("novelty 0.5", Wishes(novelty=0.5)),
        ("diversity 0.5, dpp, and novelty 0.5", Wishes(diversity=0.5, novelty=0.5)),
    ]
    return [{"wish": name} | _timed(cut, wishes) for name, wishes in timed]


def _cut(offer: Offer) -> Offer:
    place_C = np.sort(best_first(offer.score_C, TIMED_CANDIDATES))
    return replace(offer, candidates=take(offer.candidates, place_C), score_C=offer.score_C[place_C])


def _timed(cut: Sequence[Offer], wishes: Wishes) -> dict[str, Any]:
    took_ms = []
    for repeat in range(REPEATS + 1):
        for offer in cut:
            rules = _no_rules(offer)
            begun_ns = time.process_time_ns()
            rerank(offer, wishes, rules, TIMED_PLACES)
            if repeat:  # the first round warms up
                took_ms.append((time.process_time_ns() - begun_ns) / 1e6)
    p50, p95, p99 = np.percentile(took_ms, [50, 95, 99]).tolist()
    return {"lists": len(took_ms), "mean_ms": float(np.mean(took_ms)), "p50_ms": p50, "p95_ms": p95, "p99_ms": p99}
