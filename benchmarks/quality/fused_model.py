"""The row `fused`: one score out of all sources, with the product's columns, fit of the weights, and fusion.

Called by   models.py
Sources     the Transformer; what follows what at one step, at ten, both ways; sequential EASE; item-CF, co-visitation,
            user-CF, SVD; popularity. Each fitted on `task.train`, the counting ones again on `task.refit`; the weights
            stay. With the track no-query-time a session has no end, and co-visitation counts whole histories
Weights     conditional logit over as many candidates of a source as in serving, on at most 4,000 validation questions:
            services/training/fusion/fit.py with its default l2, for every data set alike
Dimensions  B histories, Q questions, C candidates, V items, F columns
"""

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np

from benchmarks.quality.encoder_models import CHOICE_QUESTIONS, CHOICE_SEED
from benchmarks.quality.row import QualityModel, Training
from benchmarks.quality.task import QualityTask, Questions
from services.training.collaborative.co_visitation import CoVisitationConfig, fit_co_visitation
from services.training.collaborative.interactions import taste_matrix
from services.training.collaborative.item_cf import fit_item_cf
from services.training.collaborative.popularity import fit_popularity
from services.training.collaborative.sequential_ease import SequentialEaseConfig
from services.training.collaborative.svd import fit_svd
from services.training.collaborative.tables import fit_transition_tables
from services.training.collaborative.transitions import BOTH_WAYS, MARKOV, TransitionConfig
from services.training.collaborative.user_cf import fit_user_cf
from services.training.config import CollaborativeConfig, FusionConfig
from services.training.errors import TooLittleDataError
from services.training.examples.sequences import Sequences
from services.training.fusion.examples import FusionExamples
from services.training.fusion.fit import fit_fusion
from services.training.progress import Report
from shared.features.events import FloatArray, IntArray
from shared.models.columns import COLUMNS_PER_SOURCE, fill_source_columns, source_names
from shared.models.fusion import Fusion
from shared.models.sources.history import HistorySource
from shared.models.sources.neighbours import NeighbourSource
from shared.models.sources.scores import DenseScores, SourceScores
from shared.models.sources.svd import SvdSource
from shared.models.sources.transitions import TransitionSource
from shared.models.sources.user_cf import UserCfSource
from shared.models.tensors import History

COUNTED = CollaborativeConfig(
    item_cf_neighbours=200,
    co_visitation=CoVisitationConfig(neighbours=200),
    markov=MARKOV,
    item_knn=TransitionConfig(),
    item_knn_both=BOTH_WAYS,
    sequential_ease=SequentialEaseConfig(),
)
"""the product's settings, with twice the neighbours: public sets are smaller than what a bundle may hold"""
FOR_EVER_DAYS = 1e9
BLOCK = 64
Ask = Callable[[History], SourceScores]


class FusedModel:
    """All sources under weights fitted on validation."""

    def __init__(self, encoder: QualityModel) -> None:
        self.training = Training()
        self._encoder = encoder
        self._asks: Mapping[str, Ask] = {}
        self._fusion: Fusion | None = None
        self._num_items = 0

    def fit(self, task: QualityTask, seed: int, report: Report) -> None:
        """Train the encoder, count `task.train`, then weigh on validation."""
        self._num_items = task.num_items
        self._encoder.fit(task, seed, report)
        self.training = self._encoder.training
        self._asks = counted(task.train, task, seed)
        questions = task.validation.sample(CHOICE_QUESTIONS, CHOICE_SEED)
        self._fusion, _ = fit_fusion(self.examples(questions), FusionConfig().l2)

    def refit(self, task: QualityTask, seed: int, report: Report) -> None:
        """Count `task.refit`; encoder and weights stay."""
        self._asks = counted(task.refit, task, seed)

    def scores(self, histories: Sequence[History]) -> FloatArray:
        """Return the fused score of every item."""
        if self._fusion is None:
            raise RuntimeError("fit comes before scores")
        everything_V = np.arange(self._num_items, dtype=np.int32)
        fused = [self._fusion.score(self.columns(scores, everything_V)) for scores in self._all_scores(histories)]
        return np.stack(fused).astype(np.float32)

    def examples(self, questions: Questions) -> FusionExamples:
        """Return the candidates of the questions that have their answer among them."""
        matrices, bought, sizes = [], [], [0]
        for place, scores in enumerate(self._all_scores(questions.histories)):
            code_C = self._candidates(scores, questions.hidden(place))
            bought_C = np.isin(code_C, questions.targets[place])
            if bought_C.any():
                matrices.append(self.columns(scores, code_C))
                bought.append(bought_C)
                sizes.append(len(code_C))
        if not matrices:
            raise TooLittleDataError("no source found an answer of the validation: nothing to weigh them on")
        names = source_names((*self._asks, "sequence"))
        return FusionExamples(np.cumsum(sizes), np.concatenate(matrices), np.concatenate(bought), names)

    def columns(self, scores: Mapping[str, SourceScores], code_C: IntArray) -> FloatArray:
        """Return the columns of some items, as the product makes them."""
        matrix_CF = np.empty((len(code_C), COLUMNS_PER_SOURCE * len(scores)), np.float32)
        fill_source_columns(scores, code_C, matrix_CF)
        return matrix_CF

    def _candidates(self, scores: Mapping[str, SourceScores], hidden: IntArray) -> IntArray:
        allowed_V = np.ones(self._num_items, np.bool_)
        allowed_V[hidden] = False
        tops = [found.top(FusionConfig().per_source, allowed_V) for found in scores.values()]
        return np.unique(np.concatenate(tops)).astype(np.int32)

    def _all_scores(self, histories: Sequence[History]) -> Iterator[dict[str, SourceScores]]:
        """Yield what every source says; the encoder reads a block at a time, the others one history."""
        for start in range(0, len(histories), BLOCK):
            block = histories[start : start + BLOCK]
            for history, score_V in zip(block, self._encoder.scores(block), strict=True):
                counted_scores = {name: ask(history) for name, ask in self._asks.items()}
                yield {**counted_scores, "sequence": DenseScores(score_V)}


def counted(sequences: Sequences, task: QualityTask, seed: int) -> dict[str, Ask]:
    """Return the sources that count, with the same settings for every data set."""
    items, threads = task.num_items, task.threads
    taste_UV = taste_matrix(sequences, items, COUNTED.half_life_days)
    transitions = fit_transition_tables(sequences, items, COUNTED, threads)
    popular = DenseScores(fit_popularity(sequences, np.full(items, -1, np.int32), 0, FOR_EVER_DAYS).weight_V)
    sources: tuple[HistorySource, ...] = (
        *(TransitionSource(name, table) for name, table in transitions.items()),
        NeighbourSource(
            "item_cf", fit_item_cf(taste_UV, COUNTED.item_cf_neighbours, COUNTED.item_cf_shrinkage, threads)
        ),
        NeighbourSource("co_visitation", fit_co_visitation(sequences, items, COUNTED.co_visitation, threads)),
        UserCfSource(fit_user_cf(taste_UV, seed)),
        SvdSource(fit_svd(taste_UV, COUNTED.svd_factors, COUNTED.svd_damping, seed)),
    )
    asks: dict[str, Ask] = {source.name: source.scores for source in sources}
    return {**asks, "popularity": lambda history: popular}
