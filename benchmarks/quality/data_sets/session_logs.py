"""Click sessions without users: YooChoose and REES46. A session takes the place of a user.

Called by   registry.py
YooChoose   the ready split: test = the last 24 hours; validation = sessions that end in the 24 hours before. Asked for
            every click after the first, as GRU4Rec and session-rec do; items may come again, so nothing is hidden
REES46      two days of product views; test = the newest tenth of the sessions by their start, validation = the tenth
            before. Asked for the last view, as Transformers4Rec does; nothing is hidden
"""

from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.quality.data_sets.data_set import SESSIONS, DataSet, as_raw, open_table
from benchmarks.quality.interactions import Interactions, build_interactions
from benchmarks.quality.splits import MakeSplit, Split, sessions
from shared.features.catalogue import CatalogueItem
from shared.features.events import IntArray

DAY_MS = 86_400_000


def open_yoochoose(root: Path) -> DataSet:
    """Return YooChoose, 100k clicks."""
    path = root / "yoochoose-clicks-100k" / "clicks.parquet"
    clicks = open_table(path, root)
    is_test = (clicks["split"] == "test").to_numpy()
    columns = clicks.rename(columns={"session_id": "user_id", "timestamp_ms": "timestamp"})
    interactions = build_interactions(
        as_raw(path, columns[["user_id", "item_id", "timestamp"]].assign(event="click")), {}
    )
    log = interactions.log
    test_U = np.bincount(log.user_E, is_test[interactions.row_E], minlength=log.num_users) > 0
    end_ms_U = interactions.real_ms_E[log.start_U1[1:] - 1]
    validation_U = ~test_U & (end_ms_U > end_ms_U[~test_U].max() - DAY_MS)
    part_U = np.where(test_U, 2, np.where(validation_U, 1, 0)).astype(np.int32)
    splits = {SESSIONS: _by_part(part_U, every_place=True)}
    return DataSet("yoochoose-clicks-100k", interactions, splits, hide_seen=False)


def open_rees46(root: Path) -> DataSet:
    """Return the sessions of REES46."""
    path = root / "rees46-multicategory" / "sessions_2days.parquet"
    views = open_table(path, root)
    columns = views[["session_id", "item_id", "timestamp"]].rename(columns={"session_id": "user_id"})
    interactions = build_interactions(as_raw(path, columns.assign(event="view")), _products(views))
    start_ms_U = interactions.real_ms_E[interactions.log.start_U1[:-1]]
    validation_ms, test_ms = np.quantile(start_ms_U, (0.8, 0.9), method="lower").tolist()
    part_U = ((start_ms_U >= validation_ms).astype(np.int32) + (start_ms_U >= test_ms)).astype(np.int32)
    splits = {SESSIONS: _by_part(part_U, every_place=False)}
    note = "49 rows with an event code that the source does not explain count as views"
    return DataSet("rees46-multicategory", interactions, splits, hide_seen=False, note=note)


def _products(views: pd.DataFrame) -> dict[str, CatalogueItem]:
    """Return category path and brand of each product, as the source numbers them."""
    first = views.drop_duplicates("item_id")
    cells = zip(first["item_id"], first["category_id"], first["subcategory_id"], first["brand_id"], strict=True)
    items = [
        CatalogueItem(str(item), categories=(f"category {top}", f"subcategory {leaf}"), brand=f"brand {brand}")
        for item, top, leaf, brand in cells
    ]
    return {item.item_id: item for item in items}


def _by_part(part_U: IntArray, every_place: bool) -> MakeSplit:
    def split(interactions: Interactions) -> Split:
        return sessions(interactions, part_U, every_place)

    return split
