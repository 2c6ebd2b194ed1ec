"""Training over HTTP: POST /runs, GET /runs, GET /runs/{run_id}, its report's pictures, GET /models.

Called by   operators, the `aisle` command, schedulers
Errors      409 a run is going on, 422 a wrong wish, 404 no such run or picture, 503 while Postgres or the store is away
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from typing import Any, TypeVar

from fastapi import APIRouter, Request, Response
from pydantic import ValidationError

from services.training.errors import RunActiveError
from services.training.launcher import RunLauncher
from services.training.report_store import read_picture
from services.training.run_request import RunAccepted, RunRequest
from shared.contracts.problems import ProblemCode
from shared.service.bodies import KIB, json_reply, model_reply, parse_body, read_body, require_json
from shared.service.problems import ProblemError, not_found, unavailable, validation_problem
from shared.storage.relational.engine import STORAGE_DOWN_ERRORS, Engine
from shared.storage.relational.model_registry import ModelVersion, current, list_versions
from shared.storage.relational.runs import TrainingRun, get_run, list_runs

BODY_LIMIT = 16 * KIB

Answer = TypeVar("Answer")


@dataclass(frozen=True)
class Training:
    """What the routes call."""

    engine: Engine
    launcher: RunLauncher
    store_url: str
    """where bundles and their reports are"""


def make_router(training: Training) -> APIRouter:
    """Return the routes of the training service."""
    router = APIRouter(tags=["training"])

    @router.post("/runs", status_code=202, summary="Train, evaluate and, if it is better, publish a model")
    async def start(request: Request) -> Response:
        wishes = await _wishes(request)
        try:
            run = await _while_storage_is_up(training.launcher.start(wishes.model_dump(exclude_defaults=True)))
        except RunActiveError as error:
            raise ProblemError(409, ProblemCode.CONFLICT, str(error)) from None
        return model_reply(RunAccepted(run_id=run.run_id, state=run.state), 202)

    @router.get("/runs", summary="The newest runs")
    async def runs() -> Response:
        return json_reply({"runs": [_run(run) for run in await _query(lambda: _read_runs(training.engine))]})

    @router.get("/runs/{run_id}", summary="How far a run is, and what it made")
    async def run(run_id: str) -> Response:
        found = await _query(lambda: _read_run(training.engine, run_id))
        if found is None:
            raise not_found("run")
        return json_reply(_run(found))

    @router.get("/runs/{run_id}/report/{picture}", summary="A picture of the run's report, PNG")
    async def picture(run_id: str, picture: str) -> Response:
        found = await _query(lambda: _read_run(training.engine, run_id))
        if found is None or found.version is None or picture not in _pictures(found):
            raise not_found("picture")
        return Response(await _read_picture(training.store_url, found.version, picture), media_type="image/png")

    @router.get("/models", summary="The model that serves, and the newest others")
    async def models() -> Response:
        serving, newest = await _query(lambda: _read_models(training.engine))
        return json_reply(
            {"current": _model(serving) if serving else None, "models": [_model(model) for model in newest]}
        )

    return router


async def _wishes(request: Request) -> RunRequest:
    """Return what the body wishes; no body wishes nothing."""
    body = await read_body(request, BODY_LIMIT)
    if not body:
        return RunRequest()
    require_json(request)
    try:
        return RunRequest.model_validate(parse_body(body))
    except ValidationError as error:
        raise validation_problem(error, "body") from None


async def _query(read: Callable[[], Answer]) -> Answer:
    return await _while_storage_is_up(asyncio.to_thread(read))


async def _while_storage_is_up(work: Awaitable[Answer]) -> Answer:
    try:
        return await work
    except STORAGE_DOWN_ERRORS:
        raise unavailable("the database cannot be reached") from None


def _pictures(run: TrainingRun) -> list[str]:
    """Return the names of a run's pictures; none without a ranker."""
    importance = run.metrics.get("ranker", {}).get("importance", {})
    return [str(name) for name in importance.get("pictures", [])]


async def _read_picture(store_url: str, version: str, name: str) -> bytes:
    try:
        return await asyncio.to_thread(read_picture, store_url, version, name)
    except FileNotFoundError:
        raise not_found("picture") from None
    except OSError:
        raise unavailable("the bundle store cannot be read") from None


def _read_run(engine: Engine, run_id: str) -> TrainingRun | None:
    with engine.connect() as connection:
        return get_run(connection, run_id)


def _read_runs(engine: Engine) -> list[TrainingRun]:
    with engine.connect() as connection:
        return list_runs(connection)


def _read_models(engine: Engine) -> tuple[ModelVersion | None, list[ModelVersion]]:
    with engine.connect() as connection:
        return current(connection), list_versions(connection)


def _run(run: TrainingRun) -> dict[str, Any]:
    return asdict(run)


def _model(model: ModelVersion) -> dict[str, Any]:
    """Return a model without its manifest's list of files."""
    facts = model.manifest.get("facts", {})
    return {
        "version": model.version,
        "name": facts.get("name"),
        "created_at": model.created_at,
        "trained_until_ms": facts.get("trained_until_ms"),
        "bundle_url": model.bundle_url,
        "gate": model.gate,
        "metrics": model.metrics,
    }
