"""Make a service's application: routes, health, metrics, problem documents; the same for all four services.

Called by   services/*/main.py
In          name, settings, what "ready" means, what to open and close, the routers
Out         a FastAPI application for uvicorn; its `state.drain` makes it not ready (see server.py)
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext

from fastapi import APIRouter, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.responses import Response

from shared.contracts.problems import ProblemCode, ProblemDetail
from shared.service import openapi
from shared.service.bodies import json_reply
from shared.service.internal_token import internal_only
from shared.service.logs import configure_logging
from shared.service.metrics import ServiceMetrics
from shared.service.middleware import RequestMiddleware
from shared.service.problems import MAX_ERRORS, ProblemError, problem_response, unavailable
from shared.service.settings import Settings
from shared.service.tracing import Tracing, tracing_of

Readiness = Callable[[], str | None]
"""None when the service can answer; otherwise why it cannot. Its own ability only, never another service's."""

Lifespan = Callable[[FastAPI], AbstractAsyncContextManager[None]]


class Drain:
    """Set when the process was asked to stop: not ready any more, still answering."""

    def __init__(self) -> None:
        self.begun = False

    def begin(self) -> None:
        """Turn not ready."""
        self.begun = True


def create_service_app(
    name: str,
    settings: Settings,
    *,
    ready: Readiness,
    lifespan: Lifespan | None = None,
    routers: Sequence[APIRouter] = (),
    metrics: ServiceMetrics | None = None,
    middleware: Sequence[Middleware] = (),
) -> FastAPI:
    """Return the application; nothing is opened before its lifespan begins."""
    metrics = metrics or ServiceMetrics(name)
    drain = Drain()
    tracing = tracing_of(name, settings)
    app = FastAPI(
        title=f"Aisle {name}",
        version="1",
        lifespan=_with_logging(name, settings, tracing, lifespan),
        servers=[{"url": "/"}, {"url": "/v1"}] if name == "gateway" else None,
        redirect_slashes=False,
    )
    app.state.drain = drain
    app.state.metrics = metrics
    for router in routers:
        app.include_router(router)
    app.include_router(_operations(ready, drain, metrics))
    app.add_exception_handler(ProblemError, _on_problem)
    app.add_exception_handler(HTTPException, _on_http_exception)
    app.add_exception_handler(RequestValidationError, _on_invalid_parameters)
    # Inside of RequestMiddleware, so that what they answer is counted and carries the request id.
    app.user_middleware.extend(middleware if name == "gateway" else [*internal_only(settings), *middleware])
    app.add_middleware(RequestMiddleware, metrics=metrics, max_requests=settings.max_requests, tracing=tracing)
    openapi.install(app, routers)
    return app


def _with_logging(name: str, settings: Settings, tracing: Tracing | None, lifespan: Lifespan | None) -> Lifespan:
    @asynccontextmanager
    async def run(app: FastAPI) -> AsyncIterator[None]:
        configure_logging(name, settings.log_level)
        async with nullcontext() if lifespan is None else lifespan(app):
            yield
        if tracing is not None:
            await asyncio.to_thread(tracing.close)

    return run


def _operations(ready: Readiness, drain: Drain, metrics: ServiceMetrics) -> APIRouter:
    router = APIRouter(tags=["operations"])

    @router.get("/livez", summary="Is the event loop turning?")
    async def livez() -> Response:
        return json_reply({"status": "alive"})

    @router.get("/readyz", summary="Can this process answer?")
    async def readyz() -> Response:
        reason = "stopping" if drain.begun else ready()
        return json_reply({"status": "ready"}) if reason is None else problem_response(unavailable(reason))

    @router.get("/metrics", summary="Figures for Prometheus", response_class=Response)
    async def figures() -> Response:
        return metrics.response()

    return router


async def _on_problem(_request: Request, error: Exception) -> Response:
    assert isinstance(error, ProblemError)
    return problem_response(error)


async def _on_http_exception(_request: Request, error: Exception) -> Response:
    """Turn the router's own refusals (404, 405) into problem documents."""
    assert isinstance(error, HTTPException)
    if error.status_code == 404:
        problem = ProblemError(404, ProblemCode.NOT_FOUND, "no such path")
    elif error.status_code == 405:
        problem = ProblemError(
            405, ProblemCode.METHOD_NOT_ALLOWED, "this path has other methods", headers=error.headers
        )
    else:
        problem = ProblemError(error.status_code, ProblemCode.INVALID_REQUEST, "the request is not acceptable")
    return problem_response(problem)


async def _on_invalid_parameters(_request: Request, error: Exception) -> Response:
    """Turn FastAPI's refusal of path and query parameters into a problem document."""
    assert isinstance(error, RequestValidationError)
    details = [ProblemDetail(loc=list(entry["loc"]), msg=entry["msg"]) for entry in error.errors()[:MAX_ERRORS]]
    return problem_response(ProblemError(422, ProblemCode.INVALID_REQUEST, details[0].msg, details))
