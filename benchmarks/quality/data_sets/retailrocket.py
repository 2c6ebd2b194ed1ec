"""RetailRocket, multi-behaviour subset: predict the purchase that the source holds back.

Called by   registry.py
Protocol    one question a user: all views, cart additions and purchases of the training part, ranked over all items
            without those seen (the source took every other event of the held-back pair out, so an answer was never
            seen). Times of the past are known, and tell what was bought together; when the held-back purchase was made
            is not, hence the track
"""

from pathlib import Path

import numpy as np

from benchmarks.quality.data_sets.data_set import LEAVE_ONE_OUT, DataSet, as_raw, open_table
from benchmarks.quality.interactions import Interactions, build_interactions
from benchmarks.quality.protocols import PAST_TIMES
from benchmarks.quality.splits import MakeSplit, Split, held_back
from shared.models.tensors import BoolArray


def open_retailrocket(root: Path) -> DataSet:
    """Return the data set."""
    path = root / "retailrocket-multibehavior" / "events.parquet"
    events = open_table(path, root)
    is_test = (events["split"] == "test").to_numpy()
    time = events["timestamp"].to_numpy("float64", na_value=np.nan)
    # Behind all others; ties by row of the file.
    position = np.where(is_test, np.nanmax(time) + 1, time).astype(np.int64)
    columns = events[["user_id", "item_id", "event", "timestamp"]].astype({"event": "str"})
    interactions = build_interactions(as_raw(path, columns.assign(position=position)), {})
    splits = {LEAVE_ONE_OUT: _held_back(is_test[interactions.row_E])}
    note = "buyers only; views, carts and purchases"
    return DataSet("retailrocket-multibehavior", interactions, splits, note=note, track=PAST_TIMES)


def _held_back(held_E: BoolArray) -> MakeSplit:
    def split(interactions: Interactions) -> Split:
        return held_back(interactions, held_E)

    return split
