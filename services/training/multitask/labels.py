"""THE rule for labels: what became of an item that a shopper was shown or looked at.

Called by   services/training/multitask/examples, benchmarks/ctr
In          exposures (impressions where the shop has them, else views) and the shopper's acts, as columns
Rule        an act counts for the newest exposure of the same shopper and item strictly before it or at the same
            moment, if that is at most `window_ms` ago; it counts once. Whoever bought had clicked: a later step of the
            funnel makes all earlier ones true
Tasks       a step is trained when it has both classes; the others are named with the reason, never invented
Dimensions  N exposures, E acts, T tasks
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from shared.contracts.events import EVENT_TYPE_CODES, EventType
from shared.features.events import IntArray, LongArray

DEFAULT_WINDOW_MS = 7 * 86_400_000
TASK_TYPES: Mapping[str, tuple[EventType, ...]] = {
    "click": (EventType.CLICK, EventType.VIEW),
    "cart": (EventType.ADD_TO_CART,),
    "purchase": (EventType.PURCHASE,),
}
"""the steps of the funnel in their order, and the acts that prove each"""
FEWEST_OF_A_CLASS = 10
LabelArray = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Acts:
    """What shoppers did with items."""

    user_E: IntArray
    item_E: IntArray
    at_ms_E: LongArray
    type_E: npt.NDArray[np.int8]
    """EVENT_TYPE_CODES"""


@dataclass(frozen=True)
class Exposures:
    """Items that shoppers were shown, each with its moment."""

    user_N: IntArray
    item_N: IntArray
    at_ms_N: LongArray


@dataclass(frozen=True)
class Labels:
    """One column a task, in the order of the funnel; `missing` says why a step is not trained."""

    tasks: tuple[str, ...]
    label_NT: LabelArray
    missing: Mapping[str, str]


def label(exposures: Exposures, acts: Acts, tasks: Sequence[str], window_ms: int = DEFAULT_WINDOW_MS) -> Labels:
    """Return the labels of every exposure."""
    place_E = newest_exposure(exposures, acts, window_ms)
    columns = {}
    for task in tasks:
        codes = [EVENT_TYPE_CODES[event_type] for event_type in TASK_TYPES[task]]
        counted_E = (place_E >= 0) & np.isin(acts.type_E, codes)
        columns[task] = np.zeros(len(exposures.user_N), np.bool_)
        columns[task][place_E[counted_E]] = True
    return trainable(columns)


def trainable(columns: Mapping[str, LabelArray]) -> Labels:
    """Return the columns, earlier steps first, that a model can learn from, each implied by the later ones."""
    implied: dict[str, LabelArray] = {}
    later_N: LabelArray | None = None
    for task in reversed(tuple(columns)):
        later_N = columns[task] if later_N is None else columns[task] | later_N
        implied[task] = later_N
    missing = {task: reason for task, label_N in implied.items() if (reason := _untrainable(label_N))}
    tasks = tuple(task for task in columns if task not in missing)
    length = len(next(iter(columns.values())))
    label_NT = np.stack([implied[task] for task in tasks], axis=1) if tasks else np.zeros((length, 0), np.bool_)
    return Labels(tasks, label_NT, missing)


def newest_exposure(exposures: Exposures, acts: Acts, window_ms: int) -> LongArray:
    """Return for each act the place of the exposure it counts for, -1 for none."""
    if not len(exposures.user_N):
        return np.full(len(acts.user_E), -1, np.int64)
    items = 1 + int(max(exposures.item_N.max(), acts.item_E.max(initial=0)))
    pair_N = exposures.user_N.astype(np.int64) * items + exposures.item_N
    order_N = np.lexsort((exposures.at_ms_N, pair_N))
    both = np.concatenate([pair_N[order_N], acts.user_E.astype(np.int64) * items + acts.item_E])
    at_ms = np.concatenate([exposures.at_ms_N[order_N], acts.at_ms_E])
    is_act = np.concatenate([np.zeros(len(pair_N), np.bool_), np.ones(len(acts.user_E), np.bool_)])
    order = np.lexsort((is_act, at_ms, both))
    newest = np.maximum.accumulate(np.where(is_act[order], -1, np.arange(len(order))))
    before = order[np.maximum(newest, 0)]
    found = (newest >= 0) & (both[before] == both[order]) & (at_ms[order] - at_ms[before] <= window_ms)
    place = np.full(len(order), -1, np.int64)
    place[order] = np.where(found, before, -1)
    place_E = place[len(pair_N) :]
    return np.where(place_E >= 0, order_N[np.maximum(place_E, 0)], -1)


def _untrainable(label_N: LabelArray) -> str | None:
    positives = int(label_N.sum())
    if positives < FEWEST_OF_A_CLASS:
        return f"only {positives} of {len(label_N)} exposures have it"
    if len(label_N) - positives < FEWEST_OF_A_CLASS:
        return f"only {len(label_N) - positives} of {len(label_N)} exposures lack it"
    return None
