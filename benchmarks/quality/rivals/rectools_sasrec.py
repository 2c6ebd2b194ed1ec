"""One epoch of RecTools' SASRec: run as a program by the interpreter of RecTools' own environment, which has no Aisle.

Called by   benchmarks/quality/rivals/training_speed.py, as `<rectools python> rectools_sasrec.py <wishes as JSON>`
In          events: a CSV file with user_id, item_id and timestamp; dim, blocks, heads, max_length, dropout, loss,
            negatives, batch_size, threads
Out         the last line of standard output: JSON with the seconds of the epoch, without preparing the data, versions
"""

import importlib.metadata
import json
import sys
import time
from typing import Any

import pandas as pd
import torch
from pytorch_lightning import Callback, Trainer  # type: ignore[import-not-found]
from rectools import Columns  # type: ignore[import-not-found]
from rectools.dataset import Dataset  # type: ignore[import-not-found]
from rectools.models import SASRecModel  # type: ignore[import-not-found]


class EpochClock(Callback):  # type: ignore[misc]
    """Notes when the epoch begins and ends."""

    def __init__(self) -> None:
        self.began_s = self.seconds = 0.0

    def __deepcopy__(self, memo: dict[int, Any]) -> "EpochClock":
        """Stay one clock: RecTools trains with a copy of the trainer that it is given."""
        return self

    def on_train_epoch_start(self, trainer: Trainer, module: Any) -> None:
        """Start the clock."""
        self.began_s = time.perf_counter()

    def on_train_epoch_end(self, trainer: Trainer, module: Any) -> None:
        """Stop the clock."""
        self.seconds = time.perf_counter() - self.began_s


def main(wishes: dict[str, Any]) -> dict[str, Any]:
    """Train for one epoch and return what it took."""
    torch.set_num_threads(wishes["threads"])
    events = pd.read_csv(wishes["events"])
    columns = {"user_id": Columns.User, "item_id": Columns.Item, "timestamp": Columns.Datetime}
    table = events.rename(columns=columns).assign(**{Columns.Weight: 1.0})
    table[Columns.Datetime] = pd.to_datetime(table[Columns.Datetime], unit="s")
    clock = EpochClock()
    model = SASRecModel(
        n_factors=wishes["dim"],
        n_blocks=wishes["blocks"],
        n_heads=wishes["heads"],
        session_max_len=wishes["max_length"],
        dropout_rate=wishes["dropout"],
        loss=wishes["loss"],
        n_negatives=wishes["negatives"],
        batch_size=wishes["batch_size"],
        epochs=1,
        get_trainer_func=lambda: trainer_with(clock),
    )
    model.fit(Dataset.construct(table))
    libraries = ("rectools", "torch", "pytorch-lightning", "numpy", "pandas")
    return {
        "epoch_s": round(clock.seconds, 2),
        "loss": wishes["loss"],
        "negatives": wishes["negatives"] if wishes["loss"] != "softmax" else None,
        "batch_size": wishes["batch_size"],
        "parameters": sum(weight.numel() for weight in model.torch_model.parameters()),
        "libraries": {name: importlib.metadata.version(name) for name in libraries},
    }


def trainer_with(clock: EpochClock) -> Trainer:
    """Return RecTools' own trainer settings, with the clock."""
    return Trainer(
        max_epochs=1,
        min_epochs=1,
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=False,
        logger=False,
        accelerator="cpu",
        callbacks=[clock],
    )


if __name__ == "__main__":
    print(json.dumps(main(json.loads(sys.argv[1]))))
