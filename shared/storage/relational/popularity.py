"""The popular, trending and new lists, computed from events and catalogue.

Called by   services/feature (the job that fills shared/storage/redis/lists_store.py)
Score       a shopper counts once a day for an item, by the strongest thing they did with it: nobody buys popularity
            by clicking. Popular: that sum over 30 days. Trending: how far the last 7 days are above what the 28 days
            before them let expect, in standard deviations of a Poisson count. New: the time an item was added
Lists       one over everything (category None) and one for each category of any level; only items that can be sold now
Errors      sqlalchemy.exc.DBAPIError
"""

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from sqlalchemy import Connection, text

from shared.contracts.events import EVENT_TYPE_CODES, EventType

ListName = Literal["popular", "trending", "new"]

# What one act says of an item, in purchases. Steps of about the size that purchases per cart and per view have.
ACT_WEIGHTS = {
    EventType.VIEW: 0.1,
    EventType.CLICK: 0.1,
    EventType.WISHLIST: 0.3,
    EventType.ADD_TO_CART: 0.4,
    EventType.PURCHASE: 1.0,
}
POPULAR_DAYS = 30
TRENDING_DAYS = 7
BEFORE_DAYS = 28
TRENDING_PRIOR = 4.0
"""added to the expected count: one purchase of an item that never sold is no trend"""
NEW_DAYS = 60

WEIGHTED_DAYS = """
weight_of (type, weight) AS (SELECT * FROM unnest(CAST(:types AS smallint[]), CAST(:weights AS double precision[]))),
act AS (
    SELECT item_id, user_key, date_trunc('day', occurred_at) AS day, max(weight) AS weight
    FROM interactions JOIN weight_of USING (type)
    WHERE occurred_at >= :since AND occurred_at < :until AND item_id IS NOT NULL
    GROUP BY 1, 2, 3
)
"""
SELLABLE = """
NOT deleted AND (stock IS NULL OR stock > 0)
    AND (available_from IS NULL OR available_from <= :until) AND (available_until IS NULL OR available_until > :until)
"""
RANKED = """
listed AS (SELECT item_id, score, CAST(NULL AS text) AS category FROM scored
    UNION ALL SELECT item_id, score, category
    FROM scored JOIN items USING (item_id), unnest(categories) AS category),
placed AS (SELECT *, row_number() OVER (PARTITION BY category ORDER BY score DESC, item_id) AS place FROM listed)
SELECT category, item_id, score FROM placed
WHERE place <= CASE WHEN category IS NULL THEN :overall ELSE :by_category END
ORDER BY category NULLS FIRST, place
"""
QUERIES: dict[ListName, str] = {
    "popular": f"""WITH {WEIGHTED_DAYS},
        total AS (SELECT item_id, sum(weight) AS score FROM act GROUP BY 1),
        scored AS (SELECT item_id, score FROM total JOIN items USING (item_id) WHERE {SELLABLE}), {RANKED}""",  # noqa: S608 - constants of this file
    "trending": f"""WITH {WEIGHTED_DAYS},
        total AS (SELECT item_id, coalesce(sum(weight) FILTER (WHERE day >= :recent), 0) AS now,
            coalesce(sum(weight) FILTER (WHERE day < :recent), 0) * {TRENDING_DAYS / BEFORE_DAYS} AS expected
            FROM act GROUP BY 1),
        scored AS (SELECT item_id, (now - expected) / sqrt(expected + {TRENDING_PRIOR}) AS score
            FROM total JOIN items USING (item_id) WHERE now > expected AND {SELLABLE}), {RANKED}""",  # noqa: S608 - constants of this file
    "new": f"""WITH scored AS (SELECT item_id, CAST(extract(epoch FROM created_at) AS double precision) AS score
            FROM items WHERE created_at >= :since AND created_at <= :until AND {SELLABLE}), {RANKED}""",  # noqa: S608 - constants of this file
}
WINDOW_DAYS: dict[ListName, int] = {"popular": POPULAR_DAYS, "trending": TRENDING_DAYS + BEFORE_DAYS, "new": NEW_DAYS}


@dataclass(frozen=True)
class ScoredItem:
    """One place of a list."""

    item_id: str
    score: float


def ranked_list(
    connection: Connection, name: ListName, now: datetime, *, overall: int = 300, by_category: int = 50
) -> dict[str | None, list[ScoredItem]]:
    """Return a list over everything (under None) and one for each category, best first, ties by item id."""
    # Nobody waits for this: on all cores of a small machine it would delay the answers that somebody waits for.
    connection.execute(text("SET LOCAL max_parallel_workers_per_gather = 0"))
    rows = connection.execute(text(QUERIES[name]), _parameters(name, now, overall, by_category))
    lists: dict[str | None, list[ScoredItem]] = defaultdict(list)
    for category, item_id, score in rows:
        lists[category].append(ScoredItem(item_id, score))
    return dict(lists)


def _parameters(name: ListName, now: datetime, overall: int, by_category: int) -> dict[str, Any]:
    today = now.replace(hour=0, minute=0, second=0, microsecond=0)
    return {
        "types": [EVENT_TYPE_CODES[event_type] for event_type in ACT_WEIGHTS],
        "weights": list(ACT_WEIGHTS.values()),
        "since": today - timedelta(days=WINDOW_DAYS[name]),
        "recent": today - timedelta(days=TRENDING_DAYS),
        "until": now,
        "overall": overall,
        "by_category": by_category,
    }
