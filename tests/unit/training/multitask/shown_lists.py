"""The simulated shop as a training source, with the impressions of its lists or without.

Called by   conftest.py, test_step.py, test_importance.py
"""

from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa

from services.training.config import FusionConfig, TrainingConfig
from services.training.examples.source import ShopFiles
from services.training.multitask.config import MultitaskConfig
from services.training.sequence.config import SequenceConfig
from services.training.simulation.log import SimulatedLog
from shared.contracts.events import EVENT_TYPE_CODES, EventType
from shared.models.encoder import EncoderConfig
from shared.models.multitask_layers import RankerShape

UTC = ZoneInfo("UTC")
SHAPE = RankerShape(embedding=4, width=16, cross=8, experts=2, expert=16, tower=8, dropout=0.2)
CONFIG = TrainingConfig(
    name="lists",
    min_item_events=2,
    content_dim=8,
    threads=1,
    test_questions=50,
    sequence=SequenceConfig(
        EncoderConfig(dim=16, blocks=1, heads=2, max_length=16, dropout=0.1), suit=False, epochs=1, threads=1
    ),
    fusion=FusionConfig(questions=100, per_source=20),
    multitask=MultitaskConfig(
        shape=SHAPE, epochs=3, batch=512, learning_rate=1e-2, averaging=0.9, lists=700, explained=30
    ),
)


class Shown:
    """The simulated shop as files, with the impressions of its lists or without."""

    def __init__(self, log: SimulatedLog, impressions: bool, only: EventType | None = None) -> None:
        self._log, self._impressions, self._only = log, impressions, only

    def read(self) -> ShopFiles:
        """Return events, products and profiles."""
        files, log = self._log.shop_files(), self._log
        events = files.events
        if self._only is not None:
            events = events.filter(pa.array(log.events.type_E == EVENT_TYPE_CODES[self._only]))
        if self._impressions:
            events = pa.concat_tables([events, impressions(log, events.schema)])
        return ShopFiles(events, files.items, files.profiles)


def impressions(log: SimulatedLog, schema: pa.Schema) -> pa.Table:
    shown = log.impressions
    size = len(shown)
    columns = {
        "user_key": [f"u:sim-u{user}" for user in shown.user_N],
        "event_id": [f"shown-{place}" for place in range(size)],
        "item_id": [f"sim-i{item}" for item in shown.item_N],
        "type": np.full(size, EVENT_TYPE_CODES[EventType.IMPRESSION]),
        "at_ms": shown.shown_at_ms_N,
        "price": np.full(size, np.nan, np.float32),
        "quantity": np.ones(size, np.float32),
        "value": [None] * size,
        "context": ["{}"] * size,
    }
    return pa.table({name: pa.array(columns[name]).cast(schema.field(name).type) for name in schema.names})
