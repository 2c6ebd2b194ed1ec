"""Retrieve and score: everything between a shopper's state and a scored set of candidates.

Called by   services/ranking/rank.py (a request), services/training (fusion fit and offline evaluation): the same code
In          a Query (shared/features/candidates.py), catalogue rows that may be shown
Out         Candidates: rows, the fusion's matrix, which source retrieved which row
Dimensions  Q queries, N catalogue rows, V items of the vocabulary, C candidates, S sources, F fusion columns
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate, pairwise

import numpy as np

from shared.features.candidates import Asked, CandidateFeatures, CandidateTables, Query
from shared.features.catalogue import Catalogue
from shared.features.events import FloatArray, IntArray
from shared.models.bundle import Bundle
from shared.models.columns import COLUMNS_PER_SOURCE, fill_columns_of_several, source_names
from shared.models.content import ContentIndex
from shared.models.fusion import Fusion
from shared.models.multitask_scorer import RankerScorer
from shared.models.rows import RowMap
from shared.models.sources.history import HISTORY_SOURCES, TogetherSource, history_sources, sequence_source
from shared.models.sources.neighbours import NeighbourSource, similar
from shared.models.sources.popularity import PopularityScores, PopularitySource
from shared.models.sources.scores import EMPTY_SCORES, SourceScores
from shared.models.sources.transitions import TransitionSource
from shared.models.tensors import BoolArray, History, history_of

FAVOURITE_CATEGORIES = 5
SOURCES = (*HISTORY_SOURCES, "popularity", "content")


def heard_sources(fusion: Fusion) -> frozenset[str]:
    """Return the history sources that a fusion gives weight; all of them while no source has any, as before its fit.

    The others would bring candidates that nothing speaks for: they are not asked, which is a good part of the time of
    an answer. A shopper without a history gets nothing of any of them.
    """
    weighed = {name for name, weight in zip(fusion.feature_names, fusion.weight_F.tolist(), strict=True) if weight}
    heard = frozenset(name for name in HISTORY_SOURCES if weighed & {*source_names((name,))})
    return heard or frozenset(HISTORY_SOURCES)


@dataclass(frozen=True)
class Candidates:
    """Items to choose from, ascending by row."""

    row_C: IntArray
    matrix_CF: FloatArray
    retrieved_CS: BoolArray
    """columns in the order of SOURCES"""

    def sources(self) -> list[list[str]]:
        """Return the names of the sources that retrieved each candidate."""
        names: list[list[str]] = [[] for _ in self.row_C]
        for place, source in np.argwhere(self.retrieved_CS).tolist():
            names[place].append(SOURCES[source])
        return names


class Scored:
    """One query with its history and the scores of every source, each computed once."""

    def __init__(
        self, query: Query, history: History, recommender: "Recommender", together: Mapping[str, SourceScores]
    ) -> None:
        """`together`: the scores that were made with those of other queries, by source."""
        self.query, self.history, self._recommender, self._together = query, history, recommender, together

    @cached_property
    def by_source(self) -> dict[str, SourceScores]:
        """Return the scores of the sources that read the history; of one that the fusion does not hear, none."""
        heard = self._recommender.heard
        return {name: self.alone(name) if name in heard else EMPTY_SCORES for name in HISTORY_SOURCES}

    def with_scores(self, source: str, scores: SourceScores) -> "Scored":
        """Return the query with the scores of one source, made elsewhere."""
        return Scored(self.query, self.history, self._recommender, {**self._together, source: scores})

    def alone(self, source: str) -> SourceScores:
        """Return the scores of one source that reads the history, heard or not."""
        made = self._together.get(source)
        return self._recommender.history_sources[source].scores(self.history) if made is None else made

    @cached_property
    def wanted_D(self) -> FloatArray | None:
        """Return the content that the history is about."""
        return self._recommender.content.wanted(self.history)

    @cached_property
    def popularity(self) -> PopularityScores:
        """Return popularity over all, in the shopper's favourite categories and in the page's."""
        favourites = tuple(self.query.user.category_preference)[:FAVOURITE_CATEGORIES]
        page = (self.query.context.category,) if self.query.context.category else ()
        return self._recommender.popularity.scores((*page, *favourites))


class Recommender:
    """A bundle bound to a live catalogue."""

    def __init__(self, bundle: Bundle, catalogue: Catalogue, sequence: TogetherSource | None = None) -> None:
        """`sequence`: the encoder as a source, where it does not run on a CPU."""
        contents = bundle.contents
        self.version, self.contents, self.catalogue = bundle.version, contents, catalogue
        self.rows = RowMap(contents.item_ids, catalogue)
        self.features = CandidateFeatures(catalogue, CandidateTables.from_json(contents.encodings, contents.item_ids))
        self.content = ContentIndex(contents, catalogue, self.rows)
        self.sequence = sequence or sequence_source(contents, bundle.session)
        self.history_sources = history_sources(contents, self.sequence)
        rows_of_categories = {name: place + 1 for place, name in enumerate(contents.categories)}
        self.popularity = PopularitySource(contents.popularity, rows_of_categories)
        self.heard = heard_sources(contents.fusion)
        self.fusion_names = (*source_names(HISTORY_SOURCES), "content", *self.features.names)
        self.ranker = None if contents.ranker is None else RankerScorer(self, contents.ranker)

    def start(self, query: Query) -> Scored:
        """Begin with one query: cut its history to what the vocabulary knows."""
        return Scored(query, self._history(query), self, {})

    def start_together(self, queries: Sequence[Query]) -> list[Scored]:
        """Begin with several queries; the sources that are cheaper for many at once score here."""
        histories = [self._history(query) for query in queries]
        together = {
            name: source.scores_of(histories)
            for name, source in self.history_sources.items()
            if name in self.heard and isinstance(source, TogetherSource)
        }
        return [
            Scored(query, history, self, {name: scores[place] for name, scores in together.items()})
            for place, (query, history) in enumerate(zip(queries, histories, strict=True))
        ]

    def _history(self, query: Query) -> History:
        self.rows.extend()
        return history_of(query.window, self.rows.code_of_row_N, query.as_of_ms)

    def retrieve(self, scored: Scored, per_source: int, allowed_N: BoolArray | None = None) -> Candidates:
        """Return the union of the best `per_source` items of each source, only rows that `allowed_N` keeps."""
        return self.retrieve_together([scored], per_source, allowed_N)[0]

    def retrieve_together(
        self, scored_Q: Sequence[Scored], per_source: int, allowed_N: BoolArray | None = None
    ) -> list[Candidates]:
        """Return what `retrieve` does of each of several queries; their columns are filled in one pass."""
        allowed_V = self.rows.allowed(allowed_N)
        found = [self._found(scored, per_source, allowed_V, allowed_N) for scored in scored_Q]
        row_Q, source_Q = zip(*(_union(rows) for rows in found), strict=True)
        start_Q1 = [0, *accumulate(map(len, row_Q))]
        matrix_CF = self._matrix(scored_Q, start_Q1, np.concatenate(row_Q))
        parts = [matrix_CF[slice(*ends)] for ends in pairwise(start_Q1)]
        return [Candidates(*one) for one in zip(row_Q, parts, source_Q, strict=True)]

    def _found(
        self, scored: Scored, per_source: int, allowed_V: BoolArray | None, allowed_N: BoolArray | None
    ) -> list[IntArray]:
        """Return the rows that each source brings, in the order of SOURCES."""
        codes = [scores.top(per_source, allowed_V) for scores in scored.by_source.values()]
        codes.append(scored.popularity.top(per_source, allowed_V))
        rows = [self.rows.row_of_code_V[code_X] for code_X in codes]
        return [*rows, self.content.newest_like(scored.wanted_D, per_source, allowed_N)]

    def candidates_for(self, scored: Scored, row_C: IntArray) -> Candidates:
        """Return given rows as candidates that no source retrieved."""
        row_C = np.unique(row_C).astype(np.int32)
        matrix_CF = self._matrix([scored], (0, len(row_C)), row_C)
        return Candidates(row_C, matrix_CF, np.zeros((len(row_C), len(SOURCES)), np.bool_))

    def _matrix(self, scored_Q: Sequence[Scored], start_Q1: Sequence[int], row_C: IntArray) -> FloatArray:
        """Return the fusion's columns for catalogue rows of several queries, in the order of `fusion_names`."""
        code_C, asked = self.rows.code_of_row_N[row_C], Asked([scored.query for scored in scored_Q], start_Q1)
        width = COLUMNS_PER_SOURCE * len(HISTORY_SOURCES)
        matrix_CF = np.empty((len(row_C), len(self.fusion_names)), np.float32)
        scores_Q = [scored.by_source for scored in scored_Q]
        fill_columns_of_several(scores_Q, start_Q1, code_C, matrix_CF[:, :width])
        for scored, (_, part) in zip(scored_Q, asked.parts, strict=True):
            matrix_CF[part, width] = self.content.likeness(scored.wanted_D, row_C[part])
        matrix_CF[:, width + 1 :] = self.features.matrix_of(row_C, asked)
        return matrix_CF

    def fusion_for(self, scored: Scored) -> Fusion:
        """Return the weights that fit the shopper: known by a history, or a stranger."""
        return self.contents.fusion if len(scored.history) else self.contents.stranger_fusion

    def score(self, scored: Scored, candidates: Candidates) -> FloatArray:
        """Return the fused score of each candidate."""
        return self.fusion_for(scored).score(candidates.matrix_CF)

    def chances(self, scored: Scored, candidates: Candidates) -> dict[str, FloatArray]:
        """Return the chance of each step of the funnel for each candidate, by task; empty without a ranker."""
        if self.ranker is None:
            return {}
        p_CT = self.ranker.chances(scored, candidates)
        return {task: p_CT[:, place] for place, task in enumerate(self.ranker.tasks)}

    def because(self, scored: Scored, source: str, row_C: IntArray) -> IntArray:
        """Return for each row the history item (its row) that spoke most for it in a source of votes, else -1."""
        voting = self.history_sources[source]
        if not isinstance(voting, NeighbourSource | TransitionSource):
            return np.full(len(row_C), -1, np.int32)
        code_C = voting.because(scored.history, self.rows.code_of_row_N[row_C])
        return np.where(code_C >= 0, self.rows.row_of_code_V[code_C], -1).astype(np.int32)

    def similar(self, row: int, kind: str, limit: int) -> tuple[IntArray, FloatArray]:
        """Return rows near an item and their similarity, nearest first.

        `kind`: similar (item-CF, else content), bought_together and viewed_together (co-visitation), looks_like
        (content).
        """
        self.rows.extend()
        if kind == "looks_like":
            return self.content.nearest(row, limit)
        code = int(self.rows.code_of_row_N[row])
        if code < 0:
            return self.content.nearest(row, limit)
        table = self.contents.item_cf if kind == "similar" else self.contents.co_visitation
        near_code, weight = similar(table, code)
        near = self.rows.row_of_code_V[near_code]
        known = near >= 0
        rows, weights = near[known][:limit], weight[known][:limit]
        return (rows, weights) if len(rows) or kind != "similar" else self.content.nearest(row, limit)


def _union(found: Sequence[IntArray]) -> tuple[IntArray, BoolArray]:
    """Return the rows that any source brought, ascending, and which source brought which."""
    row_C, place_X = np.unique(np.concatenate(found), return_inverse=True)
    retrieved_CS = np.zeros((len(row_C), len(found)), np.bool_)
    retrieved_CS[place_X, np.repeat(np.arange(len(found)), [len(rows) for rows in found])] = True
    return row_C.astype(np.int32), retrieved_CS
