"""docs/benchmarks/gpu.md, made from benchmarks/results/gpu.json: no number is typed by hand.

Called by   __main__.py after a run; `python -m benchmarks.gpu.page` alone
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.environment import ROOT

PAGE = ROOT / "docs" / "benchmarks" / "gpu.md"
RESULT = ROOT / "benchmarks" / "results" / "gpu.json"
HEAD = """# Retrieval and serving on a GPU

Made by `make bench-gpu` from `benchmarks/results/gpu.json`, on one {gpu}.

Item tables and histories are random numbers and the encoder's weights are untrained: none of it changes how long an
answer takes. What the lists are worth is on the page of recommendation quality.
"""
RETRIEVAL = """
## Exact search

The best 100 of all items for a batch of states, bfloat16, no index. **Limit** is the time in which the item table can
be read once at the rate of a copy on the device, {rate} TB/s (bytes read and written) in the same run. **torch** scores
every item with a matrix product, writes the scores and chooses among them. **Recall** is against float32 scores of the
same numbers. Times are those of the device.

"""
BATCHES = """
## Batches

Histories of 64 events in the host's memory to states and lists of 100 items there: encoder, search and both copies.

"""
LOAD = """
## Under load

Requests arrive at random moments of a fixed rate, and go one by one, or together with whatever waits when the GPU is
free (the micro-batcher of the ranking service). A time runs from the moment a request was due; a request that waited
50 ms is refused. One process makes the load, keeps the queue and drives the GPU.

"""


def write_page(result: Path = RESULT, page: Path = PAGE) -> None:
    """Make the page anew."""
    values = json.loads(result.read_text())
    where = values["environment"]
    parts = [HEAD.format(gpu=where["gpu"]), RETRIEVAL.format(rate=values["copy_tb_per_s"])]
    parts.append(
        table(values["retrieval"], ("items", "batch", "ms", "torch_ms", "limit_ms", "share_of_limit", "recall@100"))
    )
    parts += [BATCHES, table(values["batches"], ("items", "batch", "p50_ms", "p99_ms", "requests_per_s"))]
    columns = ("items", "largest_batch", "rate", "achieved_per_s", "refused", "mean_batch", "p50_ms", "p99_ms")
    parts += [LOAD, table(values["load"], columns)]
    parts.append(
        f"\nMeasured {where['measured_at']}, torch {where['torch']}, {where['cores']} cores of {where['cpu']}, "
    )
    parts.append(f"commit {where['commit']}{' with changes' if where['dirty'] else ''}.\n")
    page.parent.mkdir(parents=True, exist_ok=True)
    page.write_text("".join(parts))


def table(rows: Sequence[dict[str, Any]], columns: Sequence[str]) -> str:
    """Return rows as a table of numbers."""
    lines = [" | ".join(column.replace("_", " ") for column in columns), "|".join("---:" for _ in columns)]
    lines += [" | ".join(shown(row[column]) for column in columns) for row in rows]
    return "".join(f"| {line} |\n" for line in lines)


def shown(value: float | None) -> str:
    """Return a number as it is read; nothing where there is none."""
    if value is None:
        return ""
    return f"{value:,}" if isinstance(value, int) else f"{value:,.4g}"


if __name__ == "__main__":
    write_page()
