"""RetailRocket, multi-behaviour subset: view, cart and purchase of the same pair as a funnel.

Called by   benchmarks/ctr/data_sets/names.py
Labels      click: the item that was looked at next, among sampled others; cart and purchase: within seven days of the
            view (services/training/multitask/labels.py), whoever bought had a cart
Log         the train part only: the held-back purchases have no time
"""

from pathlib import Path

import numpy as np
import pyarrow.parquet

from benchmarks.ctr.data import CtrData, Source, by_share, cut
from benchmarks.ctr.data_sets.next_view import CART, NEGATIVES, PURCHASE, VIEW, ViewLog, next_views
from services.training.multitask.labels import Acts, Exposures, label, trainable
from shared.models.multitask_inputs import CategoryField, RankerFields

MAX_HISTORY = 30
TYPES = {"view": VIEW, "addtocart": CART, "transaction": PURCHASE}
SEED = 7


def retailrocket(folder: Path) -> CtrData:
    """Return the views as examples."""
    log = _log(folder)
    event_R = np.flatnonzero((log.type_E == VIEW) & (np.arange(len(log.type_E)) > 100))
    found = next_views(log, event_R, SEED)
    user_N = found.user_R[found.rows.request_of_N]
    at_ms_N = found.at_ms_R[found.rows.request_of_N]
    seen = np.flatnonzero(found.viewed_N)
    acts = label(
        Exposures(user_N[seen], found.item_N[seen], at_ms_N[seen]),
        Acts(log.user_E, log.item_E, log.at_ms_E, log.type_E),
        ("cart", "purchase"),
    )
    columns = {"click": found.viewed_N}
    for place, task in enumerate(acts.tasks):
        columns[task] = np.zeros(len(found.viewed_N), np.bool_)
        columns[task][seen] = acts.label_NT[:, place]
    labels = trainable(columns)
    fields = RankerFields(
        found.request_names,
        (CategoryField("hour", 25), CategoryField("weekday", 8)),
        found.item_names,
        (CategoryField("item", len(log.item_category_VG) + 1),),
        ("item",),
        MAX_HISTORY,
        labels.tasks,
    )
    note = f"real; buyers only; a view of an item met before against {NEGATIVES} sampled by popularity: AUC is inflated"
    source = Source("retailrocket", note, fields, found.rows, labels, found.at_ms_R, found.user_R)
    return cut(source, by_share(found.at_ms_R, 0.2, (0.65, 0.75, 0.82)))


def _log(folder: Path) -> ViewLog:
    table = pyarrow.parquet.read_table(folder / "events.parquet").to_pandas()
    table = table[table["split"] == "train"].sort_values("timestamp", kind="stable")
    items = int(table["item_id"].max()) + 1
    return ViewLog(
        table["user_id"].to_numpy(np.int64),
        table["item_id"].to_numpy(np.int64),
        (table["timestamp"].to_numpy(np.float64) * 1000).astype(np.int64),
        table["event"].map(TYPES).to_numpy(np.int8),
        np.arange(1, items + 1, dtype=np.int32)[:, None],
        [],
        MAX_HISTORY,
    )
