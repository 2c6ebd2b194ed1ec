"""How the sequence Transformer is shaped and trained.

Called by   services/training/config.py, benchmarks/quality; everything in services/training/sequence reads it
Defaults    one set for every log, chosen on validation questions (never on a test) of the Complete Journey, of Amazon
            Beauty and of MovieLens-1M; what must differ between logs is in suit.py
"""

from dataclasses import dataclass, field

from shared.models.encoder import EncoderConfig


@dataclass(frozen=True)
class SequenceConfig:
    """Everything that decides the result of a run; two runs with equal configurations give equal weights."""

    encoder: EncoderConfig = field(default_factory=EncoderConfig)
    suit: bool = True
    """dropout, times, batch and number of epochs by what the log is like (suit.py); else as they stand here"""
    epochs: int = 40
    """at most; how many a log gets, is decided before the first, since the learning rate falls towards the last"""
    events_to_learn: int = 20_000_000
    """over all epochs: a log of a million events is read twenty times, one of many millions a few times"""
    tokens_per_batch: int = 8192
    """events in a batch"""
    learning_rate: float = 2e-3
    weight_decay: float = 0.01
    warm_up: float = 0.1
    """share of the steps in which the learning rate rises"""
    max_targets: int = 32
    """items of the next basket that a query learns from, drawn anew every epoch"""
    negatives: int = 2048
    """draws shared by all queries of a batch"""
    popularity_share: float = 0.5
    """share of the draws that follow popularity; the rest is uniform"""
    popularity_exponent: float = 0.75
    full_softmax_up_to: int = 50_000
    """with at most so many items, every item is a negative"""
    patience: int = 3
    """epochs without a better validation score before training ends"""
    gradient_norm: float = 1.0
    average: float = 0.99
    """decay, per step, of the average of the weights that is validated and kept; 0: the newest weights alone"""
    svd_start: bool = True
    """item vectors begin at the factors of a damped SVD instead of at random"""
    seed: int = 7
    threads: int = 0
    """0: as many as the machine has cores"""
    device: str = "cpu"
    """cpu or cuda"""
