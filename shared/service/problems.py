"""Every error answer: a problem document (RFC 9457) with a code of the closed list.

Called by   routes and use cases (raise ProblemError), shared/service/app.py (turns exceptions into answers)
Rules       never the offending value, never a stack trace; small enough for one packet
Errors of this kit
    ProblemError          what a client is told; made by the functions below
"""

from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any

import orjson
from pydantic import ValidationError
from pydantic_core import ErrorDetails
from starlette.responses import Response

from shared.contracts.problems import ProblemCode, ProblemDetail
from shared.service.request_context import current_request

MEDIA_TYPE = "application/problem+json"
MAX_ERRORS = 4
MAX_MESSAGE = 160
MAX_NAME = 64


class ProblemError(Exception):
    """An answer other than the one asked for."""

    def __init__(
        self,
        status: int,
        code: ProblemCode,
        detail: str,
        errors: Iterable[ProblemDetail] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.detail = detail
        self.errors = list(errors)
        self.headers = dict(headers or {})

    def document(self) -> dict[str, Any]:
        """Return the problem document."""
        return {
            "type": "about:blank",
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "detail": self.detail,
            "code": self.code.value,
            "request_id": current_request().request_id,
            "errors": [{"loc": error.loc, "msg": error.msg} for error in self.errors],
        }


def problem_response(problem: ProblemError) -> Response:
    """Return the HTTP answer of a problem."""
    return Response(orjson.dumps(problem.document()), problem.status, problem.headers, MEDIA_TYPE)


def not_found(what: str) -> ProblemError:
    """Return the 404 for a named thing; `what` is its kind, such as "item"."""
    return ProblemError(404, ProblemCode.NOT_FOUND, f"no such {what}")


def unavailable(detail: str, retry_after_s: int = 1) -> ProblemError:
    """Return the 503 that asks to come back; a 503 with Retry-After is the only one a client may repeat."""
    return ProblemError(503, ProblemCode.UNAVAILABLE, detail, headers={"retry-after": str(retry_after_s)})


def internal_problem() -> ProblemError:
    """Return the 500 that says nothing; the log says it all, under the same request id."""
    return ProblemError(500, ProblemCode.INTERNAL, "the request could not be answered; the log names it by request_id")


def invalid_request(message: str, *loc: str | int) -> ProblemError:
    """Return the 422 for one wrong field."""
    return ProblemError(422, ProblemCode.INVALID_REQUEST, message, [ProblemDetail(loc=list(loc), msg=message)])


def validation_problem(error: ValidationError, *prefix: str | int) -> ProblemError:
    """Return the 422 that names each wrong field, with `prefix` before its place (body, query, ...)."""
    entries = error.errors(include_url=False, include_context=False, include_input=False)
    details = [ProblemDetail(loc=_place(prefix, entry), msg=message_of(entry)) for entry in entries[:MAX_ERRORS]]
    first = details[0]
    where = ".".join(str(part) for part in first.loc[len(prefix) :])
    detail = f"{where}: {first.msg}" if where else first.msg
    return ProblemError(422, ProblemCode.INVALID_REQUEST, detail, details)


def message_of(entry: ErrorDetails) -> str:
    """Return what is wrong with a field, in pydantic's words; they name limits, not values."""
    return entry["msg"].removeprefix("Value error, ")[:MAX_MESSAGE]


def _place(prefix: tuple[str | int, ...], entry: ErrorDetails) -> list[str | int]:
    parts: list[str | int] = [*prefix]
    for part in entry["loc"]:
        parts.append(part if isinstance(part, int) else printable(part))
    return parts


def printable(name: str) -> str:
    """Return a client's own name for a field, short and without control characters."""
    return "".join(character if character.isprintable() else "?" for character in name[:MAX_NAME])
