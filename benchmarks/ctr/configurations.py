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
    learning_rate=3e-3,
    shape=replace(STANDARD.shape, embedding=8, width=32, cross=16, experts=2, expert=16),
)
LARGE_SLICE = 100_000
"""examples to train on"""


def tried_on(examples: int) -> tuple[MultitaskConfig, ...]:
    """Return the configurations that suit the size of the train slice: the rivals are tried in two everywhere."""
    return (STANDARD,) if examples >= LARGE_SLICE else (STANDARD, SMALL)
