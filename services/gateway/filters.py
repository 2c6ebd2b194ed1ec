"""Parse a shop's filter at the border, so that a mistake is a 400 with its column and never a failed list.

Called by   services/gateway/recommend.py, similar.py, listing.py
"""

from shared.contracts.problems import ProblemCode, ProblemDetail
from shared.features.filter import Filter, FilterError, parse_filter
from shared.service.problems import MAX_MESSAGE, ProblemError


def parse_public_filter(text: str | None) -> Filter | None:
    """Return the parsed filter; ProblemError 400 with the column where it stops making sense."""
    if text is None:
        return None
    try:
        return parse_filter(text)
    except FilterError as error:
        message = str(error)[:MAX_MESSAGE]
        detail = ProblemDetail(loc=["filter", error.column], msg=message)
        raise ProblemError(400, ProblemCode.INVALID_FILTER, f"filter: {message}", [detail]) from None
