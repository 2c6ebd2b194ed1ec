"""Which model serves: looks at the registry's pointer, loads a new version beside the old one and swaps one reference.

Called by   services/ranking/main.py (runs it), services/ranking/routes.py (borrows the model for a request)
Swap        read pointer (thread) → verify, load, golden request (thread) → warm up (loop) → swap → remember on disk.
            The old model is dropped when its last request has ended
Failure     a version that is refused leaves the old one serving, is counted by reason and tried again with back-off;
            a registry that is away changes nothing. At a start without either, the version that served last is loaded
Source      Triton's model management: load beside, warm, then switch; a failed reload keeps what is loaded
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import structlog

from services.ranking.last_served import LastServed
from services.ranking.metrics import RankingMetrics
from services.ranking.serving_model import ModelLoader, ModelRefusedError, ServingModel
from shared.resilience.deadline import MonotonicS

LONGEST_BACK_OFF_S = 60.0
LOADING = "no model is loaded yet"

log = structlog.get_logger(__name__)

WarmUp = Callable[[ServingModel], Awaitable[None]]


class NoModelError(Exception):
    """No model can answer; `comes` says whether one was published and is on its way."""

    def __init__(self, comes: bool) -> None:
        super().__init__(LOADING if comes else "no model was ever published")
        self.comes = comes


class RegistryAwayError(Exception):
    """The registry cannot be read now."""


class ModelPointer(Protocol):
    """Where the registry says which version shall serve; blocks, so the host calls it in a thread."""

    def read(self) -> str | None:
        """Return the version, None when none was ever published; RegistryAwayError."""
        ...


@dataclass(frozen=True)
class Refusal:
    """A version that could not be loaded."""

    version: str
    reason: str
    message: str
    times: int
    retry_at_s: float


class ModelHost:
    """Holds the model that serves. Belongs to one event loop."""

    def __init__(
        self,
        pointer: ModelPointer,
        loader: ModelLoader,
        warm_up: WarmUp,
        last_served: LastServed,
        metrics: RankingMetrics,
        poll_s: float,
        monotonic_s: MonotonicS = time.monotonic,
    ) -> None:
        self._pointer, self._loader, self._warm_up = pointer, loader, warm_up
        self._last_served, self._metrics, self._poll_s = last_served, metrics, poll_s
        self._monotonic_s = monotonic_s
        self._serving: ServingModel | None = None
        self._retired: list[ServingModel] = []
        self._nothing_published = False
        self._registry_trouble: str | None = None
        self.refusal: Refusal | None = None

    def why_not_ready(self) -> str | None:
        """Return None when requests can be answered, if only with "no model was ever published"."""
        if self._serving is not None or self._nothing_published:
            return None
        if self.refusal is not None:
            return f"{LOADING}: version {self.refusal.version} was refused, {self.refusal.message}"
        return LOADING + (f": {self._registry_trouble}" if self._registry_trouble else "")

    @contextmanager
    def borrow(self) -> Iterator[ServingModel]:
        """Lend the serving model for one request; the same one until the block ends, whatever is swapped meanwhile."""
        model = self._serving
        if model is None:
            raise NoModelError(comes=not self._nothing_published)
        model.in_flight += 1
        try:
            yield model
        finally:
            model.in_flight -= 1
            self._drop_retired()

    @property
    def loaded(self) -> int:
        """Return how many models are in memory."""
        return len(self._retired) + (self._serving is not None)

    def card(self) -> dict[str, Any]:
        """Return what GET /model shows beside the model's own card: the last version that was refused."""
        refused = self.refusal and {"version": self.refusal.version, "reason": self.refusal.reason}
        return {"refused": refused, "loaded": self.loaded}

    async def run(self) -> None:
        """Look for a new version for ever."""
        while True:
            await self.look()
            await asyncio.sleep(self._poll_s)

    async def look(self) -> None:
        """Look once, and load what is to be loaded."""
        version = await self._wanted()
        if version is None or self._serves(version):
            return
        if not await self._load(version) and self._serving is None:
            fallback = self._last_served.read()
            if fallback is not None and fallback != version:
                await self._load(fallback)

    def _serves(self, version: str) -> bool:
        serving = self._serving
        return serving is not None and serving.version == version and self._loader.is_bound(serving)

    async def _wanted(self) -> str | None:
        try:
            version = await asyncio.to_thread(self._pointer.read)
        except RegistryAwayError as error:
            self._registry_trouble = str(error)
            log.warning("registry_away", reason=self._registry_trouble)
            return None if self._serving is not None else self._last_served.read()
        self._nothing_published = version is None
        self._registry_trouble = None
        return version

    async def _load(self, version: str) -> bool:
        """Load, warm up and swap; return whether the version serves."""
        refused = self.refusal if self.refusal and self.refusal.version == version else None
        if refused and self._monotonic_s() < refused.retry_at_s:
            return False
        begun_s = self._monotonic_s()
        try:
            model = await asyncio.to_thread(self._loader.load, version)
            await self._warm_up(model)
        except ModelRefusedError as error:
            self._refuse(version, error.reason, error, refused)
            return False
        # The edge of loading: whatever a foreign bundle breaks, the model that serves goes on.
        except Exception as error:  # noqa: BLE001
            self._refuse(version, "unexpected", error, refused)
            return False
        await self._swap(model)
        self._metrics.load_s.observe(self._monotonic_s() - begun_s)
        log.info("model_serves", version=version, seconds=round(self._monotonic_s() - begun_s, 3))
        return True

    def _refuse(self, version: str, reason: str, error: Exception, before: Refusal | None) -> None:
        times = before.times + 1 if before else 1
        wait_s = min(LONGEST_BACK_OFF_S, self._poll_s * 2**times)
        self.refusal = Refusal(version, reason, str(error), times, self._monotonic_s() + wait_s)
        self._metrics.load_failures.labels(reason).inc()
        log.error("model_refused", version=version, reason=reason, error=str(error), next_try_s=wait_s)

    async def _swap(self, model: ServingModel) -> None:
        before, self._serving = self._serving, model
        if self.refusal is not None and self.refusal.version == model.version:
            self.refusal = None
        self._metrics.loads.inc()
        self._metrics.version.labels(model.version).set(1)
        self._metrics.age_s.set_function(lambda: time.time() - model.facts.trained_until_ms / 1000)
        self._metrics.unknown_items.set_function(lambda: model.unknown_items)
        if before is not None:
            if before.version != model.version:
                self._metrics.version.remove(before.version)
            self._retired.append(before)
            self._drop_retired()
        try:
            await asyncio.to_thread(self._last_served.write, model.version)
        except OSError as error:
            log.warning("last_served_not_kept", error=type(error).__name__)

    def _drop_retired(self) -> None:
        if self._retired:
            self._retired = [model for model in self._retired if model.in_flight]
