"""What was noticed about a data set: counted, named, with the address of the first case. Nothing is dropped in silence.

Called by   interactions.py, folder.py, data_sets/*, protocols.py; result.py writes them
"""

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Finding:
    """One thing that a reader of the numbers should know."""

    what: str
    count: int
    then: str
    """what was done about it"""
    first: str = ""
    """address of the first case: file and row (from 1), or user"""

    def as_json(self) -> dict[str, Any]:
        """Return plain values."""
        return asdict(self)


def found(what: str, count: int, then: str, first: str = "") -> tuple[Finding, ...]:
    """Return the finding, or nothing when nothing was found."""
    return (Finding(what, int(count), then, first),) if count else ()
