"""Lists as they were shown, each once.

Called by   services/feature (ingest worker)
Once        the key is (recommendation_id, made_at): a partitioned table's key holds its time, and an impression that
            arrives twice has the same
Errors      sqlalchemy.exc.DBAPIError
"""

from collections.abc import Sequence

from sqlalchemy import Connection
from sqlalchemy.dialects.postgresql import insert

from shared.contracts.impressions import Impression
from shared.contracts.times import from_epoch_ms
from shared.storage.relational.event_rows import shopper_fate
from shared.storage.relational.locks import AdvisoryLock, take
from shared.storage.relational.partitions import ensure_months, utc_day
from shared.storage.relational.tables import impressions


def insert_impressions(connection: Connection, shown: Sequence[Impression]) -> int:
    """Store the impressions that are new, except those of erased shoppers; return how many were stored."""
    if not shown:
        return 0
    take(connection, AdvisoryLock.SHOPPERS, shared=True)
    fate = shopper_fate(connection, {impression.user_key for impression in shown})
    rows = []
    for impression in shown:
        made_at = from_epoch_ms(impression.made_at_ms)
        owner = fate.owner(impression.user_key, made_at)
        if owner is not None:
            rows.append(impression.model_dump(exclude={"made_at_ms"}) | {"user_key": owner, "made_at": made_at})
    if not rows:
        return 0
    ensure_months(connection, "impressions", {utc_day(impression.made_at_ms) for impression in shown})
    stored = connection.execute(insert(impressions).on_conflict_do_nothing().returning(impressions.c.made_at), rows)
    return len(stored.all())
