"""Print how much an install of a given size needs, from what one set of processes was measured to answer.

Called by   hand: python -m deploy.sizing; a test compares its table with that of deploy/README.md
In          benchmarks/results/serving.json: answers per second of one gateway, one feature and one ranking process
            together, and the memory of each
Out         a table in Markdown: replicas, cores, memory and GPUs for each number of shoppers
Assumed     what HABITS says: put in the figures of your shop
Errors      ValueError when the measured rate had errors or lesser lists
"""

import json
import math
from dataclasses import dataclass
from pathlib import Path

MEASURED = Path(__file__).resolve().parents[1] / "benchmarks" / "results" / "serving.json"
SHOPPERS = (10_000, 1_000_000, 50_000_000)
SET = ("gateway", "feature", "ranking")
FEWEST = {"gateway": 3, "feature": 2, "ranking": 2}
"""minReplicas of k8s/base: for the death of one, not for the load"""


@dataclass(frozen=True)
class Habits:
    """What shoppers do, and how full a process may be."""

    active_a_day: float = 0.10
    """share of all shoppers who come on a day"""
    lists_a_visit: int = 20
    peak_hour: float = 0.12
    """share of the day's lists that is asked for in its busiest hour"""
    utilisation: float = 0.60
    """of the measured rate; what is above is for bursts, a lost node and a rollout"""


HABITS = Habits()


@dataclass(frozen=True)
class UnitCosts:
    """What was measured."""

    answers_per_s: float
    cores: int
    memory_mb: dict[str, float]


def measured(path: Path = MEASURED) -> UnitCosts:
    """Return the unit costs: the highest rate that was answered without an error or a lesser list."""
    result = json.loads(path.read_text())
    (row,) = [row for row in result["rows"] if row["case"] == "aisle: capacity"]
    if row["errors"] or row["degraded"]:
        raise ValueError(f"{path}: the highest rate was not answered in full")
    memory_mb = {name: result["memory_mb"][f"services.{name}.main"] for name in SET}
    return UnitCosts(row["achieved"], result["environment"]["cores"], memory_mb)


def peak_per_s(shoppers: int, habits: Habits = HABITS) -> float:
    """Return the lists per second of the busiest hour."""
    return shoppers * habits.active_a_day * habits.lists_a_visit * habits.peak_hour / 3600


def replicas(peak: float, costs: UnitCosts, habits: Habits = HABITS) -> dict[str, int]:
    """Return how many of each service: so many sets as the peak needs, and never fewer than survive a death."""
    sets = math.ceil(peak / (costs.answers_per_s * habits.utilisation))
    return {name: max(FEWEST[name], sets) for name in SET}


def table(costs: UnitCosts) -> str:
    """Return the table."""
    lines = [
        "| shoppers | lists/s in the busiest hour | gateway | feature | ranking | cores | memory | GPUs |",
        "|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for shoppers in SHOPPERS:
        peak = peak_per_s(shoppers)
        wanted = replicas(peak, costs)
        cores = math.ceil(sum(wanted.values()) * costs.cores / len(SET))
        memory_gb = sum(wanted[name] * costs.memory_mb[name] for name in SET) / 1000
        counts = " | ".join(str(wanted[name]) for name in SET)
        lines.append(f"| {shoppers:,} | {peak:,.1f} | {counts} | {cores} | {memory_gb:.1f} GB | 0 |")
    return "\n".join(lines)


if __name__ == "__main__":
    print(table(measured()))
