"""THE use case of ranking: one rank request in, the list with its sources, reasons and receipt out.

Called by   services/ranking/routes.py (a request), services/ranking/warm_up.py (before a model serves)
Steps       shopper → query → encode → retrieve → rules, wider when they leave too few → fuse → top k → reply
Full lists  as long as num_items items may be shown, num_items are: first the sources look again among the allowed rows
            only, then what is still missing is filled by popularity
Errors      FilterError (a bad filter), MalformedEventsError; both are the caller's
Cost        one thread, no I/O; a few milliseconds (benchmarks/results/serving.json)
"""

from dataclasses import dataclass
from datetime import tzinfo
from functools import lru_cache

import numpy as np

from services.ranking.items import shown
from services.ranking.metrics import RankingMetrics, Stopwatch
from services.ranking.reasons import reasons_for
from services.ranking.rules import Rules, rules_of
from services.ranking.serving_model import ServingModel
from services.ranking.shopper import Shopper, shopper_of
from shared.contracts.internal import RankedItem, RankReply, RankRequest
from shared.contracts.recommendation import Counts
from shared.features.candidates import Query
from shared.features.context import context_features
from shared.features.events import FloatArray
from shared.features.filter import Filter, parse_filter
from shared.models.recommender import SOURCES, Candidates, Recommender, Scored
from shared.models.sources.scores import best_first
from shared.models.tensors import BoolArray

PER_SOURCE = 100
"""candidates of each source; also how many must be left for the list not to be called short"""


@dataclass(frozen=True)
class Choice:
    """The candidates that may be shown, and how many there were before the rules."""

    candidates: Candidates
    retrieved: int
    removed: dict[str, int]


class Ranker:
    """Ranks with any model, over the catalogue it is bound to."""

    def __init__(self, zone: tzinfo, metrics: RankingMetrics, per_source: int = PER_SOURCE) -> None:
        self._zone, self._metrics, self._per_source = zone, metrics, per_source

    def rank(self, model: ServingModel, request: RankRequest) -> RankReply:
        """Return the list of a request."""
        watch = Stopwatch()
        wanted = parsed(request.filter)
        shopper = shopper_of(request, model.recommender.catalogue)
        scored = model.recommender.start(self._query(request, shopper))
        _ = scored.by_source  # the sources score here, so that the stages can be told apart
        watch.lap("encode")
        rules = rules_of(request, shopper.window, model.consumables, wanted)
        watch.lap("filter")
        choice = self._choose(model.recommender, scored, rules, request, watch)
        score_C = model.recommender.score(scored, choice.candidates)
        best = best_first(score_C, request.num_items)
        watch.lap("fuse")
        items = self._items(model.recommender, scored, take(choice.candidates, best), score_C[best], request)
        watch.lap("reply")
        self._metrics.observe_request(watch, choice.removed, shopper.is_stranger)
        ranked = len(choice.candidates.row_C)
        counts = Counts(retrieved=choice.retrieved, removed=choice.removed, ranked=ranked)
        return RankReply(
            items=items, counts=counts, model=model.name, cold_start=shopper.is_stranger, took_ms=watch.took_ms()
        )

    def _query(self, request: RankRequest, shopper: Shopper) -> Query:
        context = context_features(request.context, request.as_of_ms, self._zone)
        return Query(shopper.window, shopper.user, context, shopper.profile, request.as_of_ms)

    def _choose(
        self, recommender: Recommender, scored: Scored, rules: Rules, request: RankRequest, watch: Stopwatch
    ) -> Choice:
        if request.candidates is not None:
            return self._choose_among(recommender, scored, rules, request.candidates, watch)
        found = recommender.retrieve(scored, self._per_source)
        watch.lap("retrieve")
        self._metrics.observe_candidates(zip(SOURCES, found.retrieved_CS.sum(axis=0).tolist(), strict=True))
        verdict = rules.judge(found.row_C)
        kept = take(found, np.flatnonzero(verdict.keep_C))
        watch.lap("filter")
        left = len(kept.row_C)
        if left < max(self._per_source, request.num_items):
            kept = self._widen(recommender, scored, kept, rules.allowed_N(), request.num_items)
            watch.lap("retrieve")
        return Choice(kept, len(found.row_C) + len(kept.row_C) - left, verdict.removed)

    def _choose_among(
        self, recommender: Recommender, scored: Scored, rules: Rules, item_ids: list[str], watch: Stopwatch
    ) -> Choice:
        """Take the candidates that the request names; every one of them is scored."""
        row_C = recommender.catalogue.rows(list(dict.fromkeys(item_ids)))
        verdict = rules.judge(row_C[row_C >= 0])
        unknown = int(np.count_nonzero(row_C < 0))
        removed = verdict.removed | ({"unknown": unknown} if unknown else {})
        watch.lap("filter")
        candidates = recommender.candidates_for(scored, row_C[row_C >= 0][verdict.keep_C])
        watch.lap("retrieve")
        return Choice(candidates, len(row_C), removed)

    def _widen(
        self, recommender: Recommender, scored: Scored, kept: Candidates, allowed_N: BoolArray, wanted: int
    ) -> Candidates:
        """Let every source look among the allowed rows only, then fill up with the most popular of those."""
        left = int(np.count_nonzero(allowed_N))
        if left == len(kept.row_C):
            return kept
        self._metrics.widened.inc()
        wide = join(kept, recommender.retrieve(scored, self._per_source, allowed_N))
        missing = min(wanted, left) - len(wide.row_C)
        if missing <= 0:
            return wide
        allowed_N[wide.row_C] = False
        return join(wide, most_popular(recommender, scored, allowed_N, missing))

    def _items(
        self, recommender: Recommender, scored: Scored, listed: Candidates, score_K: FloatArray, request: RankRequest
    ) -> list[RankedItem]:
        explained = request.return_.explain != "none"
        reasons = reasons_for(recommender, scored, listed) if explained else [[] for _ in listed.row_C]
        items = []
        for place, (row, score) in enumerate(zip(listed.row_C.tolist(), score_K.tolist(), strict=True)):
            sources = listed.sources_of(place)
            items.append(
                RankedItem(
                    item_id=recommender.catalogue.public_id(row),
                    score=score,
                    sources=sources,
                    reasons=reasons[place],
                    flags=[] if sources or request.candidates is not None else ["filled"],
                    item=shown(recommender.catalogue.items[row], request.return_.fields),
                )
            )
        return items


@lru_cache(maxsize=1024)
def _parsed(text: str) -> Filter:
    return parse_filter(text)


def parsed(text: str | None) -> Filter | None:
    """Return a request's filter; FilterError when it is none. Shops send the same few filters again and again."""
    return _parsed(text) if text else None


def most_popular(recommender: Recommender, scored: Scored, allowed_N: BoolArray, limit: int) -> Candidates:
    """Return the allowed rows that sell best; items that never sold come last, the newest of them first."""
    row_C = np.flatnonzero(allowed_N).astype(np.int32)
    code_C = recommender.rows.code_of_row_N[row_C]
    sales_C = np.where(code_C >= 0, recommender.contents.popularity.weight_V[np.maximum(code_C, 0)], -1.0)
    order_C = np.lexsort((row_C, -recommender.catalogue.created_ms_N[row_C], -sales_C))
    return recommender.candidates_for(scored, row_C[order_C[:limit]])


def take(candidates: Candidates, place_K: np.ndarray[tuple[int], np.dtype[np.int64]]) -> Candidates:
    """Return some of the candidates, in the order of their places."""
    return Candidates(candidates.row_C[place_K], candidates.matrix_CF[place_K], candidates.retrieved_CS[place_K])


def join(some: Candidates, more: Candidates) -> Candidates:
    """Return the candidates of both, ascending by row; `more` wins where both have a row."""
    fresh = np.flatnonzero(~np.isin(some.row_C, more.row_C))
    row_C = np.concatenate([some.row_C[fresh], more.row_C])
    order_C = np.argsort(row_C, kind="stable")
    return Candidates(
        row_C[order_C],
        np.concatenate([some.matrix_CF[fresh], more.matrix_CF])[order_C],
        np.concatenate([some.retrieved_CS[fresh], more.retrieved_CS])[order_C],
    )
