"""The simulated shop: impressions with known chances, so that the best possible AUC is known, too.

Called by   benchmarks/ctr/data_sets/names.py
Source      services/training/simulation; its difficulty was frozen before any ranker saw it
Features    only what a shop would know: profiles, catalogue, moment, and counts strictly before each list
Fatigue     counted from the impressions of the log, like everything else
"""

from dataclasses import replace

import numpy as np

from benchmarks.ctr.data import CtrData, Source, by_share, cut
from benchmarks.ctr.past import DAY_MS, Past, columns, lift, rate
from services.training.multitask.labels import trainable
from services.training.simulation.catalogue import CATEGORIES
from services.training.simulation.config import SimulationConfig
from services.training.simulation.log import SimulatedLog
from services.training.simulation.shoppers import AGE_BANDS, GENDERS, REGIONS
from services.training.simulation.simulate import simulate
from shared.contracts.events import EVENT_TYPE_CODES, EventType
from shared.models.multitask_inputs import CategoryField, RankerFields, RankerRows

MAX_HISTORY = 40
SESSION_MS = 1_800_000
WARM_UP = 0.1
"""share of the log that counts but is not learned from: it has no past of its own"""


def simulated(config: SimulationConfig = SimulationConfig()) -> CtrData:  # noqa: B008 - frozen
    """Return the shop's impressions as examples."""
    source = _source(simulate(config))
    return cut(source, by_share(source.at_ms_R, WARM_UP, (0.75, 0.8, 0.85)))


def _source(log: SimulatedLog) -> Source:
    shown = log.impressions
    first_R = np.flatnonzero(np.diff(shown.request_N, prepend=-1))
    at_ms_R, user_R = shown.shown_at_ms_N[first_R], shown.user_N[first_R]
    counts = Counts(log)
    request_names, request_RF = counts.of_requests(user_R, at_ms_R)
    item_names, item_NF = counts.of_items()
    items, users = log.catalogue, log.shoppers
    categories = {
        "age": (users.age_U[user_R], len(AGE_BANDS)),
        "gender": (users.gender_U[user_R], len(GENDERS)),
        "kind": (users.age_U[user_R] * len(GENDERS) + users.gender_U[user_R], len(AGE_BANDS) * len(GENDERS)),
        "region": (users.region_U[user_R], len(REGIONS)),
        "hour": (shown.hour_N[first_R], 24),
        "weekday": (shown.weekday_N[first_R], 7),
        "device": (shown.device_N[first_R], 2),
    }
    of_items = {
        "item": (np.arange(len(items)), len(items)),
        "category": (items.category_V, len(CATEGORIES)),
        "brand": (items.brand_V, len(items.brand_names)),
    }
    item_code_VG = np.stack([1 + code for code, _ in of_items.values()], axis=1).astype(np.int32)
    fields = RankerFields(
        request_names,
        tuple(CategoryField(name, 1 + size) for name, (_, size) in categories.items()),
        item_names,
        tuple(CategoryField(name, 1 + size) for name, (_, size) in of_items.items()),
        tuple(of_items),
        MAX_HISTORY,
        (),
    )
    labels = trainable({"click": shown.clicked_N, "purchase": shown.purchased_N})
    event_RL = counts.events.newest(user_R, at_ms_R, MAX_HISTORY)
    there_RL = event_RL >= 0
    rows = RankerRows(
        request_RF,
        np.stack([1 + code for code, _ in categories.values()], axis=1).astype(np.int32),
        item_NF,
        item_code_VG[shown.item_N],
        np.where(there_RL[:, :, None], item_code_VG[log.events.item_E[event_RL]], 0).astype(np.int32),
        np.where(there_RL, log.events.type_E[event_RL] + 1, 0).astype(np.int32),
        np.where(there_RL, (at_ms_R[:, None] - log.events.at_ms_E[event_RL]) / 1000, 0).astype(np.float32),
        np.repeat(np.arange(len(first_R), dtype=np.int32), np.diff(np.append(first_R, len(shown)))),
        shown.position_N,
    )
    truth = log.truth
    truth_NT = np.stack([truth.p_click_N, truth.p_click_N * truth.p_purchase_given_click_N], axis=1)
    note = f"simulated shop, seed {log.config.seed}; no real shopper"
    fields = replace(fields, tasks=labels.tasks)
    return Source("simulated", note, fields, rows, labels, at_ms_R, user_R, truth_NT.astype(np.float64))


class Counts:
    """What had happened before each list."""

    def __init__(self, log: SimulatedLog) -> None:
        self.log = log
        self.events = Past(log.events.user_E, log.events.at_ms_E)
        shown = log.impressions
        self.at_ms_N = shown.shown_at_ms_N
        self.clicked_N, self.bought_N = shown.clicked_N, shown.purchased_N
        self.click_rate, self.buy_rate = float(self.clicked_N.mean()), float(self.bought_N.mean())
        views = log.events.type_E == EVENT_TYPE_CODES[EventType.VIEW]
        self.viewed_user, self.viewed_item = log.events.user_E[views], log.events.item_E[views]
        self.viewed_at = log.events.at_ms_E[views]

    def of_requests(self, user_R: np.ndarray, at_ms_R: np.ndarray) -> tuple[tuple[str, ...], np.ndarray]:
        """Return numbers of shoppers."""
        user_N = self.log.impressions.user_N
        parts = [(f"user_{name}", count_R) for name, count_R in self._rates(user_N, user_R, at_ms_R)]
        views = Past(self.viewed_user, self.viewed_at)
        parts += [
            ("user_views", views.sum(user_R, at_ms_R)),
            ("user_views_session", views.sum(user_R, at_ms_R, SESSION_MS)),
            ("user_days_since", self.events.days_since(user_R, at_ms_R)),
        ]
        parts.append(("user_price_clicked", self._price_liked(user_R, at_ms_R)))
        return columns(parts)

    def of_items(self) -> tuple[tuple[str, ...], np.ndarray]:
        """Return numbers of each item shown, alone and for the shopper."""
        shown, items = self.log.impressions, self.log.catalogue
        user_N, item_N, at_ms_N = shown.user_N, shown.item_N, self.at_ms_N
        keys = {
            "item": item_N,
            "category": items.category_V[item_N],
            "brand": items.brand_V[item_N],
            "user_category": user_N * 100 + items.category_V[item_N],
            "user_brand": user_N * 100 + items.brand_V[item_N],
        }
        parts = [
            (f"{name}_{what}", count_N)
            for name, key_N in keys.items()
            for what, count_N in self._rates(key_N, key_N, at_ms_N)
        ]
        seen_before = Past(self.viewed_user * 100 + items.category_V[self.viewed_item], self.viewed_at)
        liked_price_N = self._price_liked(user_N, at_ms_N)
        position_N = items.price_position_V[item_N]
        parts += [
            ("times_shown", shown.times_shown_N),
            ("category_views_session", seen_before.sum(keys["user_category"], at_ms_N, SESSION_MS)),
            ("category_views", seen_before.sum(keys["user_category"], at_ms_N)),
            ("category_days_since_view", seen_before.days_since(keys["user_category"], at_ms_N)),
            ("bought_category_decayed", self._bought_category(keys["user_category"])),
            ("price_position", position_N),
            ("log_price", np.log1p(items.price_V[item_N])),
            ("price_gap", position_N - liked_price_N),
            ("rating", items.rating_V[item_N]),
            ("age_days", (at_ms_N - items.created_ms_V[item_N]) / DAY_MS),
        ]
        return columns(parts)

    def _rates(self, key_E: np.ndarray, key_N: np.ndarray, at_ms_N: np.ndarray) -> list[tuple[str, np.ndarray]]:
        shown_N = Past(key_E, self.at_ms_N).sum(key_N, at_ms_N)
        # A click follows within seconds, a purchase within minutes; they count from the next session on.
        clicked_N = Past(key_E, self.at_ms_N + SESSION_MS, self.clicked_N).sum(key_N, at_ms_N)
        bought_N = Past(key_E, self.at_ms_N + SESSION_MS, self.bought_N).sum(key_N, at_ms_N)
        return [
            ("shown", shown_N),
            ("click_lift", lift(clicked_N, shown_N * self.click_rate)),
            ("buy_lift", lift(bought_N, shown_N * self.buy_rate)),
        ]

    def _bought_category(self, key_N: np.ndarray) -> np.ndarray:
        return Past(key_N, self.at_ms_N + SESSION_MS, self.bought_N).decayed(key_N, self.at_ms_N, 10.0)

    def _price_liked(self, user_N: np.ndarray, at_ms_N: np.ndarray) -> np.ndarray:
        """Return the mean price position of what the shopper clicked."""
        shown = self.log.impressions
        position_N = self.log.catalogue.price_position_V[shown.item_N]
        later_N = self.at_ms_N + SESSION_MS
        clicked = Past(shown.user_N, later_N, self.clicked_N).sum(user_N, at_ms_N)
        liked = Past(shown.user_N, later_N, self.clicked_N * position_N).sum(user_N, at_ms_N)
        return rate(liked, clicked, 0.0, 5.0)
