"""What the lists brought: clicks, purchases and revenue by scenario and model version, and how varied the lists were.

Called by   services/command/metrics_command.py
In          the stored log: impressions shown within a period, and interactions that name their recommendation_id
Out         one BusinessMetrics a group
Attribution an act belongs to the list whose recommendation_id it carries, if its item was in the list and it happened
            within the window after the list; a shop's clock may be behind ours, so there is no lower bound
Click       a click, or a view that names its list, on a place; several on one place are one
Purchase    counts once: an order's line that is sent again, or that names several lists, goes to the newest of them.
            Refunds are not taken off
Session     the impression's session_id, else the shopper's day (UTC); revenue is divided by sessions with a list
Diversity   share of the pairs of a list whose top categories differ (category intra-list distance), mean over lists
            with two known categories or more
Novelty     self-information, mean over places of -log2 p(item); p is the item's share of the views, clicks, carts and
            purchases of the period, with one more for every item of the catalogue
Coverage    share of the catalogue's items that were in a list
Errors      sqlalchemy.exc.DBAPIError
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from sqlalchemy import Connection, text

from shared.contracts.events import EVENT_TYPE_CODES, EventType

Grouping = Literal["scenario", "model", "served_from", "arms"]
GROUPINGS: tuple[Grouping, ...] = ("scenario", "model", "served_from", "arms")
CLICKS = (EventType.CLICK, EventType.VIEW)
INTEREST = (EventType.VIEW, EventType.CLICK, EventType.ADD_TO_CART, EventType.PURCHASE)

METRICS = text("""
WITH shown AS MATERIALIZED (
    SELECT recommendation_id, made_at, item_ids,
        coalesce(session_id, user_key || to_char(made_at AT TIME ZONE 'UTC', ' YYYY-MM-DD')) AS session_key,
        CASE WHEN :by_scenario THEN scenario END AS scenario,
        CASE WHEN :by_model THEN coalesce(model_version, 'none') END AS model,
        CASE WHEN :by_served_from THEN served_from END AS served_from,
        CASE WHEN :by_arms THEN CAST(arms AS text) END AS arms
    FROM impressions WHERE made_at >= :since AND made_at < :until
), live AS MATERIALIZED (
    SELECT item_id, categories[1] AS category FROM items WHERE NOT deleted
), interest AS (
    SELECT item_id, count(*) AS events FROM interactions
    WHERE occurred_at >= :since AND occurred_at < :until AND type = ANY(:interest) AND item_id IS NOT NULL
    GROUP BY item_id
), base AS (
    SELECT CAST(coalesce(sum(events), 0) + (SELECT count(*) FROM live) AS double precision) AS total FROM interest
), places AS MATERIALIZED (
    SELECT recommendation_id, made_at, session_key, scenario, model, served_from, arms, item_id,
        live.item_id IS NOT NULL AS is_live, category,
        -ln((coalesce(events, 0) + 1) / greatest(total, 1)) / ln(CAST(2 AS double precision)) AS information
    FROM shown CROSS JOIN base CROSS JOIN LATERAL unnest(item_ids) AS item_id
    LEFT JOIN live USING (item_id) LEFT JOIN interest USING (item_id)
), acts AS MATERIALIZED (
    SELECT recommendation_id, item_id, type, occurred_at, coalesce(order_id, event_id) AS order_key,
        coalesce(price, 0) * quantity AS revenue
    FROM interactions
    WHERE recommendation_id IN (SELECT recommendation_id FROM shown) AND type = ANY(:attributed)
        AND occurred_at >= :acts_since AND occurred_at < :acts_until
), clicked AS (
    SELECT DISTINCT recommendation_id, made_at, item_id
    FROM places JOIN acts USING (recommendation_id, item_id)
    WHERE type = ANY(:clicks) AND occurred_at < made_at + :window
), bought AS (
    SELECT recommendation_id, made_at, item_id, count(*) AS purchases, sum(revenue) AS revenue FROM (
        SELECT DISTINCT ON (order_key, item_id) recommendation_id, made_at, item_id, revenue
        FROM places JOIN acts USING (recommendation_id, item_id)
        WHERE type = :purchase AND occurred_at < made_at + :window
        ORDER BY order_key, item_id, made_at DESC, occurred_at
    ) AS lines GROUP BY recommendation_id, made_at, item_id
), variety AS (
    SELECT recommendation_id, made_at, 1 - sum(number * (number - 1)) / (sum(number) * (sum(number) - 1)) AS distance
    FROM (
        SELECT recommendation_id, made_at, category, count(*) AS number FROM places
        WHERE category IS NOT NULL GROUP BY recommendation_id, made_at, category
    ) AS categories GROUP BY recommendation_id, made_at HAVING sum(number) > 1
), by_place AS (
    SELECT scenario, model, served_from, arms, count(*) AS places, count(clicked.item_id) AS clicks,
        coalesce(sum(purchases), 0) AS purchases, coalesce(sum(revenue), 0) AS revenue, avg(information) AS novelty,
        count(DISTINCT item_id) FILTER (WHERE is_live) AS live_items
    FROM places LEFT JOIN clicked USING (recommendation_id, made_at, item_id)
    LEFT JOIN bought USING (recommendation_id, made_at, item_id)
    GROUP BY scenario, model, served_from, arms
), by_list AS (
    SELECT scenario, model, served_from, arms, count(*) AS lists, count(DISTINCT session_key) AS sessions,
        avg(distance) AS diversity
    FROM shown LEFT JOIN variety USING (recommendation_id, made_at)
    GROUP BY scenario, model, served_from, arms
)
SELECT by_list.scenario, by_list.model, by_list.served_from, by_list.arms, lists, sessions, places, clicks, purchases,
    revenue, diversity, novelty,
    CAST(live_items AS double precision) / nullif((SELECT count(*) FROM live), 0) AS coverage
FROM by_list JOIN by_place ON (by_list.scenario, by_list.model, by_list.served_from, by_list.arms)
    IS NOT DISTINCT FROM (by_place.scenario, by_place.model, by_place.served_from, by_place.arms)
ORDER BY 1, 2, 3, 4
""")

LONGEST_CLOCK_LAG = timedelta(days=1)


@dataclass(frozen=True)
class Period:
    """Lists shown from `since`, before `until`; what followed each within `window`."""

    since: datetime
    until: datetime
    window: timedelta = timedelta(days=7)


@dataclass(frozen=True)
class BusinessMetrics:
    """One group of lists; a ratio without anything to divide by is None."""

    group: dict[str, str]
    """by grouping; model "none": a list that no model made"""
    lists: int
    sessions: int
    places: int
    """items shown"""
    clicks: int
    purchases: int
    revenue: float
    """price times quantity, in the shop's currency"""
    diversity: float | None
    """0 one category a list, 1 all different"""
    novelty: float
    """bits"""
    coverage: float | None

    @property
    def click_rate(self) -> float:
        """Clicks for each item shown (CTR)."""
        return self.clicks / self.places

    @property
    def purchases_per_click(self) -> float | None:
        """Conversion rate (CVR) of clicks; a purchase without a click counts, too."""
        return self.purchases / self.clicks if self.clicks else None

    @property
    def purchases_per_place(self) -> float:
        """Conversion rate of items shown (CTCVR)."""
        return self.purchases / self.places

    @property
    def revenue_per_session(self) -> float:
        """Revenue that lists brought for each session with a list."""
        return self.revenue / self.sessions


def business_metrics(connection: Connection, period: Period, by: Collection[Grouping] = ()) -> list[BusinessMetrics]:
    """Return one row a group of lists, ordered by group; none when no list was shown."""
    found = []
    for row in connection.execute(METRICS, parameters_of(period, by)):
        found.append(
            BusinessMetrics(
                group={name: getattr(row, name) for name in GROUPINGS if name in by},
                lists=row.lists,
                sessions=row.sessions,
                places=row.places,
                clicks=row.clicks,
                purchases=int(row.purchases),
                revenue=float(row.revenue),
                diversity=None if row.diversity is None else float(row.diversity),
                novelty=float(row.novelty),
                coverage=row.coverage,
            )
        )
    return found


def parameters_of(period: Period, by: Collection[Grouping]) -> dict[str, Any]:
    """Return what METRICS is asked with."""
    codes = EVENT_TYPE_CODES
    return {
        "since": period.since,
        "until": period.until,
        "acts_since": period.since - LONGEST_CLOCK_LAG,
        "acts_until": period.until + period.window,
        "window": period.window,
        "clicks": [codes[event_type] for event_type in CLICKS],
        "purchase": codes[EventType.PURCHASE],
        "attributed": [codes[event_type] for event_type in (*CLICKS, EventType.PURCHASE)],
        "interest": [codes[event_type] for event_type in INTEREST],
        **{f"by_{name}": name in by for name in GROUPINGS},
    }
