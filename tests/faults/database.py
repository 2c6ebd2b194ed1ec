"""What is stored, asked of Postgres itself.

Called by   tests/faults/test_*.py
"""

from typing import Any

from sqlalchemy import text

from shared.storage.relational.engine import make_engine
from tests.faults.stack import FaultStack


def rows(stack: FaultStack, query: str, **values: Any) -> list[Any]:
    """Return the rows of a query."""
    engine = make_engine(stack.database_url, pool_size=1)
    try:
        with engine.begin() as connection:
            return list(connection.execute(text(query), values))
    finally:
        engine.dispose()


def stored(stack: FaultStack, pattern: str) -> list[str]:
    """Return the ids of the interactions that are LIKE a pattern, one for each row."""
    query = "SELECT event_id FROM interactions WHERE event_id LIKE :pattern ORDER BY 1"
    return [row.event_id for row in rows(stack, query, pattern=pattern)]
