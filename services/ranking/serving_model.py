"""A model version that can answer, and how a version of the bundle store becomes one.

Called by   services/ranking/model_host.py (in a thread: loading takes seconds)
Steps       enough memory → fetch → verify (shared/models/bundle.py) → bind to the live catalogue
Errors      ModelRefusedError, with a reason for the metric: those of BundleError, memory, store
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from services.ranking.consumables import Consumables
from services.ranking.gpu import Device, gpu_source
from services.ranking.micro_batcher import MicroBatcher
from services.ranking.shopper import StoredWindows
from shared.contracts.recommendation import ModelName
from shared.features.catalogue import Catalogue
from shared.models.bundle import BundleError, BundleFacts, load_bundle
from shared.models.bundle_store import fetch_bundle
from shared.models.recommender import Recommender
from shared.models.sources.scores import SourceScores
from shared.models.tensors import History

MEMORY_FACTOR = 2.0
"""a bundle in memory needs at most this many times the size of its files, while it is loaded"""
MEMORY_FILE = Path("/proc/meminfo")


class ModelRefusedError(Exception):
    """A version that cannot serve; the one that serves stays."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


@dataclass
class ServingModel:
    """One loaded version; `in_flight` requests are using it."""

    recommender: Recommender
    consumables: Consumables
    facts: BundleFacts
    in_flight: int = field(default=0, compare=False)
    batcher: MicroBatcher[History, SourceScores] | None = None
    """encodes the histories of concurrent requests together; None: each request encodes its own"""

    @property
    def version(self) -> str:
        """Return the bundle's version."""
        return self.recommender.version

    @property
    def name(self) -> ModelName:
        """Return what every reply of this model says it is from."""
        return ModelName(name=self.facts.name, version=self.version)

    @cached_property
    def windows(self) -> StoredWindows:
        """Return the shoppers' stored events over this model's catalogue."""
        return StoredWindows(self.recommender.catalogue)

    @property
    def unknown_items(self) -> int:
        """Return how many items of the catalogue this version was not trained on: they can only come in by content."""
        return int(np.count_nonzero(self.recommender.rows.code_of_row_N < 0))

    def card(self) -> dict[str, Any]:
        """Return what GET /model shows."""
        return {
            "name": self.facts.name,
            "version": self.version,
            "trained_until_ms": self.facts.trained_until_ms,
            "git_commit": self.facts.git_commit,
            "metrics": self.facts.metrics,
        }


class ModelLoader(Protocol):
    """Makes a version of the store ready to answer; blocks, so the host calls it in a thread."""

    def load(self, version: str) -> ServingModel:
        """Return the model, or raise ModelRefusedError."""
        ...

    def is_bound(self, model: ServingModel) -> bool:
        """Return whether a model ranks over the catalogue that is current; if not, it is loaded anew."""
        ...


@dataclass(frozen=True)
class BundleLoader:
    """The ModelLoader of the real bundle store."""

    store_url: str
    cache: Path
    """where bundles of a remote store are copied to"""
    schema_hash: str
    catalogue: Callable[[], Catalogue]
    device: Device = "cpu"

    def is_bound(self, model: ServingModel) -> bool:
        """Return whether a model ranks over the current catalogue."""
        return model.recommender.catalogue is self.catalogue()

    def load(self, version: str) -> ServingModel:
        """Return the model, or raise ModelRefusedError."""
        try:
            folder = fetch_bundle(self.store_url, version, self.cache)
            _check_memory(folder)
            bundle = load_bundle(folder, self.schema_hash, version)
            sequence = gpu_source(bundle, self.device)
        except BundleError as error:
            raise ModelRefusedError(error.reason, str(error)) from error
        except OSError as error:
            raise ModelRefusedError("store", f"the bundle store cannot be read: {type(error).__name__}") from error
        recommender = Recommender(bundle, self.catalogue(), sequence)
        batcher = None if sequence is None else MicroBatcher(sequence.scores_of, sequence.largest)
        return ServingModel(recommender, Consumables(recommender), bundle.contents.facts, batcher=batcher)


def _check_memory(folder: Path) -> None:
    """Refuse a bundle that would not fit beside the one that serves; where the kernel does not say, load it."""
    needed = MEMORY_FACTOR * sum(path.stat().st_size for path in folder.iterdir() if path.is_file())
    available = available_memory_bytes()
    if available is not None and needed > available:
        raise ModelRefusedError("memory", f"the bundle needs {needed / 1e6:.0f} MB, {available / 1e6:.0f} MB are free")


def available_memory_bytes() -> int | None:
    """Return what can be allocated without swapping, None where the kernel does not say."""
    if not MEMORY_FILE.exists():
        return None
    for line in MEMORY_FILE.read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return None
