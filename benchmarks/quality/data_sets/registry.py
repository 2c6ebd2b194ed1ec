"""Every data set that has a name, and folders that have none.

Called by   benchmarks/quality/__main__.py
Where       below the folder that AISLE_DATA_DIR names, else ../shared/data beside the repository
Errors      MissingDataError
"""

import os
from collections.abc import Callable, Mapping
from pathlib import Path

from benchmarks.environment import ROOT
from benchmarks.quality.data_sets.amazon import open_beauty, open_toys
from benchmarks.quality.data_sets.data_set import ANY_LOG, DataSet
from benchmarks.quality.data_sets.movielens import open_1m, open_100k
from benchmarks.quality.data_sets.online_retail import open_online_retail
from benchmarks.quality.data_sets.retailrocket import open_retailrocket
from benchmarks.quality.data_sets.session_logs import open_rees46, open_yoochoose
from benchmarks.quality.folder import read_folder

NAMED: Mapping[str, Callable[[Path], DataSet]] = {
    "movielens-1m": open_1m,
    "movielens-100k": open_100k,
    "amazon-beauty": open_beauty,
    "amazon-toys": open_toys,
    "retailrocket-multibehavior": open_retailrocket,
    "yoochoose-clicks-100k": open_yoochoose,
    "rees46-multicategory": open_rees46,
    "uci-online-retail": open_online_retail,
}


def data_root() -> Path:
    """Return the folder below which the named sets lie."""
    return Path(os.environ.get("AISLE_DATA_DIR") or ROOT.parent / "shared" / "data")


def open_data_set(name: str) -> DataSet:
    """Return a named set, or the folder at a path; a folder of a known name is not taken for the set."""
    root = data_root()
    if name in NAMED:
        return NAMED[name](root)
    folder = Path(name)
    interactions = read_folder(folder if folder.is_dir() else root / name, root)
    return DataSet(folder.resolve().name, interactions, ANY_LOG)
