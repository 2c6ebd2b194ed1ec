"""Which shoppers a segment holds, read from Postgres.

Called by   services/command/batch_command.py
Out         user keys (shared.contracts.identifiers.user_key), in order, each once
Errors      sqlalchemy.exc.DBAPIError
"""

from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import Connection, select

from shared.contracts.identifiers import user_key
from shared.storage.relational.tables import interactions, users

FIELDS = ("age_band", "gender", "region")
"""attributes with a column of their own; any other is looked up in `attributes`"""


def active_since(connection: Connection, since: datetime) -> list[str]:
    """Return who did something since a moment, visitors as well as accounts."""
    query = select(interactions.c.user_key).where(interactions.c.occurred_at >= since).distinct()
    return sorted(connection.execute(query).scalars())


def with_attributes(connection: Connection, wanted: Mapping[str, str]) -> list[str]:
    """Return the accounts of which the shop said all of this."""
    query = select(users.c.user_id)
    for name, value in wanted.items():
        column = users.c[name] if name in FIELDS else users.c.attributes[name].astext
        query = query.where(column == value)
    return sorted(user_key(user_id, None) for user_id in connection.execute(query).scalars())
