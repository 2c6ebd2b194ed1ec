"""THE use case of ranking: one rank request in, the list with its sources, reasons and receipt out.

Called by   services/ranking/routes.py (a request), services/ranking/warm_up.py (before a model serves)
Steps       shopper → query → encode → retrieve → rules, wider when they leave too few → fuse → re-rank → reply
Full lists  as long as num_items items may be shown, num_items are: first the sources look again among the allowed rows
            only, then what is still missing is filled by popularity
Besides     items that the shop pinned and new items that nobody was shown yet are candidates without a source
Errors      FilterError (a bad filter), MalformedEventsError; both are the caller's
Cost        one thread, no I/O; a few milliseconds (benchmarks/results/serving.json)
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import tzinfo
from functools import lru_cache

import numpy as np

from services.ranking.choice import Choice, join, most_popular, take, with_finite_features
from services.ranking.items import shown
from services.ranking.metrics import RankingMetrics, Stopwatch
from services.ranking.reasons import reasons_for
from services.ranking.rerank.business_rules import next_change_ms
from services.ranking.rerank.novelty import LIST_SHARE, FirstShowings
from services.ranking.rerank.rerank import Offer, Order, Wishes, rerank
from services.ranking.rules import Rules, rules_of
from services.ranking.score_tasks import chances_at, chances_of, contributions_at
from services.ranking.sentences import in_language, language_of
from services.ranking.serving_model import ServingModel
from services.ranking.shopper import Shopper, shopper_of
from shared.contracts.internal import RankedItem, RankReply, RankRequest
from shared.contracts.merchandising import NO_MERCHANDISING, Merchandising
from shared.contracts.recommendation import Counts
from shared.features.candidates import Query
from shared.features.context import ContextValues, context_features
from shared.features.filter import Filter, parse_filter
from shared.models.recommender import SOURCES, Candidates, Recommender, Scored
from shared.models.tensors import BoolArray

PER_SOURCE = 60
"""candidates of each source; also how many must be left for the list not to be called short. More brought the first ten
places of the Complete Journey's validation week nothing; a longer list asks each source for as many as it shows"""


@dataclass(frozen=True)
class Begun:
    """A request whose shopper is known and whose sources have not scored yet."""

    shopper: Shopper
    scored: Scored
    found: Candidates | None = None
    """what the sources bring, where it was found together with that of other shoppers"""


@dataclass(frozen=True)
class Workings:
    """One request, worked through to its list."""

    shopper: Shopper
    rules: Rules
    choice: Choice
    offer: Offer
    wishes: Wishes
    order: Order


class Ranker:
    """Ranks with any model, over the catalogue it is bound to."""

    def __init__(
        self,
        zone: tzinfo,
        metrics: RankingMetrics,
        per_source: int = PER_SOURCE,
        merchandising: Callable[[], Merchandising] = lambda: NO_MERCHANDISING,
    ) -> None:
        self._zone, self._metrics, self._per_source = zone, metrics, per_source
        self.merchandising, self._showings = merchandising, FirstShowings()

    def begin(self, model: ServingModel, request: RankRequest) -> Begun:
        """Return a request with its history, not encoded yet."""
        shopper = shopper_of(request, model.windows)
        return Begun(shopper, model.recommender.start(_query(request, shopper, self._context(request))))

    def rank(self, model: ServingModel, request: RankRequest, begun: Begun | None = None) -> RankReply:
        """Return the list of a request; `begun` is what `begin` returned, if the request was begun before its turn."""
        watch, merchandising = Stopwatch(), self.merchandising()
        done = self._work(model, request, merchandising, begun or self.begin(model, request), watch)
        reply = self._reply(model, request, merchandising, done, watch)
        self._metrics.observe_request(watch, reply.counts.removed, reply.cold_start)
        return reply

    def rank_together(self, model: ServingModel, request: RankRequest, shoppers: Sequence[Shopper]) -> list[RankReply]:
        """Return the list of each of several shoppers, of whom the same is asked and nobody waits.

        Up to the candidates' columns they are worked on together; the metrics, which are of requests, count none.
        """
        merchandising, recommender, context = self.merchandising(), model.recommender, self._context(request)
        scored = recommender.start_together([_query(request, shopper, context) for shopper in shoppers])
        found = recommender.retrieve_together(scored, self._of_each_source(request))
        replies = []
        for begun in map(Begun, shoppers, scored, found):
            watch = Stopwatch()
            done = self._work(model, request, merchandising, begun, watch)
            replies.append(self._reply(model, request, merchandising, done, watch))
        return replies

    def _reply(
        self,
        model: ServingModel,
        request: RankRequest,
        merchandising: Merchandising,
        done: Workings,
        watch: Stopwatch,
    ) -> RankReply:
        items = self._items(done, request)
        watch.lap("reply")
        choice, row_C = done.choice, done.choice.candidates.row_C
        self._showings.count(model.recommender, row_C[done.order.place_K])
        return RankReply(
            items=items,
            counts=Counts(retrieved=choice.retrieved, removed=choice.removed, ranked=len(row_C)),
            model=model.name,
            cold_start=done.shopper.is_stranger,
            took_ms=watch.took_ms(),
            notices=list(done.order.notices),
            rules_version=merchandising.version,
            state_version=None if request.state is None else request.state.version,
            rules_change_at_ms=next_change_ms(merchandising, request.as_of_ms),
        )

    def work(
        self, model: ServingModel, request: RankRequest, merchandising: Merchandising, watch: Stopwatch
    ) -> Workings:
        """Return everything that leads to the list of a request."""
        return self._work(model, request, merchandising, self.begin(model, request), watch)

    def _work(
        self,
        model: ServingModel,
        request: RankRequest,
        merchandising: Merchandising,
        begun: Begun,
        watch: Stopwatch,
    ) -> Workings:
        recommender, wanted = model.recommender, parsed(request.filter)
        shopper, scored = begun.shopper, begun.scored
        _ = scored.by_source  # the sources score here, so that the stages can be told apart
        watch.lap("encode")
        rules = rules_of(request, shopper.window, model.consumables, wanted, merchandising)
        wishes = Wishes.of(request, rules.business.scenario)
        watch.lap("filter")
        choice = self._choose(recommender, begun, rules, request, watch)
        if request.candidates is None:
            choice = self._with_decided(recommender, scored, rules, choice, self._new_places(request, rules, wishes))
            watch.lap("retrieve")
        choice, notices = with_finite_features(recommender, scored, choice)
        score_C = recommender.score(scored, choice.candidates)
        asked = wishes.objective is not None or request.return_.scores
        chances = chances_of(recommender, scored, choice.candidates) if asked else None
        offer = Offer(recommender, scored, choice.candidates, score_C, choice.first_showings, chances, notices)
        watch.lap("fuse")
        order = rerank(offer, wishes, rules.business, request.num_items)
        watch.lap("rerank")
        return Workings(shopper, rules, choice, offer, wishes, order)

    def _new_places(self, request: RankRequest, rules: Rules, wishes: Wishes) -> int:
        """Return how many places of the list are for items that nobody was shown yet."""
        wanted = rules.business.scenario.new_item_places if wishes.novelty else 0
        return min(wanted, request.num_items // LIST_SHARE)

    def _with_decided(
        self, recommender: Recommender, scored: Scored, rules: Rules, choice: Choice, new_places: int
    ) -> Choice:
        """Add what must be in the list, if it may be shown: pinned rows, and new rows whose first showing is due."""
        if not new_places and not rules.business.pins:
            return choice
        due = self._showings.due(recommender, scored) if new_places else np.empty(0, np.int32)
        first = due[rules.judge(due).keep_C][:new_places]
        pinned = np.array([pin.row for pin in rules.business.pins if pin.row >= 0], np.int32)
        pinned = pinned[rules.judge(pinned).keep_C]
        decided = np.concatenate([pinned, first])
        more = np.setdiff1d(decided, choice.candidates.row_C) if len(decided) else decided
        if not len(more):
            return replace(choice, first_showings=first)
        candidates = join(choice.candidates, recommender.candidates_for(scored, more))
        return Choice(candidates, choice.retrieved + len(more), choice.removed, first)

    def _context(self, request: RankRequest) -> ContextValues:
        return context_features(request.context, request.as_of_ms, self._zone)

    def _of_each_source(self, request: RankRequest) -> int:
        """Return how many candidates each source is asked for."""
        return max(self._per_source, request.num_items)

    def _choose(
        self, recommender: Recommender, begun: Begun, rules: Rules, request: RankRequest, watch: Stopwatch
    ) -> Choice:
        if request.candidates is not None:
            return self._choose_among(recommender, begun.scored, rules, request.candidates, watch)
        found, per_source = begun.found, self._of_each_source(request)
        if found is None:
            found = recommender.retrieve(begun.scored, per_source)
            watch.lap("retrieve")
            self._metrics.observe_candidates(zip(SOURCES, found.retrieved_CS.sum(axis=0).tolist(), strict=True))
        verdict = rules.judge(found.row_C)
        kept = take(found, np.flatnonzero(verdict.keep_C))
        watch.lap("filter")
        left = len(kept.row_C)
        if left < per_source:
            kept = self._widen(recommender, begun.scored, kept, rules.allowed_N(), request.num_items)
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
        wide = join(kept, recommender.retrieve(scored, max(self._per_source, wanted), allowed_N))
        missing = min(wanted, left) - len(wide.row_C)
        if missing <= 0:
            return wide
        allowed_N[wide.row_C] = False
        return join(wide, most_popular(recommender, scored, allowed_N, missing))

    def _items(self, done: Workings, request: RankRequest) -> list[RankedItem]:
        recommender, order = done.offer.recommender, done.order
        listed = take(done.choice.candidates, order.place_K)
        explained = request.return_.explain != "none"
        reasons = reasons_for(recommender, done.offer.scored, listed) if explained else [[] for _ in listed.row_C]
        language = language_of(request.context)
        shap = request.return_.explain == "shap"
        items = []
        scored_rows = zip(listed.row_C.tolist(), order.score_K.tolist(), listed.sources(), strict=True)
        for place, (row, score, sources) in enumerate(scored_rows):
            flag = order.flags.get(int(order.place_K[place]))
            if flag is None and not sources and request.candidates is None:
                flag = "filled"
            items.append(
                RankedItem(
                    item_id=recommender.catalogue.public_id(row),
                    score=score,
                    **chances_at(done.offer.chances, int(order.place_K[place])),
                    contributions=contributions_at(recommender, done.offer.scored, listed, place) if shap else None,
                    sources=sources,
                    reasons=[in_language(reason, recommender.catalogue, row, language) for reason in reasons[place]],
                    flags=[] if flag is None else [flag],
                    item=shown(recommender.catalogue.items[row], request.return_.fields),
                )
            )
        return items


def _query(request: RankRequest, shopper: Shopper, context: ContextValues) -> Query:
    return Query(shopper.window, shopper.user, context, shopper.profile, request.as_of_ms)


@lru_cache(maxsize=1024)
def _parsed(text: str) -> Filter:
    return parse_filter(text)


def parsed(text: str | None) -> Filter | None:
    """Return a request's filter; FilterError when it is none. Shops send the same few filters again and again."""
    return _parsed(text) if text else None
