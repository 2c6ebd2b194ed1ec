"""Open Bandit, small sample: real impressions of a fashion shop with positions; shoppers are anonymous.

Called by   benchmarks/ctr/data_sets/names.py
Labels      click, as logged; the log has no purchases
Groups      grouped AUC over the impressions of the same shopper features, since nobody has a name
"""

from pathlib import Path

import numpy as np
import pandas
import pyarrow.parquet

from benchmarks.ctr.data import CtrData, Source, by_share, cut
from benchmarks.ctr.past import Past, columns, lift
from services.training.multitask.labels import Labels, trainable
from shared.models.multitask_inputs import CategoryField, RankerFields, RankerRows

USER_FEATURES = tuple(f"user_feature_{place}" for place in range(4))
CATEGORIES = ("campaign", "behavior_policy", *USER_FEATURES)


def open_bandit(folder: Path) -> CtrData:
    """Return the impressions as examples, each a request of its own."""
    log = pyarrow.parquet.read_table(folder / "logs.parquet").to_pandas()
    moment = pandas.to_datetime(log["timestamp"], format="ISO8601")
    log = log.assign(at=moment).sort_values("at", kind="stable").reset_index(drop=True)
    items = pyarrow.parquet.read_table(folder / "items.parquet").to_pandas()
    log = log.merge(items[["behavior_policy", "campaign", "item_id", "item_feature_0"]], how="left")
    at_ms_R = (
        (log["at"].astype("int64") // 1_000_000).to_numpy()
        if log["at"].dt.unit == "ns"
        else (log["at"].astype("int64") // 1000).to_numpy()
    )
    codes = [1 + np.unique(log[name], return_inverse=True)[1] for name in CATEGORIES]
    item_N = np.unique(log["campaign"] + log["item_id"].astype(str), return_inverse=True)[1].astype(np.int64)
    group_R = np.unique(np.stack(codes[2:], axis=1), axis=0, return_inverse=True)[1]
    labels = trainable({"click": log["click"].to_numpy() == 1})
    labels = Labels(labels.tasks, labels.label_NT, {**labels.missing, "purchase": "the log has no purchases"})
    request_names, request_RF, item_names, item_NF = _numbers(log, at_ms_R, item_N, group_R)
    hour_R = log["at"].dt.hour.to_numpy() + 1
    fields = RankerFields(
        request_names,
        (
            *(CategoryField(name, int(code.max()) + 1) for name, code in zip(CATEGORIES, codes, strict=True)),
            CategoryField("hour", 25),
        ),
        item_names,
        (CategoryField("item", int(item_N.max()) + 2),),
        (),
        1,
        labels.tasks,
    )
    size = len(log)
    rows = RankerRows(
        request_RF,
        np.stack([*codes, hour_R], axis=1).astype(np.int32),
        item_NF,
        (item_N + 1).astype(np.int32)[:, None],
        np.zeros((size, 1, 0), np.int32),
        np.zeros((size, 1), np.int32),
        np.zeros((size, 1), np.float32),
        np.arange(size, dtype=np.int32),
        log["position"].to_numpy(np.int32),
    )
    note = "real impressions; few clicks, so every AUC is uncertain by several hundredths"
    source = Source("open-bandit", note, fields, rows, labels, at_ms_R, group_R)
    return cut(source, by_share(at_ms_R, 0.0, (0.6, 0.7, 0.8)))


def _numbers(
    log: pandas.DataFrame, at_ms_N: np.ndarray, item_N: np.ndarray, group_N: np.ndarray
) -> tuple[tuple[str, ...], np.ndarray, tuple[str, ...], np.ndarray]:
    """Return the affinity of shopper and item as logged, and rates of clicks so far."""
    clicked_N = log["click"].to_numpy()
    affinity = log["user_item_affinity"].to_numpy()
    liked_N = np.array([values[item] for values, item in zip(affinity, log["item_id"], strict=True)])
    all_N = np.array([float(np.sum(values)) for values in affinity])
    rate = float(clicked_N[: len(clicked_N) // 2].mean())
    parts = [("affinity", liked_N), ("item_feature_0", log["item_feature_0"].to_numpy())]
    for name, key_N in (("item", item_N), ("group", group_N)):
        shown_N = Past(key_N, at_ms_N).sum(key_N, at_ms_N)
        parts += [(f"{name}_shown", shown_N)]
        parts += [(f"{name}_lift", lift(Past(key_N, at_ms_N, clicked_N).sum(key_N, at_ms_N), shown_N * rate))]
    return *columns([("affinity_of_all", all_N)]), *columns(parts)
