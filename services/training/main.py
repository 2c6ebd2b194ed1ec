"""The training service's composition root: settings → registry → launcher → application.

Called by   uvicorn --factory services.training.main:create_app, or python -m services.training.main
Light       the process that answers imports nothing of the pipeline; runs are child processes (launcher.py)
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

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

NAME: Final = "training"
CONNECTIONS = 2
STATEMENT_MS = 10_000
RECOVER_EVERY_S = 2.0


def create_app(settings: Settings | None = None) -> FastAPI:
    """Return the application; nothing is connected before its lifespan begins."""
    settings = settings or Settings.load()
    engine = make_engine(settings.database_url, CONNECTIONS, STATEMENT_MS)
    launcher = RunLauncher(engine, settings.home / "logs")
    metrics = ServiceMetrics(NAME)
    observing = make_engine(settings.database_url, 1, observer.STATEMENT_MS)
    watch = observer.Observer(observing, TrainingMetrics(metrics))

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        recovering = asyncio.create_task(_recover(launcher))
        async with running(figures=watch.run):
            yield
        recovering.cancel()
        await launcher.stop()
        observing.dispose()
        engine.dispose()

    return create_service_app(
        NAME,
        settings,
        ready=lambda: None,
        lifespan=lifespan,
        routers=[make_router(Training(engine, launcher))],
        metrics=metrics,
    )


async def _recover(launcher: RunLauncher) -> None:
    """Put left-behind runs right as soon as Postgres answers."""
    while True:
        try:
            return await launcher.recover()
        except STORAGE_DOWN_ERRORS:
            await asyncio.sleep(RECOVER_EVERY_S)


def main() -> None:
    """Serve until a signal arrives."""
    settings = Settings.load()
    serve(create_app(settings), settings, NAME)


if __name__ == "__main__":
    main()
