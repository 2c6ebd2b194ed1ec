"""Structured pruning: leave out the block that validation misses least and half of every feed-forward, then tune.

Called by   benchmarks/compression
Why so      single weights set to zero make nothing faster on a processor; whole blocks and units do
"""

from dataclasses import replace

from services.training.compression.shrink import shrunk
from services.training.progress import Report, quiet
from services.training.sequence.config import SequenceConfig
from services.training.sequence.distributed import Team
from services.training.sequence.fit import Material
from services.training.sequence.model import SequenceModel
from services.training.sequence.repeatable import repeatable
from services.training.sequence.trainer import SequenceTrainer, Surroundings, TrainingTask, Validate

TUNING_EPOCHS = 4
TUNING_RATE = 0.5
"""learning rate, as a share of that of training"""


def prune(
    model: SequenceModel,
    material: Material,
    validate: Validate,
    config: SequenceConfig,
    keep_blocks: int,
    feed_forward: int,
    report: Report = quiet,
) -> SequenceModel:
    """Return the pruned model, tuned; `config` is the one the model was trained with."""
    with repeatable(config, Team()):
        kept = blocks_to_keep(model, material, validate, keep_blocks)
        small = shrunk(model, material.sides, kept, feed_forward)
        tune(small, material, validate, config, TUNING_EPOCHS, Surroundings(report=report, step_name="prune"))
    return small


def blocks_to_keep(model: SequenceModel, material: Material, validate: Validate, keep_blocks: int) -> tuple[int, ...]:
    """Take blocks away one by one, each time the one without which validation is best."""
    width = model.encoder.config.feed_forward
    kept = tuple(range(model.encoder.config.blocks))
    while len(kept) > keep_blocks:
        fewer = [tuple(block for block in kept if block != left_out) for left_out in kept]
        kept = max(fewer, key=lambda blocks: validate(shrunk(model, material.sides, blocks, width)))
    return kept


def tune(
    model: SequenceModel,
    material: Material,
    validate: Validate,
    config: SequenceConfig,
    epochs: int,
    surroundings: Surroundings,
) -> None:
    """Train on at a lower rate; the epoch that validates best stays."""
    tuned = replace(config, epochs=epochs, learning_rate=config.learning_rate * TUNING_RATE)
    task = TrainingTask(material.sequences, material.vocabulary.count_V, "")
    SequenceTrainer(model, task, tuned, validate, surroundings).run()
