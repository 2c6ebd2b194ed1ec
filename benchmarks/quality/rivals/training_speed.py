"""Seconds of one training epoch: Aisle's sequence Transformer beside RecTools' SASRec of equal size, in the same run.

Call        python -m benchmarks.quality.rivals.training_speed --rectools-python <python of an environment that has it>
            (python -m venv there; pip install torch==2.13.0; pip install "rectools[torch]==0.19.0")
In          the training events of a named data set under leave-one-out
Out         benchmarks/results/quality/training-speed.json: a pair for each loss; a run replaces the pair of its loss
Fair        equal width, blocks, heads, length, threads and kind of loss, one after the other; an epoch asks every event
            for the next one. `softmax` ranks every item in both; `sampled` gives RecTools 256 negatives for each place,
            Aisle the 2,048 that its batch shares. Ours has gates, SwiGLU and item features beside, and is the second
            epoch, without validation
Ends        0; 2 with a sentence when RecTools cannot be run
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.environment import environment
from benchmarks.quality.data_sets.registry import open_data_set
from benchmarks.quality.protocols import NO_QUERY_TIME, make_benchmark
from benchmarks.quality.result import FOLDER
from benchmarks.quality.task import QualityTask
from services.training.sequence.config import SequenceConfig
from services.training.sequence.fit import Material, fit_encoder, suited_to
from services.training.sequence.model import SequenceModel
from services.training.sequence.sides import sides_of
from shared.models.encoder import EncoderConfig

RIVAL = Path(__file__).with_name("rectools_sasrec.py")
RIVAL_LOSS = {"softmax": ("softmax", 1), "sampled": ("sampled_softmax", 256)}
"""RecTools' name and number of negatives"""
BATCH_USERS = 128
"""RecTools' default"""
LIMIT_S = 1800
NOTE = (
    "Seconds of one training epoch of Aisle's Transformer and of RecTools' SASRec of equal width, blocks, heads, "
    "length and threads. softmax: both rank every item; sampled: RecTools draws 256 negatives for each place, Aisle "
    "2,048 that a batch shares."
)


def main(arguments: Sequence[str] | None = None, folder: Path = FOLDER) -> int:
    """Measure both and write the result; return the exit status."""
    options = parse(arguments)
    data_set = open_data_set(options.data)
    task = make_benchmark(
        data_set.interactions, data_set.splits["leave-one-out"], data_set.hide_seen, NO_QUERY_TIME
    ).task
    try:
        pair = measured_pair(task, options)
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        print(f"RecTools cannot be run by {options.rectools_python}: {error}", file=sys.stderr)
        return 2
    put(folder / "training-speed.json", {"data": data_set.name, "events": len(task.train), **pair})
    print(json.dumps(pair, indent=2))
    return 0


def measured_pair(task: QualityTask, options: argparse.Namespace) -> dict[str, Any]:
    """Train an epoch of both."""
    ours = our_epoch(task, options.threads, options.loss)
    rival = rectools_epoch(task, ours["shape"], options)
    return {
        "loss": options.loss,
        "threads": options.threads,
        "aisle_epoch_s": ours["epoch_s"],
        "rectools_epoch_s": rival["epoch_s"],
        "times_faster": round(rival["epoch_s"] / ours["epoch_s"], 1),
        "aisle": ours,
        "rectools": rival,
        **environment(),
    }


def put(path: Path, pair: dict[str, Any]) -> None:
    """Write a pair in the place of the one of the same data and loss."""
    known = json.loads(path.read_text())["rows"] if path.exists() else []
    others = [one for one in known if (one["data"], one["loss"]) != (pair["data"], pair["loss"])]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"note": NOTE, "rows": [*others, pair]}, indent=2) + "\n")


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="benchmarks.quality.rivals.training_speed")
    parser.add_argument("--rectools-python", required=True, type=Path)
    parser.add_argument("--data", default="amazon-beauty")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--loss", choices=tuple(RIVAL_LOSS), default="softmax")
    return parser.parse_args(arguments)


def our_epoch(task: QualityTask, threads: int, loss: str) -> dict[str, Any]:
    """Train for two epochs with the defaults and return what the second took."""
    material = Material(task.train, task.vocabulary, sides_of(task.catalogue, task.vocabulary.row_V))
    config = SequenceConfig(encoder=EncoderConfig(max_length=50), threads=threads)
    if loss == "sampled":
        config = replace(config, full_softmax_up_to=0)
    config = replace(suited_to(material, config), epochs=2, suit=False)
    clock = ValidationClock()
    fitted = fit_encoder(material, clock, config)
    encoder = config.encoder
    return {
        "epoch_s": round(clock.moments_s[1] - clock.moments_s[0], 4),
        "negatives": config.negatives if loss == "sampled" else None,
        "batch_events": config.tokens_per_batch,
        "parameters": sum(weight.numel() for weight in fitted.model.parameters()),
        "shape": {
            "dim": encoder.dim,
            "blocks": encoder.blocks,
            "heads": encoder.heads,
            "max_length": encoder.max_length,
            "dropout": encoder.dropout,
        },
    }


class ValidationClock:
    """Stands where the trainer validates: notes when each epoch has ended."""

    def __init__(self) -> None:
        self.moments_s: list[float] = []

    def __call__(self, model: SequenceModel) -> float:
        """Note the time; the score says nothing."""
        self.moments_s.append(time.perf_counter())
        return float(len(self.moments_s))


def rectools_epoch(task: QualityTask, shape: dict[str, Any], options: argparse.Namespace) -> dict[str, Any]:
    """Run RecTools in its own environment on the same events; return what it reports."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "events.csv"
        events_of(task).to_csv(path, index=False)
        wishes = {"events": str(path), "threads": options.threads, "batch_size": BATCH_USERS}
        loss, negatives = RIVAL_LOSS[options.loss]
        wishes |= {**shape, "loss": loss, "negatives": negatives}
        command = [str(options.rectools_python), str(RIVAL), json.dumps(wishes)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=LIMIT_S)
    if done.returncode:
        raise ValueError(done.stderr.strip()[-500:])
    reported: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return reported


def events_of(task: QualityTask) -> pd.DataFrame:
    """Return the training events as a table; places one second apart stand for times."""
    train = task.train
    user_E = np.repeat(np.arange(len(train.start_U1) - 1), np.diff(train.start_U1))
    return pd.DataFrame({"user_id": user_E, "item_id": train.code_E, "timestamp": train.at_ms_E // 1000})


if __name__ == "__main__":
    sys.exit(main())
