"""The simulated log: what a shop would have stored, in columns, and beside it the truth that no shop knows.

Called by   simulate.py (makes it), emit.py (writes it as the public API takes it), difficulty.py, benchmarks/ctr
Dimensions  N items shown, in order of (time shown, request, position); E events, in order of (time, event number)
Time        epoch milliseconds; hours and weekdays are those of UTC
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson
import pyarrow as pa

from services.training.examples.source import ShopFiles, item_from_row, profiles_of
from services.training.simulation.catalogue import SimulatedCatalogue, item_id
from services.training.simulation.choice import Chances
from services.training.simulation.config import SimulationConfig
from services.training.simulation.sessions import DEVICES
from services.training.simulation.shoppers import Shoppers, user_id
from shared.features.events import FloatArray, IntArray, LongArray

NO_REQUEST = -1


@dataclass(frozen=True)
class ImpressionColumns:
    """Everything a shop would know of N items shown, and whether they were clicked and bought."""

    request_N: IntArray
    session_N: IntArray
    user_N: IntArray
    item_N: IntArray
    position_N: IntArray
    """from 1"""
    shown_at_ms_N: LongArray
    """history is what happened strictly before"""
    hour_N: IntArray
    weekday_N: IntArray
    """0 Monday to 6 Sunday"""
    device_N: IntArray
    """sessions.DEVICES"""
    times_shown_N: IntArray
    """how often the shopper was shown the item before"""
    propensity_N: FloatArray
    """chance of the item at its place, given the places above"""
    clicked_N: npt.NDArray[np.bool_]
    purchased_N: npt.NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.request_N)


@dataclass(frozen=True)
class EventColumns:
    """Views, clicks, carts and purchases; what was shown is in ImpressionColumns."""

    type_E: npt.NDArray[np.int8]
    """EVENT_TYPE_CODES"""
    user_E: IntArray
    item_E: IntArray
    at_ms_E: LongArray
    session_E: IntArray
    request_E: IntArray
    """the list it came from, NO_REQUEST for a product found without one"""
    position_E: IntArray
    """in that list, 0 without one"""
    device_E: IntArray

    def __len__(self) -> int:
        return len(self.type_E)


@dataclass(frozen=True)
class SimulatedLog:
    """One simulated shop and its log."""

    config: SimulationConfig
    catalogue: SimulatedCatalogue
    shoppers: Shoppers
    impressions: ImpressionColumns
    truth: Chances
    """of every impression: hidden from models, for the oracle only"""
    events: EventColumns

    def event_id(self, event: int) -> str:
        """Return the identifier of event number `event`; ascending with time."""
        return f"{self.config.name}-e{event:09d}"

    def recommendation_id(self, request: int) -> str:
        """Return the identifier of list number `request`."""
        return f"{self.config.name}-r{request:09d}"

    def session_id(self, session: int) -> str:
        """Return the identifier of session number `session`."""
        return f"{self.config.name}-s{session:09d}"

    def shop_files(self) -> ShopFiles:
        """Return events, items and profiles as any training source gives them."""
        events = self.events
        contexts = [orjson.dumps({"device": device}).decode() for device in DEVICES]
        table: Any = pa.table(
            {
                "user_key": _named(events.user_E, [f"u:{user_id(user)}" for user in range(len(self.shoppers))]),
                "event_id": pa.array([self.event_id(event) for event in range(len(events))]),
                "item_id": _named(events.item_E, [item_id(item) for item in range(len(self.catalogue))]),
                "type": pa.array(events.type_E.astype(np.int16)),
                "at_ms": pa.array(events.at_ms_E),
                "price": pa.array(self.catalogue.price_V[events.item_E]),
                "quantity": pa.array(np.ones(len(events), np.float32)),
                "value": pa.nulls(len(events), pa.float32()),
                "context": _named(events.device_E, contexts),
            }
        )
        items = [item_from_row(self.catalogue.item_json(item)) for item in range(len(self.catalogue))]
        users = [self.shoppers.user_json(user) for user in range(len(self.shoppers))]
        return ShopFiles(table, items, profiles_of([row | {"user_key": f"u:{row['user_id']}"} for row in users]))


def _named(code_E: IntArray, names: list[str]) -> Any:
    return pa.DictionaryArray.from_arrays(pa.array(code_E), pa.array(names)).cast(pa.string())
