"""Every feature of Aisle in one list, and the hash that keeps a model from meeting other definitions.

Called by   services/training (writes the hash into the bundle), services/ranking (refuses a bundle whose hash differs),
            services/feature (shows the definitions beside a user's values)
"""

import hashlib
import json
from dataclasses import asdict

from shared.features.affinity import PRIOR_EVENTS
from shared.features.candidates import CANDIDATE_DEFINITIONS, MAX_DEPARTMENTS
from shared.features.context import CONTEXT_DEFINITIONS, DISTRICT_DEGREES
from shared.features.definition import FeatureDefinition
from shared.features.item import ITEM_DEFINITIONS, PRIOR_RATING, PRIOR_RATINGS
from shared.features.user import (
    DISCOUNT,
    LOW_PRICE_POSITION,
    MAX_PREFERENCES,
    PRIOR_PURCHASES,
    TASTE_WEIGHT,
    USER_DEFINITIONS,
)

ALL_FEATURES: tuple[FeatureDefinition, ...] = (
    *USER_DEFINITIONS,
    *ITEM_DEFINITIONS,
    *CONTEXT_DEFINITIONS,
    *CANDIDATE_DEFINITIONS,
)

# Numbers that change a feature's value without a change of its definition.
CONSTANTS = {
    "taste_weight": TASTE_WEIGHT.tolist(),
    "prior_purchases": PRIOR_PURCHASES,
    "low_price_position": LOW_PRICE_POSITION,
    "discount": DISCOUNT,
    "prior_events": PRIOR_EVENTS,
    "prior_rating": [PRIOR_RATING, PRIOR_RATINGS],
    "district_degrees": DISTRICT_DEGREES,
    "max_preferences": MAX_PREFERENCES,
    "max_departments": MAX_DEPARTMENTS,
}


def schema_hash() -> str:
    """Return the hash of all definitions and constants, in their order."""
    content = {"features": [asdict(definition) for definition in ALL_FEATURES], "constants": CONSTANTS}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
