"""Read a request body: bounded while it arrives, of the right type, strict JSON, and a valid model.

Called by   routes.py of every service
Errors      ProblemError: 413 too large, 408 too slow, 415 wrong type or compressed, 400 not JSON, 422 not valid
"""

import asyncio
import re
from typing import Any, TypeVar

import orjson
from pydantic import BaseModel, TypeAdapter, ValidationError
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from shared.contracts.problems import ProblemCode
from shared.service.json_documents import InvalidJsonError, parse_json
from shared.service.problems import ProblemError, validation_problem

KIB = 1024
MIB = 1024 * KIB
DEFAULT_LIMIT = MIB
BODY_TIMEOUT_S = 10.0

_JSON_TYPE = re.compile(r"application/(json|[a-z0-9.-]+\+json)")

Model = TypeVar("Model", bound=BaseModel)
Shape = TypeVar("Shape")


def json_reply(document: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """Return a document as a JSON answer."""
    return Response(orjson.dumps(document), status, headers, "application/json")


def model_reply(model: BaseModel, status: int = 200) -> Response:
    """Return a model as a JSON answer, under its public names."""
    return Response(model.model_dump_json(by_alias=True), status, media_type="application/json")


async def read_body(request: Request, limit_bytes: int = DEFAULT_LIMIT) -> bytes:
    """Return the body; refuse it as soon as it is known to be larger than `limit_bytes`."""
    declared = request.headers.get("content-length")
    if declared is not None and declared.isdigit() and int(declared) > limit_bytes:
        raise _too_large(limit_bytes)
    chunks: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(BODY_TIMEOUT_S):
            async for chunk in request.stream():
                size += len(chunk)
                if size > limit_bytes:
                    raise _too_large(limit_bytes)
                chunks.append(chunk)
    except TimeoutError:
        raise ProblemError(
            408, ProblemCode.REQUEST_TIMEOUT, f"the body did not arrive within {BODY_TIMEOUT_S:.0f} s", headers=_CLOSE
        ) from None
    except ClientDisconnect:
        raise ProblemError(400, ProblemCode.INVALID_REQUEST, "the body ended early") from None
    return b"".join(chunks)


async def read_json(request: Request, limit_bytes: int = DEFAULT_LIMIT) -> Any:
    """Return the JSON document of the body."""
    require_json(request)
    return parse_body(await read_body(request, limit_bytes))


async def read_model(request: Request, model: type[Model], limit_bytes: int = DEFAULT_LIMIT) -> Model:
    """Return the body as a valid model."""
    document = await read_json(request, limit_bytes)
    try:
        return model.model_validate(document)
    except ValidationError as error:
        raise validation_problem(error, "body") from None


async def read_shape(request: Request, shape: TypeAdapter[Shape], limit_bytes: int = DEFAULT_LIMIT) -> Shape:
    """Return the body as a valid value of any type, such as a list of models."""
    document = await read_json(request, limit_bytes)
    try:
        return shape.validate_python(document)
    except ValidationError as error:
        raise validation_problem(error, "body") from None


def parse_body(text: bytes) -> Any:
    """Return the JSON document in a body already read."""
    if not text.strip():
        raise ProblemError(400, ProblemCode.INVALID_JSON, "the body is empty; a JSON document is expected")
    try:
        return parse_json(text)
    except InvalidJsonError as error:
        raise ProblemError(400, ProblemCode.INVALID_JSON, str(error)) from None


def require_json(request: Request) -> None:
    """Refuse a body that says it is not JSON, or is compressed: what it unpacks to has no bound."""
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/json" and not (
        media_type.startswith("application/") and media_type.endswith("+json")
    ):
        raise ProblemError(415, ProblemCode.UNSUPPORTED_MEDIA_TYPE, "the content type must be application/json")
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise ProblemError(415, ProblemCode.UNSUPPORTED_MEDIA_TYPE, "compressed bodies are not accepted")


# The rest of a refused body is not worth reading.
_CLOSE = {"connection": "close"}


def _too_large(limit_bytes: int) -> ProblemError:
    return ProblemError(
        413, ProblemCode.BODY_TOO_LARGE, f"the body is larger than {limit_bytes // KIB} KiB", headers=_CLOSE
    )
