"""The pipeline's step that trains the ranker: on lists later than the tables learnt from, measured on later ones still.

Called by   services/training/pipeline.py
Periods     lists of the validation period: the first TRAIN_SHARE to learn from, the rest half to stop and half to
            calibrate; lists of the test period to measure
Out         the ranker's part of the bundle, or None with the reason in the report; nothing is ever made up
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.metrics import log_loss, roc_auc_score

from services.training.examples.queries import QueryMaker
from services.training.examples.split import TimeSplit
from services.training.multitask.calibrate import fit_calibration
from services.training.multitask.collect import collect_rows, exposed_lists
from services.training.multitask.config import MultitaskConfig
from services.training.multitask.examples import RankerExamples
from services.training.multitask.export import export_ranker
from services.training.multitask.fit import FittedRanker, fit_ranker, predict
from services.training.progress import Report, StepProgress
from shared.models.multitask_calibration import Calibration
from shared.models.multitask_scorer import RankerColumns, RankerPart, known_names
from shared.models.multitask_shapley import Typical
from shared.models.recommender import Recommender

TRAIN_SHARE, VALIDATION_SHARE = 0.7, 0.15
FEWEST_LISTS = 100


@dataclass(frozen=True)
class FittedPart:
    """What the step made."""

    part: RankerPart | None
    report: dict[str, Any]


@dataclass(frozen=True)
class Past:
    """What the step learns from."""

    recommender: Recommender
    """its tables end where the validation period begins"""
    maker: QueryMaker
    split: TimeSplit


def fit_multitask(past: Past, config: MultitaskConfig, report: Report) -> FittedPart:
    """Return the trained ranker, or why there is none."""
    lists = exposed_lists(past.maker.log, past.split.validation_from_ms, past.split.test_from_ms, config)
    if lists is None:
        return untrained("the log shows too few impressions and views")
    if not lists.labels.tasks:
        return untrained("; ".join(f"{task}: {reason}" for task, reason in lists.labels.missing.items()))
    if len(lists.questions) < FEWEST_LISTS:
        return untrained(f"only {len(lists.questions)} lists in the validation period")
    names = known_names([past.maker.query(question) for question in lists.questions], past.recommender)
    columns = RankerColumns(past.recommender, names, len(past.recommender.contents.item_ids))
    examples = collect_rows(columns, past.maker, lists, report)
    train, validation, calibration = in_order(examples)
    progress = StepProgress("ranker: train", config.epochs, "epochs", report)
    fields = columns.fields(lists.labels.tasks)
    fitted = fit_ranker(train, validation, fields, config, lambda epoch, losses: progress.advance())
    curves = fit_calibration(predict(fitted.model, calibration.rows), calibration.label_NT, config.calibration)
    progress.finish(f"epoch {fitted.best_epoch}")
    about = {
        "trained": True,
        "exposures": lists.exposed_by.value,
        "lists": len(lists.questions),
        "epoch": fitted.best_epoch,
        "missing": dict(lists.labels.missing),
        "test": measured(past, columns, fitted, curves, config, report),
    }
    return FittedPart(RankerPart(export_ranker(fitted.model), fields, names, curves, Typical.of(train.rows)), about)


def untrained(reason: str) -> FittedPart:
    """Return no ranker, and why."""
    return FittedPart(None, {"trained": False, "reason": reason})


def in_order(examples: RankerExamples) -> tuple[RankerExamples, RankerExamples, RankerExamples]:
    """Return the slices to learn from, to stop by and to calibrate with, by time."""
    requests = int(examples.rows.request_of_N[-1]) + 1
    first, second = (int(requests * share) for share in (TRAIN_SHARE, TRAIN_SHARE + VALIDATION_SHARE))
    every_R = np.arange(requests, dtype=np.int32)
    train, validation, calibration = np.split(every_R, [first, second])
    return examples.of_requests(train), examples.of_requests(validation), examples.of_requests(calibration)


def measured(
    past: Past,
    columns: RankerColumns,
    fitted: FittedRanker,
    curves: Calibration,
    config: MultitaskConfig,
    report: Report,
) -> dict[str, Any]:
    """Return AUC and log-loss of each step on the lists of the test period; empty where it has too few."""
    tasks = fitted.model.fields.tasks
    lists = exposed_lists(past.maker.log, past.split.test_from_ms, past.split.end_ms, config)
    if lists is None or not set(tasks) <= set(lists.labels.tasks):
        return {}
    examples = collect_rows(columns, past.maker, lists, report)
    p_NT = curves.apply(predict(fitted.model, examples.rows))
    found = {}
    for place, task in enumerate(tasks):
        label_N = examples.label_NT[:, lists.labels.tasks.index(task)]
        auc, loss = roc_auc_score(label_N, p_NT[:, place]), log_loss(label_N, p_NT[:, place])
        found[task] = {"auc": round(float(auc), 4), "log_loss": round(float(loss), 5), "rate": float(label_N.mean())}
    return found
