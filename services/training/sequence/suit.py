"""Suit the training of the encoder to a log: what one shop needs is waste in another, and nobody should have to try.

Called by   services/training/sequence/fit.py
In          facts of the training log that are measured, never the name of a data set, and never a test
Chosen      on validation questions of Amazon Beauty, MovieLens-1M and the Complete Journey
"""

from dataclasses import dataclass, replace

import numpy as np

from services.training.examples.sequences import Sequences
from services.training.sequence.config import SequenceConfig
from shared.features.events import LongArray

SPARSE_EVENTS_PER_ITEM = 25
"""below, an item's vector is learned from so little that dropping half of all units is a gain"""
SPARSE_DROPOUT, DENSE_DROPOUT = 0.5, 0.2
SPARSE_EPOCHS = 14
"""more bring a sparse log nothing"""
FEWEST_EPOCHS = 3
STEPS_PER_EPOCH = 64
"""a small log is cut in smaller batches, so that an epoch has about so many steps"""
SMALLEST_BATCH, LARGEST_BATCH = 2048, 8192
"""events"""
SAME_GAP = 0.95
"""when so many gaps between two times are equal, times are places in disguise"""


@dataclass(frozen=True)
class LogFacts:
    """What training is suited to."""

    events: int
    items: int
    same_gap: float
    """share of the most frequent gap between two distinct times of a shopper"""

    @property
    def sparse(self) -> bool:
        """Return whether the items have few events."""
        return self.events < SPARSE_EVENTS_PER_ITEM * self.items


def facts_of(sequences: Sequences, num_items: int) -> LogFacts:
    """Measure a log."""
    gap_ms_Q = gaps_ms(sequences)
    same_gap = float(np.unique(gap_ms_Q, return_counts=True)[1].max() / len(gap_ms_Q)) if len(gap_ms_Q) else 1.0
    return LogFacts(len(sequences), num_items, same_gap)


def gaps_ms(sequences: Sequences) -> LongArray:
    """Return the time from each shopper's distinct time to the next."""
    asks_E = sequences.next_stop_E > sequences.next_start_E
    last_E = asks_E & (np.arange(len(sequences)) == sequences.next_start_E - 1)
    gap_ms_Q: LongArray = sequences.at_ms_E[sequences.next_start_E[last_E]] - sequences.at_ms_E[last_E]
    return gap_ms_Q


def suited(config: SequenceConfig, facts: LogFacts) -> SequenceConfig:
    """Return the configuration with what depends on the log; as it is, where it asks for that."""
    if not config.suit:
        return config
    encoder = replace(
        config.encoder,
        dropout=SPARSE_DROPOUT if facts.sparse else DENSE_DROPOUT,
        times=config.encoder.times and facts.same_gap < SAME_GAP,
    )
    epochs = min(config.epochs, max(FEWEST_EPOCHS, round(config.events_to_learn / max(facts.events, 1))))
    return replace(
        config,
        encoder=encoder,
        epochs=min(epochs, SPARSE_EPOCHS) if facts.sparse else epochs,
        tokens_per_batch=int(np.clip(facts.events // STEPS_PER_EPOCH, SMALLEST_BATCH, LARGEST_BATCH)),
    )
