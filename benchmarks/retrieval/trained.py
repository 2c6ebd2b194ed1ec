"""The largest trained item table: every item of the Complete Journey that was ever bought, and real queries.

Called by   benchmarks/retrieval/__main__.py
Trains      the product's sequence Transformer with the product's nightly settings (services/training), vocabulary from
            one event on instead of five; kept in the work folder, so that a second run trains nothing
Queries     states of the encoder for shoppers of the last two weeks, which it did not learn from: what serving asks
Dimensions  V items, D width, Q queries
"""

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa

from services.training.config import TrainingConfig
from services.training.examples.queries import QueryMaker
from services.training.examples.source import ShopFiles, with_event_columns
from services.training.examples.split import split_by_time
from services.training.importing.complete_journey import DEFAULT_ZONE, package_folder, read_complete_journey
from services.training.pipeline import Pipeline
from services.training.progress import Report
from services.training.sequence.export import export_encoder
from shared.features.events import FloatArray
from shared.models.sources.sequence import SequenceSource, open_session
from shared.models.tensors import history_of

CONFIG = replace(TrainingConfig(), min_item_events=1)
NOW = datetime(2026, 1, 5, tzinfo=UTC)
"""the log ends in the week before; fixed, so that every run trains the same"""
NUM_QUERIES = 2000


@dataclass(frozen=True)
class TrainedTable:
    """Item vectors and what is asked of them."""

    item_VD: FloatArray
    query_QD: FloatArray


def trained_table(work: Path, report: Report) -> TrainedTable:
    """Return the table of the work folder; train it when there is none."""
    stored = work / "trained.npz"
    if not stored.exists():
        table = train(work, report)
        work.mkdir(parents=True, exist_ok=True)
        np.savez(stored, item_VD=table.item_VD, query_QD=table.query_QD)
    with np.load(stored) as arrays:
        return TrainedTable(arrays["item_VD"], arrays["query_QD"])


def train(work: Path, report: Report) -> TrainedTable:
    """Train the encoder on all weeks but the last two, then ask it about those."""
    zone, config = ZoneInfo(DEFAULT_ZONE), CONFIG
    pipeline = Pipeline(_Journey(zone), zone, config, lambda *_: None, work / "checkpoints", report=report)
    shop = pipeline.read()
    split = split_by_time(shop.log, config.validation_days, config.test_days)
    train_period = pipeline.period(shop, split.validation_from_ms)
    maker = QueryMaker(shop.log, shop.catalogue, shop.profiles, zone)
    fitted = pipeline.fit_encoder(shop, train_period, maker, split, pipeline.fit_content(shop))
    item_VD = fitted.model.items.all().detach().cpu().numpy()
    source = SequenceSource(
        open_session(export_encoder(fitted.model.encoder)), item_VD, config.sequence.encoder.max_length
    )
    questions = pipeline.questions(shop, split.validation_from_ms, split.end_ms, NUM_QUERIES)
    code_of_row_N = train_period.vocabulary.code_of_row_N
    histories = [history_of(maker.window(question), code_of_row_N, question.as_of_ms) for question in questions]
    states = [source.encode([history])[0] for history in histories if len(history)]
    return TrainedTable(item_VD, np.stack(states))


class _Journey:
    """The Complete Journey as training reads a shop."""

    def __init__(self, zone: ZoneInfo) -> None:
        self._zone = zone

    def read(self) -> ShopFiles:
        """Return all items and purchases; profiles are not needed here."""
        journey = read_complete_journey(package_folder(), self._zone, NOW)
        events = journey.events.table
        plain = [pa.string() if pa.types.is_dictionary(kind) else kind for kind in events.schema.types]
        events = events.cast(pa.schema(zip(events.schema.names, plain, strict=True)))
        return ShopFiles(with_event_columns(events), journey.items, {})
