"""Read the registry, the runs and the stored log now and then, so that Prometheus need not ask Postgres.

Called by   services/training/main.py (`run`, beside the answers)
Cost        runs and registry: two queries by key each LOOK_EVERY_S; variety of lists: one pass over the lists of a day
            each VARIETY_EVERY_S, cancelled after STATEMENT_MS and tried again at the next turn
Errors      none: a database that is away leaves the figures as they were, and their age shows it
"""

import asyncio
import time
from datetime import UTC, datetime, timedelta

import structlog

from services.training.metrics import TrainingMetrics
from shared.storage.relational.business_metrics import Period, business_metrics
from shared.storage.relational.engine import STORAGE_DOWN_ERRORS, Engine
from shared.storage.relational.model_registry import current
from shared.storage.relational.runs import list_runs

LOOK_EVERY_S = 10.0
VARIETY_EVERY_S = 300.0
STATEMENT_MS = 60_000
DAY = timedelta(days=1)

log = structlog.get_logger(__name__)


class Observer:
    """Fills the figures of one training service."""

    def __init__(self, engine: Engine, metrics: TrainingMetrics, variety_every_s: float = VARIETY_EVERY_S) -> None:
        self._engine = engine
        self._metrics = metrics
        self._variety_every_s = variety_every_s
        self._variety_due_s = 0.0

    async def run(self) -> None:
        """Look for ever."""
        while True:
            try:
                await asyncio.to_thread(self.look)
            except STORAGE_DOWN_ERRORS as error:
                log.warning("figures_not_read", error=type(error).__name__)
            await asyncio.sleep(LOOK_EVERY_S)

    def look(self) -> None:
        """Read everything that is due; STORAGE_DOWN_ERRORS."""
        with self._engine.connect() as connection:
            self._metrics.show_runs(list_runs(connection))
            self._metrics.show_model(current(connection))
        if time.monotonic() >= self._variety_due_s:
            # Set first: a query that was cancelled for its length shall not be tried every few seconds.
            self._variety_due_s = time.monotonic() + self._variety_every_s
            now = datetime.now(UTC)
            with self._engine.connect() as connection:
                groups = business_metrics(connection, Period(now - DAY, now), ("scenario", "model", "arms"))
            self._metrics.show_variety(groups)
