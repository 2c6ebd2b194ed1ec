"""The training service's composition root: settings → registry → launcher → application.

Called by   uvicorn --factory services.training.main:create_app, or python -m services.training.main
Light       the process that answers imports nothing of the pipeline; runs are child processes (launcher.py)
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import structlog
from fastapi import FastAPI

from services.training import observer
from services.training.launcher import RunLauncher
from services.training.metrics import TrainingMetrics
from services.training.routes import Training, make_router
from shared.service.app import create_service_app
from shared.service.background import running
from shared.service.metrics import ServiceMetrics
from shared.service.server import serve
from shared.service.settings import Settings
from shared.storage.relational.engine import STORAGE_DOWN_ERRORS, make_engine
from shared.storage.relational.schema_version import SchemaTooOldError
from shared.storage.trouble import trouble_of

NAME: Final = "training"
CONNECTIONS = 2
STATEMENT_MS = 10_000
RECOVER_EVERY_S = 2.0

log = structlog.get_logger(__name__)


def create_app(settings: Settings | None = None) -> FastAPI:
    """Return the application; nothing is connected before its lifespan begins."""
    settings = settings or Settings.load()
    engine = make_engine(settings.database_url, CONNECTIONS, STATEMENT_MS)
    launcher = RunLauncher(engine, settings.home / "logs")
    metrics = ServiceMetrics(NAME)
    observing = make_engine(settings.database_url, 1, observer.STATEMENT_MS)
    watch = observer.Observer(observing, TrainingMetrics(metrics))
    recovery = Recovery(launcher)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        recovering = asyncio.create_task(recovery.run())
        async with running(figures=watch.run):
            yield
        recovering.cancel()
        await launcher.stop()
        observing.dispose()
        engine.dispose()

    return create_service_app(
        NAME,
        settings,
        ready=lambda: recovery.waits_for,
        lifespan=lifespan,
        routers=[make_router(Training(engine, launcher, settings.bundle_url))],
        metrics=metrics,
    )


class Recovery:
    """Puts left-behind runs right as soon as Postgres answers; until then the service is not ready."""

    def __init__(self, launcher: RunLauncher) -> None:
        self._launcher = launcher
        self.waits_for: str | None = "the runs of an earlier life have not been looked at yet"

    async def run(self) -> None:
        """Try until it is done."""
        while self.waits_for is not None:
            try:
                await self._launcher.recover()
                self.waits_for = None
            except (*STORAGE_DOWN_ERRORS, SchemaTooOldError) as error:
                self.waits_for = trouble_of(error)
                log.warning("recovery_waits", reason=self.waits_for)
                await asyncio.sleep(RECOVER_EVERY_S)


def main() -> None:
    """Serve until a signal arrives."""
    settings = Settings.load()
    serve(create_app(settings), settings, NAME)


if __name__ == "__main__":
    main()
