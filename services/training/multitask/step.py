"""The pipeline's step that trains the ranker: on lists later than the tables learnt from, measured on later ones still.

Called by   services/training/pipeline.py
Periods     lists of the validation period: the first TRAIN_SHARE to learn from, the rest half to stop and half to
            calibrate; lists of the test period to measure
Out         the ranker's part of the bundle, or None with the reason in the report; nothing is ever made up
Report      how it does on the test period, and what its chances depend on: figures, and pictures for the report
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from sklearn.metrics import log_loss, roc_auc_score

from services.training.examples.queries import QueryMaker, Question
from services.training.examples.split import TimeSplit
from services.training.multitask.calibrate import fit_calibration
from services.training.multitask.collect import ExposedLists, collect_rows, exposed_lists
from services.training.multitask.config import MultitaskConfig
from services.training.multitask.examples import RankerExamples
from services.training.multitask.export import export_ranker
from services.training.multitask.fit import FittedRanker, fit_ranker, predict
from services.training.multitask.importance import Importance, importance_of
from services.training.multitask.importance_plots import pictures_of
from services.training.progress import Report, StepProgress
from shared.models.multitask_calibration import Calibration
from shared.models.multitask_scorer import RankerColumns, RankerPart, RankerScorer, known_names
from shared.models.multitask_shapley import Typical
from shared.models.recommender import Recommender

TRAIN_SHARE, VALIDATION_SHARE = 0.7, 0.15
FEWEST_LISTS = 100


@dataclass(frozen=True)
class FittedPart:
    """What the step made."""

    part: RankerPart | None
    report: dict[str, Any]
    pictures: Mapping[str, bytes] = field(default_factory=dict)
    """of the training report, by name"""


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
    part = RankerPart(export_ranker(fitted.model), fields, names, curves, Typical.of(train.rows))
    later = exposed_lists(past.maker.log, past.split.test_from_ms, past.split.end_ms, config)
    shown = lists.questions[calibration_from(len(lists.questions)) :] if later is None else later.questions
    importance = explained(past, part, shown, config, report)
    pictures = pictures_of(importance)
    about = {
        "trained": True,
        "exposures": lists.exposed_by.value,
        "lists": len(lists.questions),
        "epoch": fitted.best_epoch,
        "missing": dict(lists.labels.missing),
        "test": {} if later is None else measured(later, past, columns, fitted, curves, report),
        "importance": importance.to_json() | {"pictures": list(pictures)},
    }
    return FittedPart(part, about, pictures)


def untrained(reason: str) -> FittedPart:
    """Return no ranker, and why."""
    return FittedPart(None, {"trained": False, "reason": reason})


def in_order(examples: RankerExamples) -> tuple[RankerExamples, RankerExamples, RankerExamples]:
    """Return the slices to learn from, to stop by and to calibrate with, by time."""
    requests = int(examples.rows.request_of_N[-1]) + 1
    every_R = np.arange(requests, dtype=np.int32)
    train, validation, calibration = np.split(every_R, [int(requests * TRAIN_SHARE), calibration_from(requests)])
    return examples.of_requests(train), examples.of_requests(validation), examples.of_requests(calibration)


def calibration_from(requests: int) -> int:
    """Return the first request of the slice to calibrate with."""
    return int(requests * (TRAIN_SHARE + VALIDATION_SHARE))


def explained(
    past: Past, part: RankerPart, shown: Sequence[Question], config: MultitaskConfig, report: Report
) -> Importance:
    """Return what the chances of candidates depend on that shoppers were shown later than the training."""
    scorer = RankerScorer(past.recommender, part)
    return importance_of(scorer, past.recommender, past.maker, shown, config.explained, config.seed, report)


def measured(
    lists: ExposedLists,
    past: Past,
    columns: RankerColumns,
    fitted: FittedRanker,
    curves: Calibration,
    report: Report,
) -> dict[str, Any]:
    """Return AUC and log-loss of each step on the lists of the test period; empty where it lacks one of the steps."""
    tasks = fitted.model.fields.tasks
    if not set(tasks) <= set(lists.labels.tasks):
        return {}
    examples = collect_rows(columns, past.maker, lists, report)
    p_NT = curves.apply(predict(fitted.model, examples.rows))
    found = {}
    for place, task in enumerate(tasks):
        label_N = examples.label_NT[:, lists.labels.tasks.index(task)]
        auc, loss = roc_auc_score(label_N, p_NT[:, place]), log_loss(label_N, p_NT[:, place])
        found[task] = {"auc": round(float(auc), 4), "log_loss": round(float(loss), 5), "rate": float(label_N.mean())}
    return found
