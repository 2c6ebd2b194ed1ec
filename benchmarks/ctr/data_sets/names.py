"""The data sets of the benchmark by name.

Called by   benchmarks/ctr/__main__.py
Errors      UnknownDataError naming the sets there are, or the folder that is missing
"""

from collections.abc import Callable
from pathlib import Path

from benchmarks.ctr.data import CtrData
from benchmarks.ctr.data_sets.complete_journey import complete_journey
from benchmarks.ctr.data_sets.open_bandit import open_bandit
from benchmarks.ctr.data_sets.rees46 import rees46
from benchmarks.ctr.data_sets.retailrocket import retailrocket
from benchmarks.ctr.data_sets.simulated import simulated
from benchmarks.quality.data_sets.registry import data_root

READERS: dict[str, tuple[str, Callable[[Path], CtrData]]] = {
    "retailrocket": ("retailrocket-multibehavior", retailrocket),
    "open-bandit": ("open-bandit-sample", open_bandit),
    "complete-journey": ("complete-journey", complete_journey),
    "rees46": ("rees46-multicategory", rees46),
}
NAMES = ("simulated", *READERS)


class UnknownDataError(Exception):
    """No such data set, or its files are not there."""


def open_data(name: str, folder: Path | None = None) -> CtrData:
    """Return a data set; `folder` is where its files lie, usually below the shared data."""
    if name == "simulated":
        return simulated()
    if name not in READERS:
        raise UnknownDataError(f"unknown data set {name}; there are {', '.join(NAMES)}")
    usual, reader = READERS[name]
    place = folder or data_root() / usual
    if not place.is_dir():
        raise UnknownDataError(f"the files of {name} are not in {place}")
    return reader(place)
