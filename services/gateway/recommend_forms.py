"""The two forms of POST /recommend, as one request.

Called by   services/gateway/routes.py
Forms       full: the body is the whole request. Short: the query string has the simple fields, the body (if any) is the
            context object itself; a query string, even of one field, makes it the short form
Errors      ProblemError 400 for a body that is no JSON, 422 for a field that is not valid
"""

from collections.abc import Iterable
from typing import Any

from pydantic import ValidationError

from shared.contracts.recommendation import RecommendRequest
from shared.service.bodies import parse_body
from shared.service.problems import invalid_request, validation_problem
from shared.service.queries import boolean_of, integer_of, single_values

INTEGERS = ("num_items", "timeout_ms")
BOOLEANS = ("dry_run",)
TEXTS = ("user_id", "visitor_id", "session_id", "scenario", "filter", "diversity", "novelty", "repeat")
SHORT_FIELDS = frozenset({*TEXTS, *INTEGERS, *BOOLEANS})


def parse_recommend(query: Iterable[tuple[str, str]], body: bytes) -> RecommendRequest:
    """Return the request of either form."""
    values = single_values(query)
    if not values:
        return valid_request(parse_body(body), "body")
    for name in INTEGERS:
        if name in values:
            values[name] = integer_of(values[name])
    for name in BOOLEANS:
        if name in values:
            values[name] = boolean_of(values[name])
    if body.strip():
        values["context"] = parse_body(body)
    unknown = values.keys() - SHORT_FIELDS - {"context"}
    if unknown:
        raise invalid_request("not a parameter of the short form; send it in the body", "query", min(unknown)[:64])
    return valid_request(values, "query")


def valid_request(values: Any, *place: str | int) -> RecommendRequest:
    """Return a valid request; `place` is where in the HTTP request the values stood."""
    try:
        return RecommendRequest.model_validate(values)
    except ValidationError as error:
        raise validation_problem(error, *place) from None
