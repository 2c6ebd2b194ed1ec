"""Rows of a file to validated records: the part that items and users have in common.

Called by   items.py, users.py
Rules       RECORD_RULES; the last of several rows of one id counts, as in POST /items and POST /users
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from pydantic import ValidationError

from services.training.importing.cells import INVALID
from services.training.importing.rejected_rows import Rejected

Record = TypeVar("Record")

MISSING_ID = "missing_id"
INVALID_ID = "invalid_identifier"
INVALID_FIELD = "invalid_field"
REPLACED = "replaced"
RECORD_RULES = {
    MISSING_ID: "no identifier",
    INVALID_ID: "an identifier that is longer than 128 characters or holds unprintable ones",
    INVALID_FIELD: "a value that the API would refuse, too",
    REPLACED: "a later row has the same identifier",
}


@dataclass(frozen=True)
class Records(Generic[Record]):
    """The records of a file, and the rows that are none; a reason starts with its rule."""

    good: list[Record]
    rejected: list[Rejected]


def build_records(
    rows: Iterator[dict[str, Any]], id_field: str, build: Callable[[dict[str, Any]], Record]
) -> Records[Record]:
    """Return one record for each identifier, in the order of the file."""
    row_of: dict[str, int] = {}
    built: dict[int, Record] = {}
    rejected: list[Rejected] = []
    for number, row in enumerate(rows):
        identifier = row[id_field]
        if identifier is None or identifier == INVALID:
            rejected.append((number, INVALID_ID if identifier else MISSING_ID))
            continue
        try:
            record = build(row)
        except ValidationError as error:
            rejected.append((number, f"{INVALID_FIELD}: {_first_problem(error)}"))
            continue
        if identifier in row_of:
            rejected.append((row_of[identifier], REPLACED))
            del built[row_of[identifier]]
        row_of[identifier], built[number] = number, record
    return Records(list(built.values()), rejected)


def rule_of(reason: str) -> str:
    """Return the rule of a reason."""
    return reason.partition(":")[0]


def _first_problem(error: ValidationError) -> str:
    problem = error.errors(include_url=False, include_input=False, include_context=False)[0]
    return f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}"
