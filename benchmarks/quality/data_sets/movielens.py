"""MovieLens 1M and 100K.

Called by   registry.py
Protocol    every rating is one interaction; leave-one-out over all items, seen items left out. 1M: films with at least
            five ratings, in the order of the SASRec file (`position`); times are known for half of its users only, so
            neither a split by time nor the track query-time can be had. 100K: order by time, ties by row of the file
Features    genres as categories
"""

from pathlib import Path
from typing import Any

import pandas as pd

from benchmarks.quality.data_sets.data_set import ANY_LOG, LEAVE_ONE_OUT, DataSet, as_raw, open_table
from benchmarks.quality.findings import found
from benchmarks.quality.interactions import build_interactions
from benchmarks.quality.splits import leave_one_out
from shared.features.catalogue import CatalogueItem


def open_1m(root: Path) -> DataSet:
    """Return MovieLens 1M."""
    path = root / "movielens-1m" / "ratings.parquet"
    ratings = open_table(path, root)
    rare = ratings["position"].isna()
    kept = ratings[~rare]
    raw = as_raw(path, _events(kept).assign(position=kept["position"].astype("int64"), timestamp=kept["timestamp"]))
    findings = found("ratings of films with fewer than 5 ratings", rare.sum(), "left out, as in the SASRec file")
    interactions = build_interactions(raw, _films(root / "movielens-1m", root), findings=findings)
    return DataSet("movielens-1m", interactions, {LEAVE_ONE_OUT: leave_one_out})


def open_100k(root: Path) -> DataSet:
    """Return MovieLens 100K."""
    path = root / "movielens-100k" / "ratings.parquet"
    ratings = open_table(path, root)
    raw = as_raw(path, _events(ratings).assign(timestamp=ratings["timestamp"]))
    interactions = build_interactions(raw, _films(root / "movielens-100k", root))
    return DataSet("movielens-100k", interactions, ANY_LOG)


def _events(ratings: pd.DataFrame) -> pd.DataFrame:
    return ratings[["user_id", "movie_id"]].rename(columns={"movie_id": "item_id"})


def _films(folder: Path, root: Path) -> dict[str, CatalogueItem]:
    rows: list[dict[Any, Any]] = open_table(folder / "movies.parquet", root).to_dict("records")
    films = [CatalogueItem(str(row["movie_id"]), title=row["title"], categories=tuple(row["genres"])) for row in rows]
    return {film.item_id: film for film in films}
