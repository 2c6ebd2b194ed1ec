"""REES46 multi-category shop, two days of sessions: the product looked at next, with category, brand and price.

Called by   benchmarks/ctr/data_sets/names.py
Labels      click: the item that was looked at next, among sampled others. Carts and purchases: the sessions do not name
            them (49 rows carry codes whose order the source does not state), so no such step is trained
Requests    one in EVERY of all views, to keep a run within minutes
"""

from pathlib import Path

import numpy as np
import pyarrow.parquet

from benchmarks.ctr.data import CtrData, Source, by_share, cut
from benchmarks.ctr.data_sets.next_view import NEGATIVES, VIEW, ViewLog, next_views
from services.training.multitask.labels import Labels, trainable
from shared.models.multitask_inputs import CategoryField, RankerFields

MAX_HISTORY = 20
EVERY = 3
SEED = 7
CATEGORIES = ("subcategory_id", "category_id", "brand_id")
NUMBERS = ("price_log_norm", "price_relative_to_category")


def rees46(folder: Path) -> CtrData:
    """Return the views as examples."""
    log = _log(folder)
    event_R = np.arange(200, len(log.type_E), EVERY)
    found = next_views(log, event_R, SEED)
    labels = trainable({"click": found.viewed_N})
    absent = "the sessions do not name any"
    labels = Labels(labels.tasks, labels.label_NT, {**labels.missing, "cart": absent, "purchase": absent})
    names = ("item", *CATEGORIES)
    fields = RankerFields(
        found.request_names,
        (CategoryField("hour", 25), CategoryField("weekday", 8)),
        found.item_names,
        tuple(CategoryField(name, int(log.item_category_VG[:, place].max()) + 1) for place, name in enumerate(names)),
        names,
        MAX_HISTORY,
        labels.tasks,
    )
    note = f"real; a view of an item met before against {NEGATIVES} sampled by popularity: AUC is inflated"
    source = Source("rees46", note, fields, found.rows, labels, found.at_ms_R, found.user_R)
    return cut(source, by_share(found.at_ms_R, 0.15, (0.6, 0.7, 0.8)))


def _log(folder: Path) -> ViewLog:
    table = pyarrow.parquet.read_table(folder / "sessions_2days.parquet").to_pandas()
    table = table[table["event_code"] == 2].sort_values("timestamp", kind="stable")
    item_E = np.unique(table["item_id"].to_numpy(), return_inverse=True)[1]
    first = np.unique(item_E, return_index=True)[1]
    codes = [np.arange(1, len(first) + 1)]
    codes += [1 + np.unique(table[name].to_numpy()[first], return_inverse=True)[1] for name in CATEGORIES]
    return ViewLog(
        np.unique(table["session_id"].to_numpy(), return_inverse=True)[1].astype(np.int64),
        item_E.astype(np.int64),
        table["timestamp"].to_numpy(np.int64) * 1000,
        np.full(len(table), VIEW, np.int8),
        np.stack(codes, axis=1).astype(np.int32),
        [(name, table[name].to_numpy(np.float32)[first]) for name in NUMBERS],
        MAX_HISTORY,
    )
