"""Count what shown lists bring, as it happens: places shown, clicks, purchases, revenue by scenario, model and arm.

Called by   ingest.py (makes it), impression_writer.py and event_writer.py (after their rows are in Postgres)
Click       a click, or a view that names its list; a purchase and its revenue belong to the list they name
Early       a list is written after its answer, so an act may come first: it is looked up once more, AGAIN_S later
Live        for dashboards and alarms: an act sent twice under two ids counts twice here. `aisle metrics` counts
            exactly, from the stored log
Labels      at most MOST_SCENARIOS, MOST_ARMS and MOST_MODELS values each; the series of an older model are dropped
Errors      none: figures are worth less than events. A database that is away is logged and the acts go uncounted
"""

import time
from collections import OrderedDict, deque
from collections.abc import Iterable, Sequence
from threading import Lock

import structlog

from shared.contracts.events import EventType, StoredEvent
from shared.contracts.impressions import Impression
from shared.service.metrics import BoundedLabel, ServiceMetrics
from shared.storage.relational.attribution import NO_MODEL, ShownList, arm_name, lists_of
from shared.storage.relational.engine import STORAGE_DOWN_ERRORS, Engine

MOST_SCENARIOS = 20
MOST_ARMS = 20
MOST_MODELS = 6
AGAIN_S = 5.0
MOST_WAITING = 10_000
"""acts that wait for their list; more are counted for none at once"""
NO_LIST = ShownList(scenario="unknown", model=NO_MODEL, arms={})
CLICKS = (EventType.CLICK, EventType.VIEW)
ATTRIBUTED = (*CLICKS, EventType.PURCHASE)

log = structlog.get_logger()


class Outcomes:
    """The business figures of one worker; both of its threads count."""

    def __init__(self, metrics: ServiceMetrics, engine: Engine, again_s: float = AGAIN_S) -> None:
        labels = ("scenario", "model", "arm")
        self._engine = engine
        self._lists = metrics.counter("lists_shown_total", "Lists stored as shown", labels)
        self._places = metrics.counter("items_shown_total", "Items in lists stored as shown", labels)
        self._clicks = metrics.counter("clicks_total", "Clicks that name the list they come from", labels)
        self._purchases = metrics.counter("purchases_total", "Purchases that name the list they come from", labels)
        self._revenue = metrics.counter("revenue_total", "Price times quantity of those purchases", labels)
        self._scenarios, self._arms = BoundedLabel(MOST_SCENARIOS), BoundedLabel(MOST_ARMS)
        self._models: OrderedDict[str, None] = OrderedDict()
        self._again_s = again_s
        self._waiting: deque[tuple[float, StoredEvent]] = deque()
        self._lock = Lock()

    def count_lists(self, shown: Iterable[Impression]) -> None:
        """Count lists that are new in Postgres."""
        for impression in shown:
            group = ShownList(impression.scenario, impression.model_version or NO_MODEL, impression.arms)
            labels = self._labels(group)
            self._lists.labels(**labels).inc()
            self._places.labels(**labels).inc(len(impression.item_ids))
        self.count_acts([])  # those that came before their list

    def count_acts(self, events: Sequence[StoredEvent]) -> None:
        """Count events that are new in Postgres, those of them that name a list."""
        fresh = [event for event in events if event.recommendation_id and event.type in ATTRIBUTED]
        again = self._due()
        acts = [*fresh, *again]
        if not acts:
            return
        try:
            with self._engine.connect() as connection:
                lists = lists_of(connection, acts)
        except STORAGE_DOWN_ERRORS as error:
            log.warning("outcomes_not_counted", error=type(error).__name__, acts=len(acts))
            return
        for number, (act, shown) in enumerate(zip(acts, lists, strict=True)):
            if shown is not None or number >= len(fresh) or len(self._waiting) >= MOST_WAITING:
                self._count(act, shown or NO_LIST)
            else:
                self._waiting.append((time.monotonic() + self._again_s, act))

    def _due(self) -> list[StoredEvent]:
        """Return the acts that have waited long enough for their list."""
        now_s, due = time.monotonic(), []
        with self._lock:
            while self._waiting and self._waiting[0][0] <= now_s:
                due.append(self._waiting.popleft()[1])
        return due

    def _count(self, act: StoredEvent, shown: ShownList) -> None:
        labels = self._labels(shown)
        if act.type in CLICKS:
            self._clicks.labels(**labels).inc()
        else:
            self._purchases.labels(**labels).inc()
            self._revenue.labels(**labels).inc((act.price or 0.0) * act.quantity)

    def _labels(self, shown: ShownList) -> dict[str, str]:
        with self._lock:
            self._keep_model(shown.model)
            return {
                "scenario": self._scenarios.of(shown.scenario),
                "model": shown.model,
                "arm": self._arms.of(arm_name(shown.arms)),
            }

    def _keep_model(self, model: str) -> None:
        """Drop the series of the model that was counted longest ago, when there is one too many."""
        self._models[model] = None
        self._models.move_to_end(model)
        if len(self._models) > MOST_MODELS:
            oldest, _ = self._models.popitem(last=False)
            for counter in (self._lists, self._places, self._clicks, self._purchases, self._revenue):
                counter.remove_by_labels({"model": oldest})
