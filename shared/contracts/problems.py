"""The problem document (RFC 9457) and the closed list of codes every error answer uses.

Called by   shared/service/problems.py, which turns exceptions into these documents
Rules       a code never changes its meaning; a document never echoes the offending value or a stack trace
"""

from enum import StrEnum

from pydantic import BaseModel


class ProblemCode(StrEnum):
    """Why a request was refused. Clients switch on these, never on texts."""

    INVALID_REQUEST = "invalid_request"
    INVALID_JSON = "invalid_json"
    INVALID_FILTER = "invalid_filter"
    UNAUTHENTICATED = "unauthenticated"
    FORBIDDEN = "forbidden"
    NOT_FOUND = "not_found"
    METHOD_NOT_ALLOWED = "method_not_allowed"
    CONFLICT = "conflict"
    BODY_TOO_LARGE = "body_too_large"
    REQUEST_TIMEOUT = "request_timeout"
    UNSUPPORTED_MEDIA_TYPE = "unsupported_media_type"
    RATE_LIMITED = "rate_limited"
    UNAVAILABLE = "unavailable"
    INTERNAL = "internal"


class ProblemDetail(BaseModel):
    """One thing that is wrong, and where: `loc` is the path into the request."""

    loc: list[str | int]
    msg: str


class Problem(BaseModel):
    """The body of every 4xx and 5xx answer."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    code: ProblemCode
    request_id: str
    errors: list[ProblemDetail] = []
