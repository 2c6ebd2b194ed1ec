"""The models of the benchmark: each fits on the train slice, chooses on the validation slice, and gives chances.

Called by   benchmarks/ctr/measure.py
Rows        logistic (one-hot of everything), lightgbm, single_task (the same net, one net a task), multitask
Same        every model reads the same columns, categories and positions; the nets also read the live sequence, which
            has no form that the other two could take beyond the counts that all have
Choice      the same number of configurations for each; log-loss on the validation slice decides
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import lightgbm
import numpy as np
import numpy.typing as npt
from scipy import sparse
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss

from benchmarks.ctr.data import CtrData, Slice
from services.training.multitask.config import MultitaskConfig
from services.training.multitask.examples import RankerExamples
from services.training.multitask.fit import FittedRanker, fit_ranker, predict
from shared.models.multitask_inputs import RankerRows

BANDS = 10
LOGISTIC_TRIED = (0.03, 1.0)
TREES_TRIED: tuple[dict[str, Any], ...] = (
    {"num_leaves": 7, "min_data_in_leaf": 50, "learning_rate": 0.03},
    {"num_leaves": 31, "min_data_in_leaf": 100, "learning_rate": 0.05},
)
MOST_TREES, TREE_PATIENCE = 600, 30

Chances = npt.NDArray[np.float64]
Predict = Callable[[RankerRows], Chances]


@dataclass(frozen=True)
class Fitted:
    """A model: chances [N, T] of rows, and how it came about."""

    predict: Predict
    chosen: Mapping[str, Any]
    cpu_s: float
    ranker: FittedRanker | None = None


def logistic(data: CtrData) -> Fitted:
    """One-hot of every category, and of every number's tenths."""
    began = time.process_time()
    train, validation = data.slices["train"].examples, data.slices["validation"].examples
    encoder = OneHot(train.rows)
    matrix, held_out = encoder.of(train.rows), encoder.of(validation.rows)
    models, chosen = [], {}
    for task, name in enumerate(data.fields.tasks):
        tried = []
        for c in LOGISTIC_TRIED:
            model = LogisticRegression(C=c, max_iter=100, tol=1e-3).fit(matrix, train.label_NT[:, task])
            p_N = model.predict_proba(held_out)[:, 1]
            tried.append((log_loss(validation.label_NT[:, task], p_N, labels=[False, True]), c, model))
        _, chosen[f"{name}: C"], model = min(tried, key=lambda one: one[0])
        models.append(model)

    def chances(rows: RankerRows) -> Chances:
        encoded = encoder.of(rows)
        return np.stack([model.predict_proba(encoded)[:, 1] for model in models], axis=1)

    return Fitted(chances, chosen, time.process_time() - began)


def trees(data: CtrData) -> Fitted:
    """LightGBM with categories as categories, stopped by the validation slice."""
    began = time.process_time()
    train, validation = data.slices["train"].examples, data.slices["validation"].examples
    matrix, held_out = as_table(train.rows), as_table(validation.rows)
    categories = list(range(numbers_in(train.rows), matrix.shape[1]))
    models, chosen = [], {}
    for task, name in enumerate(data.fields.tasks):
        tried = []
        for number, settings in enumerate(TREES_TRIED):
            learn = lightgbm.Dataset(matrix, train.label_NT[:, task], categorical_feature=categories)
            check = lightgbm.Dataset(held_out, validation.label_NT[:, task], reference=learn)
            model = lightgbm.train(
                TREE_SETTINGS | settings,
                learn,
                MOST_TREES,
                [check],
                callbacks=[lightgbm.early_stopping(TREE_PATIENCE, verbose=False)],
            )
            tried.append((model.best_score["valid_0"]["binary_logloss"], number, model))
        _, number, model = min(tried, key=lambda one: one[:2])
        chosen |= {f"{name}: leaves": TREES_TRIED[number]["num_leaves"], f"{name}: trees": model.best_iteration}
        models.append(model)

    def chances(rows: RankerRows) -> Chances:
        table = as_table(rows)
        return np.stack([np.asarray(model.predict(table)) for model in models], axis=1)

    return Fitted(chances, chosen, time.process_time() - began)


TREE_SETTINGS: dict[str, Any] = {
    "objective": "binary",
    "feature_fraction": 0.7,
    "bagging_fraction": 0.8,
    "bagging_freq": 1,
    "cat_smooth": 50,
    "num_threads": 1,
    "seed": 7,
    "verbose": -1,
}


def multitask(data: CtrData, tried: tuple[MultitaskConfig, ...]) -> Fitted:
    """The product's ranker."""
    began = time.process_time()
    fits = [(fit_on(data, config), place) for place, config in enumerate(tried)]
    best, place = min(fits, key=lambda fit: validation_loss(fit[0]))
    return Fitted(
        lambda rows: predict(best.model, rows).astype(np.float64),
        {"configuration": f"{place + 1} of {len(tried)}", "epoch": best.best_epoch},
        time.process_time() - began,
        best,
    )


def single_task(data: CtrData, tried: tuple[MultitaskConfig, ...]) -> Fitted:
    """The same net, trained for one task at a time, over all impressions."""
    began = time.process_time()
    parts, chosen = [], {}
    for place, name in enumerate(data.fields.tasks):
        part = multitask(only(data, place), tried)
        parts.append(part)
        chosen |= {f"{name}: {key}": value for key, value in part.chosen.items()}
    return Fitted(
        lambda rows: np.concatenate([part.predict(rows) for part in parts], axis=1),
        chosen,
        time.process_time() - began,
    )


def fit_on(data: CtrData, config: MultitaskConfig) -> FittedRanker:
    """Train one net."""
    return fit_ranker(data.slices["train"].examples, data.slices["validation"].examples, data.fields, config)


def validation_loss(fitted: FittedRanker) -> float:
    """Return the loss that chose the epoch."""
    return sum(fitted.curve[fitted.best_epoch - 1].values())


def only(data: CtrData, task: int) -> CtrData:
    """Return the data with one task."""
    slices = {
        name: Slice(RankerExamples(part.examples.rows, part.examples.label_NT[:, [task]]), part.group_N, None)
        for name, part in data.slices.items()
    }
    return replace(data, fields=replace(data.fields, tasks=(data.fields.tasks[task],)), slices=slices)


def numbers_of(rows: RankerRows) -> npt.NDArray[np.float32]:
    """Return all numbers, and the position as one."""
    request_N = rows.request_of_N
    position_N1 = rows.position_N[:, None].astype(np.float32)
    return np.concatenate([rows.request_number_RF[request_N], rows.item_number_NF, position_N1], axis=1)


def numbers_in(rows: RankerRows) -> int:
    """Return how many columns `numbers_of` has."""
    return rows.request_number_RF.shape[1] + rows.item_number_NF.shape[1] + 1


def categories_of(rows: RankerRows) -> npt.NDArray[np.int32]:
    """Return all categories."""
    return np.concatenate([rows.request_category_RG[rows.request_of_N], rows.item_category_NG], axis=1)


def as_table(rows: RankerRows) -> npt.NDArray[np.float32]:
    """Return numbers and then categories."""
    return np.concatenate([numbers_of(rows), categories_of(rows).astype(np.float32)], axis=1)


class OneHot:
    """A column for each value of each category and for each tenth of each number."""

    def __init__(self, rows: RankerRows) -> None:
        number_NF = numbers_of(rows)
        inner = np.linspace(0, 1, BANDS + 1)[1:-1]
        self.edges = [np.unique(np.quantile(column, inner)) for column in number_NF.T]
        self.sizes = [len(edges) + 1 for edges in self.edges]
        self.sizes += [int(column.max()) + 1 for column in categories_of(rows).T]

    def of(self, rows: RankerRows) -> sparse.csr_matrix:
        """Return the matrix; a category that training did not have has no column."""
        bands = [
            np.searchsorted(edges, column, "right")
            for edges, column in zip(self.edges, numbers_of(rows).T, strict=True)
        ]
        codes = [*bands, *categories_of(rows).T]
        start, columns, there = 0, [], []
        for code, size in zip(codes, self.sizes, strict=True):
            there.append(code < size)
            columns.append(start + np.minimum(code, size - 1))
            start += size
        place = np.stack(columns, axis=1).ravel()
        value = np.stack(there, axis=1).ravel().astype(np.float32)
        return sparse.csr_matrix((value, place, np.arange(0, len(value) + 1, len(codes))), (len(rows), start))
