"""When shoppers come, with which device, what for, and how long they stay.

Called by   simulate.py (all sessions of the log)
Out         Sessions, by shopper and time; hours follow the day, weekdays the week, devices shopper and hour
Dimensions  S sessions
Intent      each session is for one category, of the shopper's tastes and the part of the day; the products that are
            looked at before the first list mostly tell it
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from services.training.simulation.catalogue import CATEGORIES
from services.training.simulation.config import DAY_MS, SimulationConfig
from services.training.simulation.shoppers import NUM_DAYPARTS, Shoppers
from shared.features.events import FloatArray, IntArray, LongArray

HOUR_MS = 3_600_000
LEAST_GAP_MS = 1_800_000
"""a shopper's sessions begin at least this far apart"""
DEVICES = ("mobile", "desktop")
MOBILE, DESKTOP = 0, 1
HOUR_WEIGHTS = (2, 1, 1, 1, 1, 2, 4, 6, 7, 8, 8, 8, 9, 9, 8, 8, 9, 10, 12, 14, 15, 13, 9, 5)
WEEKDAY_WEIGHTS = (1.0, 0.95, 0.95, 1.0, 1.05, 1.25, 1.3)
OFFICE_HOURS = range(9, 17)
VIEW_SHARES = (0.05, 0.25, 0.35, 0.35)
"""of 0, 1, 2, 3 products looked at before the first list"""
SECOND_LIST_SHARE = 0.3


@dataclass(frozen=True)
class Sessions:
    """Visits of the shop, by shopper and then by time."""

    user_S: IntArray
    start_ms_S: LongArray
    device_S: IntArray
    intent_S: IntArray
    num_views_S: IntArray
    num_lists_S: IntArray

    def __len__(self) -> int:
        return len(self.user_S)

    @property
    def round_S(self) -> IntArray:
        """How many sessions the shopper had before this one."""
        first_S = np.searchsorted(self.user_S, self.user_S)
        return (np.arange(len(self)) - first_S).astype(np.int32)


def make_sessions(config: SimulationConfig, shoppers: Shoppers, rng: np.random.Generator) -> Sessions:
    """Draw every visit of every shopper."""
    num_U = rng.poisson(config.sessions_per_user * shoppers.activity_U)
    user_S = np.repeat(np.arange(len(shoppers), dtype=np.int32), num_U)
    start_ms_S = config.start_ms + _moments(config, len(user_S), rng)
    order = np.lexsort((start_ms_S, user_S))
    user_S, start_ms_S = user_S[order], start_ms_S[order]
    near_S = (np.diff(start_ms_S, prepend=0) < LEAST_GAP_MS) & (np.diff(user_S, prepend=-1) == 0)
    user_S, start_ms_S = user_S[~near_S], start_ms_S[~near_S]
    return sessions_at(shoppers, user_S, start_ms_S, rng)


def sessions_at(shoppers: Shoppers, user_S: IntArray, start_ms_S: LongArray, rng: np.random.Generator) -> Sessions:
    """Return visits of these shoppers at these moments; device, intent and length are drawn."""
    hour_S = hours(start_ms_S)
    office_S = np.isin(hour_S, OFFICE_HOURS)
    mobile_S = rng.random(len(user_S)) < shoppers.mobile_U[user_S] * np.where(office_S, 0.7, 1.0)
    return Sessions(
        user_S=user_S,
        start_ms_S=start_ms_S,
        device_S=np.where(mobile_S, MOBILE, DESKTOP).astype(np.int32),
        intent_S=_intents(shoppers, user_S, dayparts(hour_S), rng),
        num_views_S=rng.choice(len(VIEW_SHARES), len(user_S), p=VIEW_SHARES).astype(np.int32),
        num_lists_S=(1 + (rng.random(len(user_S)) < SECOND_LIST_SHARE)).astype(np.int32),
    )


def hours(at_ms_E: LongArray) -> IntArray:
    """Return the hour of the day, 0 to 23, in UTC."""
    return (at_ms_E % DAY_MS // HOUR_MS).astype(np.int32)


def weekdays(at_ms_E: LongArray) -> IntArray:
    """Return 0 Monday to 6 Sunday, in UTC; the first day of 1970 was a Thursday."""
    return ((at_ms_E // DAY_MS + 3) % 7).astype(np.int32)


def dayparts(hour_E: IntArray) -> IntArray:
    """Return night, morning, afternoon or evening as 0 to 3."""
    return (hour_E * NUM_DAYPARTS // 24).astype(np.int32)


def _moments(config: SimulationConfig, number: int, rng: np.random.Generator) -> LongArray:
    """Return moments within the days of the shop, in milliseconds from its start."""
    weekday_D = weekdays(config.start_ms + np.arange(config.days, dtype=np.int64) * DAY_MS)
    day = rng.choice(config.days, number, p=_shares(np.array(WEEKDAY_WEIGHTS)[weekday_D]))
    hour = rng.choice(24, number, p=_shares(np.array(HOUR_WEIGHTS, float)))
    return np.asarray(day.astype(np.int64) * DAY_MS + hour * HOUR_MS + rng.integers(0, HOUR_MS, number), np.int64)


def _intents(shoppers: Shoppers, user_S: IntArray, daypart_S: IntArray, rng: np.random.Generator) -> IntArray:
    """Draw a category by its logits: the largest of logit plus Gumbel noise (Gumbel, 1954)."""
    logit_SC: FloatArray = (
        0.8 * shoppers.kind_taste_UC[user_S]
        + 0.5 * shoppers.own_taste_UC[user_S]
        + 0.5 * shoppers.daypart_taste_DC[daypart_S]
    )
    noise_SC = rng.gumbel(size=(len(user_S), len(CATEGORIES))).astype(np.float32)
    intent_S: IntArray = np.argmax(logit_SC + noise_SC, axis=1).astype(np.int32)
    return intent_S


def _shares(weight_H: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    share_H: npt.NDArray[np.float64] = weight_H / weight_H.sum()
    return share_H
