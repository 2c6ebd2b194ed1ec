"""Read a query string into a model as strictly as a body: unknown and repeated names are refused.

Called by   routes.py of every service
Numbers     a query string has texts only, so `num_items=10` is an integer and `num_items=10.0` or `" 10"` is not
Errors      ProblemError 422 that names the parameter
"""

import re
from collections.abc import Iterable
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, BeforeValidator, ValidationError

from shared.service.problems import invalid_request, printable, validation_problem

_INTEGER = re.compile(r"-?[0-9]{1,15}")
_BOOLEANS = {"true": True, "false": False}

Model = TypeVar("Model", bound=BaseModel)


def integer_of(text: Any) -> Any:
    """Return the integer a text spells; anything else as it is, for the model to refuse."""
    return int(text) if isinstance(text, str) and _INTEGER.fullmatch(text) else text


def boolean_of(text: Any) -> Any:
    """Return the boolean a text spells; anything else as it is."""
    return _BOOLEANS.get(text, text) if isinstance(text, str) else text


QueryInt = Annotated[int, BeforeValidator(integer_of)]


def single_values(pairs: Iterable[tuple[str, str]]) -> dict[str, Any]:
    """Return a query string as a mapping; a name given twice is refused."""
    values: dict[str, Any] = {}
    for name, value in pairs:
        if name in values:
            raise invalid_request("given twice", "query", printable(name))
        values[name] = value
    return values


def read_query(pairs: Iterable[tuple[str, str]], model: type[Model]) -> Model:
    """Return a query string as a valid model."""
    try:
        return model.model_validate(single_values(pairs))
    except ValidationError as error:
        raise validation_problem(error, "query") from None
