"""What insert and import have in common: whose event it is, now that shoppers were erased and merged.

Called by   interactions.py, bulk_import.py
Late        an event that reaches us after its shopper was erased, and is from before that, is dropped; one of a visitor
            from before the merge into an account goes to the account. Later events of the same id are a new beginning
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, text

SHOPPERS = text("""
SELECT key, erased_at, account, merged_at
FROM unnest(CAST(:keys AS text[])) AS key
LEFT JOIN erasures ON erasures.user_key = key
LEFT JOIN LATERAL (SELECT user_key AS account, merged_at FROM user_merges WHERE visitor_key = key) AS merge ON true
WHERE erased_at IS NOT NULL OR merged_at IS NOT NULL
""")


@dataclass(frozen=True)
class ShopperFate:
    """What happened to shoppers of a batch; empty for almost every batch."""

    erased_at: dict[str, datetime]
    merged: dict[str, tuple[str, datetime]]
    """visitor → account and when"""

    def owner(self, user_key: str, occurred_at: datetime) -> str | None:
        """Return whose event it is, None if nobody's any more."""
        account, merged_at = self.merged.get(user_key, (user_key, None))
        owner = account if merged_at is not None and occurred_at <= merged_at else user_key
        erased = [self.erased_at.get(key) for key in (user_key, owner)]
        return None if any(moment is not None and occurred_at <= moment for moment in erased) else owner


def shopper_fate(connection: Connection, user_keys: Iterable[str]) -> ShopperFate:
    """Look up erasures and merges of these shoppers and of the accounts they were merged into."""
    fate = ShopperFate({}, {})
    wanted = set(user_keys)
    while wanted:
        rows = connection.execute(SHOPPERS, {"keys": sorted(wanted)}).all()
        wanted = {row.account for row in rows if row.merged_at is not None} - wanted
        for row in rows:
            if row.erased_at is not None:
                fate.erased_at[row.key] = row.erased_at
            if row.merged_at is not None:
                fate.merged[row.key] = (row.account, row.merged_at)
    return fate
