"""What a shop may write into free fields: text and JSON that every store keeps and gives back as it was.

Called by   the public contracts of this folder
Text        without NUL, which Postgres cannot hold
Numbers     of free JSON within 64 bits: jsonb keeps 1e30 as an integer of 31 digits, which no reader of ours can write
Moments     with a zone, as UTC: Python knows offsets of a day, Postgres of 16 hours
"""

from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import AfterValidator, AwareDatetime, Field

MAX_NUMBER = 2**63 - 1
NUL = "\x00"

Text = Annotated[str, Field(pattern=r"^[^\x00]*$")]


def storable(value: Any) -> Any:
    """Return a JSON value; ValueError if a store could not keep it."""
    if isinstance(value, str) and NUL in value:
        raise ValueError("text holds no NUL character")
    if isinstance(value, int | float) and not -MAX_NUMBER <= value <= MAX_NUMBER:
        raise ValueError("numbers lie within 64 bits")
    if isinstance(value, dict):
        for name, part in value.items():
            storable(name)
            storable(part)
    elif isinstance(value, list):
        for part in value:
            storable(part)
    return value


def in_utc(moment: datetime) -> datetime:
    """Return the same moment in UTC; ValueError outside of the years 1 to 9999."""
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise ValueError("a moment lies in the years 1 to 9999") from None


JsonObject = Annotated[dict[str, Any], AfterValidator(storable)]
Moment = Annotated[AwareDatetime, AfterValidator(in_utc)]
