"""The configurations of the nets that the benchmark tries on every data set; validation chooses.

Called by   benchmarks/ctr/measure.py
"""

from dataclasses import replace

from services.training.multitask.config import MultitaskConfig

STANDARD = MultitaskConfig()
SMALL = replace(
    STANDARD,
    epochs=15,
    patience=3,
    batch=512,
    shape=replace(STANDARD.shape, expert=16, dropout=0.4),
)
LARGE_SLICE = 100_000
"""examples to train on"""


def tried_on(examples: int) -> tuple[MultitaskConfig, ...]:
    """Return the configurations that suit the size of the train slice: the rivals are tried in two everywhere."""
    return (STANDARD,) if examples >= LARGE_SLICE else (STANDARD, SMALL)
