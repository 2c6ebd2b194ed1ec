"""What the simulated shop had counted before each list: acts of shoppers, items and pairs against what was expected.

Called by   benchmarks/ctr/data_sets/simulated.py
Expected    a regression learned on the warm-up, which no slice contains, gives each impression the chances of a click
            and of a purchase that its place, moment and kind of shopper explain. Acts over expected acts (COEC, Zhang
            and Jones 2007) then say what they do not explain: tastes, quality, thrift
Time        an act counts from its own moment on, an impression from the moment it was shown on
Dimensions  N items shown, R lists, E acts
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse
from sklearn.linear_model import LogisticRegression

from benchmarks.ctr.past import DAY_MS, Integers, Numbers, Past, columns, lift, rate
from services.training.simulation.catalogue import CATEGORIES
from services.training.simulation.log import SimulatedLog
from services.training.simulation.shoppers import GENDERS
from shared.contracts.events import EVENT_TYPE_CODES, EventType

SESSION_MS = 1_800_000
ACTS = {"click": EventType.CLICK, "buy": EventType.PURCHASE}
STRENGTHS = {"user": 16.0, "item": 8.0, "category": 8.0, "brand": 8.0, "user_category": 25.0, "user_brand": 30.0}
"""expected acts at which a lift is believed by half: fewer where shoppers or items differ more"""
PRICE_STRENGTH = 16.0
BOUGHT_HALF_LIFE_DAYS = 10.0
Columns = list[tuple[str, npt.NDArray[Any]]]


@dataclass(frozen=True)
class Acts:
    """Clicks or purchases."""

    user_E: npt.NDArray[Any]
    item_E: npt.NDArray[Any]
    at_ms_E: Integers


class Counts:
    """What had happened before each list."""

    def __init__(self, log: SimulatedLog, learned_before_ms: int) -> None:
        self.log = log
        shown = log.impressions
        self.user_N, self.item_N, self.at_ms_N = shown.user_N, shown.item_N, shown.shown_at_ms_N
        self.events = Past(log.events.user_E, log.events.at_ms_E)
        self.views = self._acts(EventType.VIEW)
        self.acts = {name: self._acts(kind) for name, kind in ACTS.items()}
        self.keys = self._keys(self.user_N, self.item_N)
        bought = self.acts["buy"]
        self.bought_N = Past(self._pair(bought), bought.at_ms_E).decayed(
            self.keys["user_category"], self.at_ms_N, BOUGHT_HALF_LIFE_DAYS
        )
        self.expected = self._expected(learned_before_ms)

    def of_requests(
        self, user_R: npt.NDArray[Any], at_ms_R: Integers
    ) -> tuple[tuple[str, ...], npt.NDArray[np.float32]]:
        """Return numbers of shoppers."""
        parts: Columns = []
        for name, acts in self.acts.items():
            lift_R, expected_R = self._lift(name, "user", self.user_N, acts.user_E, (user_R, at_ms_R))
            thrift_R = self._thrift(name, user_R, at_ms_R)
            parts += [(f"user_{name}_lift", lift_R), (f"user_{name}_expected", expected_R)]
            parts.append((f"user_{name}_thrift", thrift_R))
        views = Past(self.views.user_E, self.views.at_ms_E)
        parts += [
            ("user_views", views.sum(user_R, at_ms_R)),
            ("user_views_session", views.sum(user_R, at_ms_R, SESSION_MS)),
            ("user_days_since", self.events.days_since(user_R, at_ms_R)),
            ("user_price_clicked", self._price_clicked(user_R, at_ms_R)),
        ]
        return columns(parts)

    def of_items(self) -> tuple[tuple[str, ...], npt.NDArray[np.float32]]:
        """Return numbers of each item shown, alone and for the shopper."""
        shown, items, at_ms_N = self.log.impressions, self.log.catalogue, self.at_ms_N
        position_N = items.price_position_V[self.item_N]
        clicked, pair_N = self.acts["click"], self.keys["user_category"]
        parts = self._lifts()
        parts += [(f"price_{name}_fit", self._thrift(name, self.user_N, at_ms_N) * position_N) for name in ACTS]
        parts += [
            ("times_shown", shown.times_shown_N),
            ("category_views_session", self._viewed_here()),
            ("category_views_share", self._viewed_here() / np.maximum(self._viewed(), 1)),
            ("category_clicks_session", Past(self._pair(clicked), clicked.at_ms_E).sum(pair_N, at_ms_N, SESSION_MS)),
            ("category_views", Past(self._pair(self.views), self.views.at_ms_E).sum(pair_N, at_ms_N)),
            ("category_days_since_view", Past(self._pair(self.views), self.views.at_ms_E).days_since(pair_N, at_ms_N)),
            ("bought_category_decayed", self.bought_N),
            ("price_position", position_N),
            ("log_price", np.log1p(items.price_V[self.item_N])),
            ("price_gap", position_N - self._price_clicked(self.user_N, at_ms_N)),
            ("rating", items.rating_V[self.item_N]),
            ("age_days", (at_ms_N - items.created_ms_V[self.item_N]) / DAY_MS),
        ]
        return columns(parts)

    def _acts(self, kind: EventType) -> Acts:
        events = self.log.events
        chosen_E = events.type_E == EVENT_TYPE_CODES[kind]
        return Acts(events.user_E[chosen_E], events.item_E[chosen_E], events.at_ms_E[chosen_E])

    def _keys(self, user_X: npt.NDArray[Any], item_X: npt.NDArray[Any]) -> dict[str, npt.NDArray[Any]]:
        items = self.log.catalogue
        category_X, brand_X = items.category_V[item_X], items.brand_V[item_X]
        return {
            "item": item_X,
            "category": category_X,
            "brand": brand_X,
            "user_category": user_X.astype(np.int64) * 100 + category_X,
            "user_brand": user_X.astype(np.int64) * 100 + brand_X,
        }

    def _pair(self, acts: Acts) -> npt.NDArray[Any]:
        return self._keys(acts.user_E, acts.item_E)["user_category"]

    def _viewed(self) -> Numbers:
        return Past(self.views.user_E, self.views.at_ms_E).sum(self.user_N, self.at_ms_N, SESSION_MS)

    def _viewed_here(self) -> Numbers:
        pair_N = self.keys["user_category"]
        return Past(self._pair(self.views), self.views.at_ms_E).sum(pair_N, self.at_ms_N, SESSION_MS)

    def _expected(self, learned_before_ms: int) -> dict[str, Numbers]:
        """Return the chance of each act that place, moment and kind of shopper explain."""
        shown, users, items = self.log.impressions, self.log.shoppers, self.log.catalogue
        category_N = items.category_V[self.item_N]
        price_N = np.clip(np.floor(items.price_position_V[self.item_N] + 2.5), 0, 4)
        age_N = users.age_U[self.user_N]
        kind_N = age_N * len(GENDERS) + users.gender_U[self.user_N]
        matrix = one_hot(
            [
                shown.position_N * 2 + shown.device_N,
                np.minimum(self._viewed_here(), 3) * 4 + np.minimum(self._viewed(), 3),
                np.minimum(shown.times_shown_N, 4),
                np.minimum(np.floor(self.bought_N * 2), 6),
                kind_N * len(CATEGORIES) + category_N,
                age_N * 5 + price_N,
                users.region_U[self.user_N] * 5 + price_N,
                shown.hour_N // 6 * len(CATEGORIES) + category_N,
            ]
        )
        early_N = self.at_ms_N < learned_before_ms
        found = {}
        for name, label_N in (("click", shown.clicked_N), ("buy", shown.purchased_N)):
            model = LogisticRegression(C=0.3, max_iter=200, tol=1e-3).fit(matrix[early_N], label_N[early_N])
            found[name] = model.predict_proba(matrix)[:, 1]
        return found

    def _lifts(self) -> Columns:
        parts: Columns = []
        for key, key_N in self.keys.items():
            for name, acts in self.acts.items():
                key_E = self._keys(acts.user_E, acts.item_E)[key]
                lift_N, expected_N = self._lift(name, key, key_N, key_E, (key_N, self.at_ms_N))
                parts.append((f"{key}_{name}_lift", lift_N))
                parts += [(f"{key}_expected", expected_N)] if name == "click" else []
        return parts

    def _lift(
        self,
        name: str,
        key: str,
        shown_N: npt.NDArray[Any],
        done_E: npt.NDArray[Any],
        asked: tuple[npt.NDArray[Any], Integers],
    ) -> tuple[Numbers, Numbers]:
        """Return log(acts / expected acts) of the keys asked for, and the expected acts."""
        found_X = Past(done_E, self.acts[name].at_ms_E).sum(*asked)
        expected_X = Past(shown_N, self.at_ms_N, self.expected[name]).sum(*asked)
        return lift(found_X, expected_X, STRENGTHS[key]), expected_X

    def _thrift(self, name: str, user_X: npt.NDArray[Any], at_ms_X: Integers) -> Numbers:
        """Return the slope of what was not expected over the price's position: one Newton step from 0."""
        position_V, acts, p_N = self.log.catalogue.price_position_V, self.acts[name], self.expected[name]
        position_N = position_V[self.item_N]
        found_X = Past(acts.user_E, acts.at_ms_E, position_V[acts.item_E]).sum(user_X, at_ms_X)
        expected_X = Past(self.user_N, self.at_ms_N, p_N * position_N).sum(user_X, at_ms_X)
        known_X = Past(self.user_N, self.at_ms_N, p_N * (1 - p_N) * position_N**2).sum(user_X, at_ms_X)
        slope_X: Numbers = (found_X - expected_X) / (known_X + PRICE_STRENGTH)
        return slope_X

    def _price_clicked(self, user_X: npt.NDArray[Any], at_ms_X: Integers) -> Numbers:
        """Return the mean price position of what the shopper clicked."""
        acts = self.acts["click"]
        position_E = self.log.catalogue.price_position_V[acts.item_E]
        clicked_X = Past(acts.user_E, acts.at_ms_E).sum(user_X, at_ms_X)
        liked_X = Past(acts.user_E, acts.at_ms_E, position_E).sum(user_X, at_ms_X)
        return rate(liked_X, clicked_X, 0.0, 5.0)


def one_hot(code_KN: list[npt.NDArray[Any]]) -> Any:
    """Return a sparse matrix with a column for each code of each list."""
    code_KN = [code_N.astype(np.int64) for code_N in code_KN]
    start_K = np.cumsum([0, *(int(code_N.max()) + 1 for code_N in code_KN)])
    place = np.stack([start + code_N for start, code_N in zip(start_K[:-1], code_KN, strict=True)], axis=1)
    rows, width = place.shape
    ones = np.ones(rows * width, np.float32)
    return sparse.csr_matrix((ones, place.ravel(), np.arange(0, rows * width + 1, width)), (rows, int(start_K[-1])))
