"""Everything that decides the result of a training run, in one frozen object.

Called by   main.py and the `aisle train` command make it; pipeline.py and its steps read it
Defaults    chosen on the validation week of the Complete Journey, never on its test week
"""

import os
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from services.training.collaborative.co_visitation import CoVisitationConfig
from services.training.collaborative.sequential_ease import EASE, SequentialEaseConfig
from services.training.collaborative.transitions import BOTH_WAYS, MARKOV, TransitionConfig
from services.training.multitask.config import MultitaskConfig
from services.training.run_request import Promotion, RunRequest, TextEncoder
from services.training.sequence.config import SequenceConfig

NIGHTLY = SequenceConfig(events_to_learn=4_100_000, learning_rate=4e-3)
"""a run of every night reads a large log few times, and so takes larger steps: on the Complete Journey, 3 epochs at
0.004 gave NDCG@10 0.168 on the validation week in 230 CPU seconds, 4 epochs at 0.002 0.164 in 310"""


@dataclass(frozen=True)
class CollaborativeConfig:
    """The tables that are counted, not trained."""

    half_life_days: float = 90.0
    """decay of a shopper's taste in item-CF, user-CF and SVD"""
    item_cf_neighbours: int = 100
    item_cf_shrinkage: float = 1.0
    co_visitation: CoVisitationConfig = field(default_factory=CoVisitationConfig)
    markov: TransitionConfig = field(default_factory=lambda: replace(MARKOV, neighbours=100))
    item_knn: TransitionConfig = field(default_factory=lambda: TransitionConfig(neighbours=100))
    item_knn_both: TransitionConfig = field(default_factory=lambda: replace(BOTH_WAYS, neighbours=100))
    sequential_ease: SequentialEaseConfig = field(
        default_factory=lambda: SequentialEaseConfig(ease=replace(EASE, neighbours=100, max_items=5000))
    )
    """its time grows with the cube of the items: 4,000 take 8 s of one core, twice as many a minute"""
    svd_factors: int = 64
    svd_damping: float = 0.0
    """0: plain PureSVD; above, popular items count less"""
    popularity_half_life_days: float = 14.0


@dataclass(frozen=True)
class FusionConfig:
    """How the fusion's weights are fitted."""

    questions: int = 1500
    per_source: int = 60
    """candidates of each source, as in services/ranking"""
    l2: float = 1e-2
    least_gain: float = 0.002
    """share of what all columns explain that a source must add, or the shop's lists are made without it"""


@dataclass(frozen=True)
class TrainingConfig:
    """One run."""

    name: str = "default"
    seed: int = 7
    min_item_events: int = 5
    """positive events an item needs to enter the vocabulary"""
    validation_days: float = 7.0
    test_days: float = 7.0
    test_questions: int = 1500
    early_stopping_questions: int = 1000
    text_encoder: TextEncoder = "tfidf"
    content_dim: int = 64
    refit: bool = True
    """after the evaluation, learn from the validation and test periods, too"""
    promotion: Promotion = "auto"
    """auto: the gate decides; always, never: by order. Does not change the model"""
    threads: int = 0
    """of the collaborative tables, and processes that ask questions; 0: as many as the machine has cores. Does not
    change the result"""
    collaborative: CollaborativeConfig = field(default_factory=CollaborativeConfig)
    sequence: SequenceConfig = NIGHTLY
    fusion: FusionConfig = field(default_factory=FusionConfig)
    multitask: MultitaskConfig | None = field(default_factory=MultitaskConfig)
    """of the ranker of clicks and purchases; None: train none"""

    @property
    def cores(self) -> int:
        """Return how many threads and processes a run may have at once."""
        return self.threads or os.cpu_count() or 1

    def with_wishes(self, wanted: RunRequest) -> "TrainingConfig":
        """Return the configuration with what a request names."""
        named = {
            "seed": wanted.seed,
            "min_item_events": wanted.min_item_events,
            "validation_days": wanted.validation_days,
            "test_days": wanted.test_days,
            "text_encoder": wanted.text_encoder,
        }
        changes: dict[str, Any] = {name: value for name, value in named.items() if value is not None}
        sequence = self.sequence
        if wanted.seed is not None:
            sequence = replace(sequence, seed=wanted.seed)
        if wanted.epochs is not None:
            sequence = replace(sequence, epochs=wanted.epochs)
        return replace(self, name=wanted.name, promotion=wanted.promotion, sequence=sequence, **changes)

    def as_json(self) -> dict[str, Any]:
        """Return plain values, as the manifest stores them; without what cannot change the result."""
        values = asdict(self)
        del values["threads"], values["promotion"]
        return values
