"""How the model that serves now does on a new run's questions, for the promotion gate.

Called by   services/training/pipeline.py, through the function that `ask_serving_model` returns
Fair        a model that was trained on the test period, as every published model was on its own, would win by memory:
            then its own evaluation, of its own test period, is all there is to compare with
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from services.training.asking import Asking
from services.training.evaluation.offline import evaluate
from services.training.examples.queries import QueryMaker, Question
from services.training.examples.split import TimeSplit
from services.training.gate import Rival, score_of
from shared.features.registry import schema_hash
from shared.models.bundle import Bundle, BundleError, load_bundle
from shared.models.bundle_store import fetch_bundle
from shared.models.recommender import Recommender
from shared.storage.relational.model_registry import ModelVersion


@dataclass(frozen=True)
class ServingModel:
    """The registry's current version and where its files are; `current` None: none was ever published."""

    current: ModelVersion | None
    store_url: str
    cache: Path
    asking: Asking

    def ask(self, maker: QueryMaker, questions: Sequence[Question], split: TimeSplit) -> Rival | None:
        """Return how well it does, None when there is no such model."""
        if self.current is None:
            return None
        bundle = self._load(self.current.version)
        if bundle is None or bundle.contents.facts.trained_until_ms >= split.test_from_ms:
            return Rival(self.current.version, score_of(self.current.metrics.get("test", {})), same_questions=False)
        recommender = Recommender(bundle, maker.catalogue)
        evaluation = evaluate(recommender, maker, questions, self.asking, only_main=True)
        return Rival(self.current.version, score_of(evaluation), same_questions=True)

    def _load(self, version: str) -> Bundle | None:
        """Return the bundle; None when it is gone, damaged, or made with other feature definitions."""
        try:
            return load_bundle(fetch_bundle(self.store_url, version, self.cache), schema_hash(), version)
        except BundleError:
            return None
