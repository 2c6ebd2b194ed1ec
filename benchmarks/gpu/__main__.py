"""make bench-gpu: exact retrieval and the sequence engine on one NVIDIA GPU, in less than ten minutes.

In          nothing: item tables and histories are random numbers, since none of what is measured depends on them
Out         benchmarks/results/gpu.json, docs/benchmarks/gpu.md, and the rows on the screen as they are measured
Ends        0; 2 with a sentence where torch finds no GPU
"""

import argparse
import json
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from benchmarks.environment import environment
from benchmarks.gpu.page import RESULT, write_page
from benchmarks.gpu.retrieval import BATCHES, copy_rate, search_row
from benchmarks.gpu.serving import batch_row, load_row
from shared.features.events import FloatArray
from shared.models.encoder import EncoderConfig, SequenceEncoder
from shared.models.gpu.sequence_engine import SIZES, SequenceEngine
from shared.models.gpu.top_items import TopItems

RETRIEVAL_DIM = 128
SIZES_OF_CATALOGUES = (100_000, 1_000_000, 10_000_000)
RATES = (500, 1000, 2000, 4000, 8000)
LOADED_ITEMS = 1_000_000
Row = dict[str, Any]


def main() -> int:
    """Measure everything."""
    parser = argparse.ArgumentParser(prog="benchmarks.gpu", description="Retrieval and serving on one GPU")
    parser.add_argument("--items", type=int, nargs="+", default=list(SIZES_OF_CATALOGUES))
    catalogues = parser.parse_args().items
    if not torch.cuda.is_available():
        print(f"torch {torch.__version__} finds no GPU here", file=sys.stderr)
        return 2
    rate = copy_rate("cuda")
    print(f"copy on the device: {rate / 1e12:.3f} TB/s", flush=True)
    result = {
        "environment": environment() | {"gpu": torch.cuda.get_device_name(), "torch": torch.__version__},
        "copy_tb_per_s": round(rate / 1e12, 4),
        "retrieval": told(retrieval(rate, catalogues)),
        "batches": told(batches(catalogues)),
        "load": told(load(min(LOADED_ITEMS, max(catalogues)))),
    }
    RESULT.parent.mkdir(parents=True, exist_ok=True)
    RESULT.write_text(json.dumps(result, indent=1) + "\n")
    write_page()
    return 0


def told(rows: Iterator[Row]) -> list[Row]:
    """Return the rows, each printed when it is there."""
    kept = []
    for row in rows:
        print(json.dumps(row), flush=True)
        kept.append(row)
    return kept


def retrieval(rate: float, catalogues: list[int]) -> Iterator[Row]:
    """Search tables of RETRIEVAL_DIM numbers an item."""
    for num_items in catalogues:
        items = TopItems.of(random_table(num_items, RETRIEVAL_DIM), "cuda")
        yield from (search_row(items, rate, batch) for batch in BATCHES)


def batches(catalogues: list[int]) -> Iterator[Row]:
    """Answer batches of histories of the product's own encoder."""
    for num_items in catalogues:
        engine = engine_of(num_items)
        yield from (batch_row(engine, batch, num_items) for batch in SIZES)


def load(num_items: int) -> Iterator[Row]:
    """Answer requests at fixed rates, one by one and in batches."""
    engine = engine_of(num_items)
    yield from (load_row(engine, rate, largest, num_items) for rate in RATES for largest in (1, max(SIZES)))


def engine_of(num_items: int) -> SequenceEngine:
    """Return an engine as the service has it."""
    config = EncoderConfig()
    return SequenceEngine(SequenceEncoder(config), random_table(num_items, config.dim), config.max_length, "cuda")


def random_table(num_items: int, dim: int) -> FloatArray:
    """Return normal numbers."""
    table_VD: FloatArray = np.random.default_rng(num_items).standard_normal((num_items, dim), np.float32)
    return table_VD


if __name__ == "__main__":
    sys.exit(main())
