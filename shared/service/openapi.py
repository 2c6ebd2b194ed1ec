"""The OpenAPI document: request bodies and examples beside routes that parse their bodies themselves.

Called by   routes.py of every service (`json_body`, `parameter`, `reply`), shared/service/app.py (`install`)
Why         routes read bodies with orjson and answer bytes, at 2 to 3 times the throughput of FastAPI's own way; so
            FastAPI cannot see their models
"""

from collections.abc import Callable, Sequence
from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from shared.contracts.problems import Problem

REF = "#/components/schemas/{model}"

PROBLEM_REPLY = {
    "description": "a problem document",
    "content": {"application/problem+json": {"schema": {"$ref": REF.format(model="Problem")}}},
}


class JsonBody(dict[str, Any]):
    """An `openapi_extra` that remembers the models its schema refers to."""

    models: tuple[type[BaseModel], ...] = ()


def json_body(*models: type[BaseModel], example: Any, required: bool = True) -> JsonBody:
    """Return the `openapi_extra` of a route whose body is one of `models`; the example must be a valid body."""
    refs = [{"$ref": REF.format(model=model.__name__)} for model in models]
    schema = refs[0] if len(refs) == 1 else {"anyOf": refs}
    content = {"application/json": {"schema": schema, "example": example}}
    body = JsonBody(requestBody={"required": required, "content": content})
    body.models = models
    return body


def parameter(name: str, where: str, schema: dict[str, Any], meaning: str, example: Any = None) -> dict[str, Any]:
    """Return one entry of `parameters`; with an example when the runnable example needs it."""
    entry = {"name": name, "in": where, "required": where == "path", "schema": schema, "description": meaning}
    return entry if example is None else {**entry, "example": example}


def reply(model: type[BaseModel], meaning: str, status: int = 200) -> dict[int | str, dict[str, Any]]:
    """Return the `responses` of a route that answers `model`, or a problem document."""
    return {status: {"model": model, "description": meaning}, "4XX": PROBLEM_REPLY, "5XX": PROBLEM_REPLY}


def install(app: FastAPI, routers: Sequence[APIRouter]) -> None:
    """Make `app.openapi()` complete: with the models that only bodies and problems use."""
    generate = _generator(app, _models_of(routers))
    app.openapi = generate  # type: ignore[method-assign]  # FastAPI's documented way to extend the document


def _generator(app: FastAPI, models: set[type[BaseModel]]) -> Callable[[], dict[str, Any]]:
    def generate() -> dict[str, Any]:
        if app.openapi_schema is None:
            document = get_openapi(
                title=app.title,
                version=app.version,
                description=app.description,
                routes=app.routes,
                servers=app.servers,
            )
            schemas = document.setdefault("components", {}).setdefault("schemas", {})
            for name, schema in _schemas(models).items():
                schemas.setdefault(name, schema)
            for unused in ("HTTPValidationError", "ValidationError"):
                schemas.pop(unused, None)
            app.openapi_schema = document
        return app.openapi_schema

    return generate


def _models_of(routers: Sequence[APIRouter]) -> set[type[BaseModel]]:
    """Return the models that bodies and problems refer to; those of replies are FastAPI's own business."""
    models: set[type[BaseModel]] = {Problem}
    for route in (route for router in routers for route in router.routes):
        extra = getattr(route, "openapi_extra", None)
        if isinstance(extra, JsonBody):
            models.update(extra.models)
    return models


def _schemas(models: set[type[BaseModel]]) -> dict[str, Any]:
    ordered = sorted(models, key=lambda model: model.__name__)
    _, definitions = models_json_schema([(model, "validation") for model in ordered], ref_template=REF)
    found: dict[str, Any] = definitions["$defs"]
    return found
