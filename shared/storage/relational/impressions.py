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
from shared.contracts.times import epoch_ms, from_epoch_ms
from shared.storage.relational.event_rows import shopper_fate
from shared.storage.relational.locks import AdvisoryLock, take
from shared.storage.relational.partitions import ensure_months, utc_day
from shared.storage.relational.tables import impressions


def insert_impressions(connection: Connection, shown: Sequence[Impression]) -> list[Impression]:
    """Store the impressions that are new, except those of erased shoppers; return those that were stored."""
    if not shown:
        return []
    take(connection, AdvisoryLock.SHOPPERS, shared=True)
    fate = shopper_fate(connection, {impression.user_key for impression in shown})
    rows = []
    for impression in shown:
        made_at = from_epoch_ms(impression.made_at_ms)
        owner = fate.owner(impression.user_key, made_at)
        if owner is not None:
            rows.append(impression.model_dump(exclude={"made_at_ms"}) | {"user_key": owner, "made_at": made_at})
    if not rows:
        return []
    ensure_months(connection, "impressions", {utc_day(impression.made_at_ms) for impression in shown})
    key = (impressions.c.recommendation_id, impressions.c.made_at)
    stored = connection.execute(insert(impressions).on_conflict_do_nothing().returning(*key), rows)
    by_key = {(impression.recommendation_id, impression.made_at_ms): impression for impression in shown}
    return [by_key[row.recommendation_id, epoch_ms(row.made_at)] for row in stored]
