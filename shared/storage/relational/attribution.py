"""To which shown list an act belongs: the one its recommendation_id names, if the act's item was in it.

Called by   services/feature/outcomes.py (live counters), services/training/metrics.py (the name of arms); the exact
            figures of a period are those of business_metrics.py
Window      an act counts within WINDOW of its list, as there
Errors      sqlalchemy.exc.DBAPIError
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import Connection, text

from shared.contracts.events import StoredEvent

WINDOW = timedelta(days=7)
NO_MODEL = "none"
NO_ARM = "none"

LISTS_OF_ACTS = text("""
SELECT DISTINCT ON (place) place, scenario, coalesce(model_version, :no_model) AS model, arms
FROM unnest(CAST(:recommendation_ids AS text[]), CAST(:item_ids AS text[]), CAST(:moments AS timestamptz[]))
    WITH ORDINALITY AS acts(recommendation_id, item_id, occurred_at, place)
JOIN impressions USING (recommendation_id)
WHERE made_at >= :since AND occurred_at < made_at + :window AND item_id = ANY(item_ids)
ORDER BY place, made_at DESC
""")


@dataclass(frozen=True)
class ShownList:
    """What the figures of a list are grouped by."""

    scenario: str
    model: str
    arms: dict[str, str]


def lists_of(connection: Connection, acts: Sequence[StoredEvent]) -> list[ShownList | None]:
    """Return the list of each act, None where it names none that showed its item."""
    found: list[ShownList | None] = [None] * len(acts)
    if not acts:
        return found
    parameters = {
        "recommendation_ids": [act.recommendation_id for act in acts],
        "item_ids": [act.item_id for act in acts],
        "moments": [act.occurred_at for act in acts],
        "since": min(act.occurred_at for act in acts) - WINDOW,
        "window": WINDOW,
        "no_model": NO_MODEL,
    }
    for row in connection.execute(LISTS_OF_ACTS, parameters):
        found[row.place - 1] = ShownList(row.scenario, row.model, row.arms)
    return found


def arm_name(arms: Mapping[str, str]) -> str:
    """Return one name for the arms of a list, in the order of their experiments."""
    return " ".join(f"{experiment}={arm}" for experiment, arm in sorted(arms.items())) or NO_ARM
