"""What a recommender is given by a benchmark: a log to learn from, questions to choose on, and never the test.

Called by   benchmarks/quality/protocols.py makes it; every row of benchmarks/quality/models.py learns from it
Items       item code v is row v of the catalogue; every item of the data set is ranked, also those without a past
Time        `train` and `refit` have the times of the track: one second from event to event (basket to basket), or real
            ones; `timed` returns the same events with real times, for what counts days
Errors      TooLittleDataError when real times are asked of a data set that has none
Dimensions  Q questions, V items
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np

from services.training.errors import TooLittleDataError
from services.training.examples.sequences import Sequences
from services.training.examples.vocabulary import ItemVocabulary
from shared.features.catalogue import Catalogue
from shared.features.events import IntArray, LongArray
from shared.models.tensors import History


@dataclass(frozen=True)
class Questions:
    """What was known of a user at one moment, and what they took next."""

    histories: tuple[History, ...]
    targets: tuple[IntArray, ...]
    """item codes of the answer, each once, ascending"""
    user_Q: LongArray
    hide_seen: bool
    """whether items of the history are left out of the ranking"""

    def __len__(self) -> int:
        return len(self.histories)

    def hidden(self, place: int) -> IntArray:
        """Return the item codes that are not ranked for one question."""
        return self.histories[place].code_L if self.hide_seen else np.empty(0, np.int32)

    def sample(self, limit: int, seed: int) -> "Questions":
        """Return at most `limit` questions, drawn at random, in their order."""
        if len(self) <= limit:
            return self
        return self.at(np.sort(np.random.default_rng(seed).choice(len(self), limit, replace=False)))

    def at(self, place_X: LongArray) -> "Questions":
        """Return the questions at some places."""
        places = place_X.tolist()
        return Questions(
            tuple(self.histories[place] for place in places),
            tuple(self.targets[place] for place in places),
            self.user_Q[place_X],
            self.hide_seen,
        )

    def blocks(self, size: int) -> Iterator["Questions"]:
        """Return the questions in runs of `size`, so that scores of all of them never lie in memory at once."""
        for start in range(0, len(self), size):
            yield self.at(np.arange(start, min(start + size, len(self))))


@dataclass(frozen=True)
class QualityTask:
    """One data set under one protocol, without its test questions."""

    catalogue: Catalogue
    train: Sequences
    """before every validation answer"""
    validation: Questions
    """for the choice of epochs, weights and configurations"""
    refit: Sequences
    """train and validation: before every test answer"""
    timed_train: Sequences | None = None
    timed_refit: Sequences | None = None
    device: str = "cpu"
    threads: int = 1
    work: Path | None = field(default=None, compare=False)
    """a folder for checkpoints, so that a long fit that was interrupted can go on"""

    @property
    def num_items(self) -> int:
        """Number of items that are ranked."""
        return len(self.catalogue)

    @cached_property
    def vocabulary(self) -> ItemVocabulary:
        """Return the item codes with their counts in `train`."""
        count_V = np.bincount(self.train.code_E, minlength=self.num_items).astype(np.int64)
        return ItemVocabulary(np.arange(self.num_items, dtype=np.int32), count_V, self.num_items)

    def timed(self, sequences: Sequences) -> Sequences:
        """Return `train` or `refit` with real times."""
        timed = self.timed_train if sequences is self.train else self.timed_refit
        if timed is None:
            raise TooLittleDataError("the data set has no timestamps")
        return timed
