"""One row of the table: choose its configuration on validation, fit it with every seed, ask the test questions.

Called by   row_process.py, in a process of its own
Seeds       one after the other, or several at once, each in a process of its own: then they share the machine, and the
            seconds are those of sharing it
Choice      NDCG@10 on at most 4,000 random validation questions, with the first seed; one alone is not tried
fit_s       `fit` of the chosen configuration (of a row that trains: its epochs, also those of an interrupted process);
            refit_s: learning the validation events, too; both the mean of the seeds
latency_ms  mean of one user at a time, scores and the first ten places, on one thread
Memory      peak_mb is the highest resident set of a process of the row, start_mb that before its first model
Dimensions  Q questions, M metrics, S seeds, B questions of a block, V items
"""

import multiprocessing
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from benchmarks.quality.compare import Doubles, drawn_means, interval
from benchmarks.quality.metrics import ACCURACY, Answers, ListJudge, answer_block, seen_transitions
from benchmarks.quality.protocols import Benchmark
from benchmarks.quality.row import QualityModel, Row, Training
from benchmarks.quality.task import QualityTask, Questions
from services.training.progress import Report, quiet, under
from shared.models.sources.scores import best_first
from shared.models.tensors import BoolArray

TUNING_QUESTIONS = 4000
LATENCY_QUESTIONS = 200
BLOCK_SCORES = 8_000_000
FIRST_SEED = 7


@dataclass(frozen=True)
class Limits:
    """How much is run."""

    seeds: int = 5
    deadline_s: float = float("inf")
    """time.time() after which no further seed is begun"""
    at_once: int = 1
    """seeds that run side by side"""


@dataclass(frozen=True)
class Measured:
    """A row of the result file, and the NDCG@10 of each test question for comparisons."""

    values: dict[str, Any]
    ndcg_Q: Doubles


@dataclass(frozen=True)
class SeedRun:
    """What one seed came to."""

    training: Training
    answers: Answers
    lists: dict[str, float]
    fit_s: float
    refit_s: float
    latency_ms: float
    peak_mb: float


def measure(row: Row, benchmark: Benchmark, limits: Limits, report: Report = quiet) -> Measured:
    """Return the row; TrainingError when it cannot be had on this data."""
    start_mb = peak_mb()
    tried = tune(row, benchmark.task, report)
    chosen = max(tried, key=lambda attempt: attempt["validation_ndcg@10"])["configuration"] if tried else row.grid[0]
    runs = run_seeds(row, chosen, benchmark, limits, report)
    first = runs[0].training
    values = {
        "model": row.name,
        "seeds": len(runs),
        "seeds_at_once": min(limits.at_once, len(runs)),
        **scores_of(runs, seen_transitions(benchmark.task.refit, benchmark.test)),
        "fit_s": mean_s([run.fit_s for run in runs]),
        "refit_s": mean_s([run.refit_s for run in runs]),
        "epochs": first.epochs,
        "s_per_epoch": mean_s([run.training.s_per_epoch for run in runs]),
        "s_to_best": mean_s([run.training.s_to_best for run in runs]),
        "curve": [round(value, 6) for value in first.curve],
        "latency_ms": round(runs[0].latency_ms, 3),
        "peak_mb": round(max(peak_mb(), *(run.peak_mb for run in runs)), 1),
        "start_mb": round(start_mb, 1),
        "configurations_tried": max(len(tried), 1),
        "chosen": dict(chosen),
        "tuning": tried,
    }
    return Measured(values, np.mean([run.answers.ndcg_Q for run in runs], axis=0))


def mean_s(second_S: list[float]) -> float:
    """Return the mean of some times."""
    return round(float(np.mean(second_S)), 3)


def tune(row: Row, task: QualityTask, report: Report) -> list[dict[str, Any]]:
    """Return every configuration with its validation score; nothing when there is only one."""
    if len(row.grid) == 1:
        return []
    questions = task.validation.sample(TUNING_QUESTIONS, FIRST_SEED)
    tried = []
    for place, configuration in enumerate(row.grid):
        model = row.make(**configuration)
        model.fit(task, FIRST_SEED, under(f"{row.name} {place + 1}/{len(row.grid)}", report))
        score = float(answer(model, questions, task.num_items).ndcg_Q.mean())
        tried.append({"configuration": dict(configuration), "validation_ndcg@10": round(score, 6)})
    return tried


def run_seeds(
    row: Row, chosen: Mapping[str, Any], benchmark: Benchmark, limits: Limits, report: Report
) -> list[SeedRun]:
    """Fit and ask with every seed; one after the other, only as long as there is time for one more."""
    seeds = range(FIRST_SEED, FIRST_SEED + (limits.seeds if row.stochastic else 1))
    if limits.at_once == 1 or len(seeds) == 1:
        return list(_in_turn(row, chosen, benchmark, seeds, limits.deadline_s, report))
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(limits.at_once, context) as pool:
        asked = [pool.submit(run_seed_of, row.name, chosen, benchmark, seed) for seed in seeds]
        return [run.result() for run in asked]


def _in_turn(
    row: Row, chosen: Mapping[str, Any], benchmark: Benchmark, seeds: range, deadline_s: float, report: Report
) -> Iterator[SeedRun]:
    for seed in seeds:
        began_s = time.time()
        yield run_seed(row, chosen, benchmark, seed, under(f"{row.name} seed {seed - seeds[0] + 1}", report))
        if 2 * time.time() - began_s > deadline_s:
            break


def run_seed_of(name: str, chosen: Mapping[str, Any], benchmark: Benchmark, seed: int) -> SeedRun:
    """Run one seed in a process of its own; a row is named, because it cannot be sent."""
    from benchmarks.quality.models import row_named

    return run_seed(row_named(name), chosen, benchmark, seed, quiet)


def run_seed(row: Row, chosen: Mapping[str, Any], benchmark: Benchmark, seed: int, report: Report) -> SeedRun:
    """Fit with one seed and ask the test questions."""
    model, task = row.make(**chosen), benchmark.task
    fit_s = seconds_of(model.fit, task, seed, report)
    refit_s = seconds_of(model.refit, task, seed, report)
    answers = answer(model, benchmark.test, task.num_items)
    return SeedRun(
        training=model.training,
        answers=answers,
        lists=ListJudge(task.refit, task.num_items).judge(answers.top_QK),
        fit_s=fit_s if model.training.fit_s is None else model.training.fit_s,
        refit_s=refit_s,
        latency_ms=latency_ms(model, benchmark.test) if seed == FIRST_SEED else float("nan"),
        peak_mb=peak_mb(),
    )


def seconds_of(step: Callable[[QualityTask, int, Report], None], task: QualityTask, seed: int, report: Report) -> float:
    """Return how long a step of a model takes."""
    began_s = time.perf_counter()
    step(task, seed, report)
    return time.perf_counter() - began_s


def answer(model: QualityModel, questions: Questions, num_items: int) -> Answers:
    """Ask a model, a block of questions at a time."""
    blocks = []
    for block in questions.blocks(max(1, min(256, BLOCK_SCORES // num_items))):
        score_BV = model.scores(block.histories)
        if score_BV.shape != (len(block), num_items):
            raise ValueError(f"scores have the shape {score_BV.shape}, not {(len(block), num_items)}")
        if np.isnan(score_BV).any():
            raise ValueError("a score is not a number")
        blocks.append(answer_block(score_BV, block))
    accuracy_QM = np.concatenate([block.accuracy_QM for block in blocks])
    return Answers(accuracy_QM, np.concatenate([block.top_QK for block in blocks]))


def scores_of(runs: list[SeedRun], seen_Q: BoolArray) -> dict[str, Any]:
    """Return the metrics over all questions, and over those whose transition was seen in the log or was not."""
    accuracy_SQM = np.stack([run.answers.accuracy_QM for run in runs])
    metrics = spread(accuracy_SQM.mean(axis=1))
    drawn_RM = drawn_means(accuracy_SQM.mean(axis=0))
    for place, name in enumerate(ACCURACY):
        metrics[name]["ci95"] = interval(drawn_RM[:, place])
    for name in runs[0].lists:
        metrics[name] = mean_and_deviation(np.array([run.lists[name] for run in runs]))
    parts = {"seen": seen_Q, "unseen": ~seen_Q}
    apart = {
        part: {"questions": int(mask_Q.sum()), **(spread(accuracy_SQM[:, mask_Q].mean(axis=1)) if mask_Q.any() else {})}
        for part, mask_Q in parts.items()
    }
    return {"metrics": metrics, **apart}


def spread(mean_SM: Doubles) -> dict[str, dict[str, Any]]:
    """Return mean and deviation over the seeds of each accuracy metric."""
    return {name: mean_and_deviation(mean_SM[:, place]) for place, name in enumerate(ACCURACY)}


def mean_and_deviation(value_S: Doubles) -> dict[str, Any]:
    """Return both; no deviation of a single seed."""
    deviation = round(float(value_S.std(ddof=1)), 6) if len(value_S) > 1 else None
    return {"mean": round(float(value_S.mean()), 6), "std": deviation}


def latency_ms(model: QualityModel, questions: Questions) -> float:
    """Return the mean time of one user: scores and ten places."""
    chosen = questions.sample(LATENCY_QUESTIONS, FIRST_SEED)
    with threadpool_limits(1):
        if "torch" in sys.modules:
            sys.modules["torch"].set_num_threads(1)
        model.scores(chosen.histories[:1])
        began_s = time.perf_counter()
        for place, history in enumerate(chosen.histories):
            score_V = model.scores([history])[0]
            score_V[chosen.hidden(place)] = -np.inf
            best_first(score_V, 10)
        return 1000 * (time.perf_counter() - began_s) / len(chosen)


def peak_mb() -> float:
    """Return the highest resident set of this process so far (VmHWM; ru_maxrss would count the parent's, too)."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) / 1024
    raise RuntimeError("/proc/self/status does not say VmHWM")
