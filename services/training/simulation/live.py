"""Simulated shoppers in a running shop: they ask for lists, look at them, click and buy by their truth, and say so.

Called by   services/command/simulate_command.py (aisle simulate --against)
In          a World, the shop's identifiers of its items, and a Storefront: the shop's two calls
Out         LiveFigures; beside what happened the sum of the true chances, which tells two rankers apart sooner
Time        visits happen now, one after the other; hours and weekdays are those of UTC
Errors      what the Storefront raises
"""

import uuid
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from services.training.simulation.lists import NO_ITEM, ListPolicy, Lists
from services.training.simulation.sessions import DEVICES, Sessions, sessions_at
from services.training.simulation.shoppers import user_id
from services.training.simulation.world import Outcome, World
from shared.contracts.events import EventType
from shared.features.events import IntArray


class Storefront(Protocol):
    """The calls of a shop's front end."""

    def recommend(self, request: dict[str, Any]) -> dict[str, Any]:
        """POST /recommend."""
        ...

    def tell(self, events: list[dict[str, Any]]) -> None:
        """POST /events."""
        ...


@dataclass
class LiveFigures:
    """What simulated shoppers did in a running shop."""

    visits: int = 0
    lists: int = 0
    places: int = 0
    """items shown that the simulation knows"""
    unknown_places: int = 0
    clicks: int = 0
    purchases: int = 0
    revenue: float = 0.0
    expected_clicks: float = 0.0
    """sum of the true chances"""
    expected_purchases: float = 0.0
    served_from: Counter[str] = field(default_factory=Counter)


class LiveShoppers:
    """Visits one shop."""

    def __init__(
        self, world: World, item_ids: Sequence[str], front: Storefront, seed: int, now_ms: Callable[[], int]
    ) -> None:
        self._world, self._item_ids, self._front, self._now_ms = world, item_ids, front, now_ms
        self._row_of = {item_id: row for row, item_id in enumerate(item_ids)}
        self._rng = np.random.default_rng([seed, 4])
        self._policy = ListPolicy(world.catalogue, world.shoppers, list_length=1)
        self._share_U = world.shoppers.activity_U.astype(np.float64) / world.shoppers.activity_U.sum(dtype=np.float64)
        self._run = f"sim-{uuid.uuid4().hex[:12]}"
        self._events = 0
        self.figures = LiveFigures()

    def visit(self, num_items: int) -> None:
        """Let one shopper come, look around, and be shown one list or two."""
        user_S = self._rng.choice(len(self._world.shoppers), 1, p=self._share_U).astype(np.int32)
        session = sessions_at(self._world.shoppers, user_S, np.array([self._now_ms()], np.int64), self._rng)
        shopper = {
            "user_id": user_id(int(user_S[0])),
            "session_id": f"{self._run}-s{self.figures.visits}",
            "context": {"device": DEVICES[session.device_S[0]]},
        }
        self._look_around(session, shopper)
        for _ in range(int(session.num_lists_S[0])):
            self._look_at_list(session, shopper, num_items)
        self.figures.visits += 1

    def _look_around(self, session: Sessions, shopper: dict[str, Any]) -> None:
        intent_E = np.repeat(session.intent_S, session.num_views_S)
        views = [self._act(EventType.VIEW, row, shopper) for row in self._policy.found(intent_E, self._rng).tolist()]
        if views:
            self._front.tell(views)

    def _look_at_list(self, session: Sessions, shopper: dict[str, Any], num_items: int) -> None:
        reply = self._front.recommend({**shopper, "num_items": num_items})
        rows = [self._row_of.get(str(place["item_id"]), NO_ITEM) for place in reply["recommendations"]]
        self.figures.served_from[reply["served_from"]] += 1
        self.figures.lists += 1
        if not rows:
            return
        outcome = self._world.show(self._lists(session, np.array([rows], np.int32)), self._rng)
        self._count(outcome, rows)
        acts = self._acts(outcome, shopper, reply["recommendation_id"])
        if acts:
            self._front.tell(acts)

    def _lists(self, session: Sessions, item_QK: IntArray) -> Lists:
        return Lists(
            user_Q=session.user_S,
            device_Q=session.device_S,
            intent_Q=session.intent_S,
            shown_at_ms_Q=np.array([self._now_ms()], np.int64),
            item_QK=item_QK,
            propensity_QK=np.ones(item_QK.shape, np.float32),
        )

    def _acts(self, outcome: Outcome, shopper: dict[str, Any], recommendation_id: str) -> list[dict[str, Any]]:
        """Return the events of a list, those of a place in the order click, cart, purchase."""
        acts = []
        for place, (row, position) in enumerate(
            zip(outcome.showing.item_N.tolist(), outcome.showing.position_N.tolist(), strict=True)
        ):
            from_list = {**shopper, "recommendation_id": recommendation_id}
            if outcome.clicked_N[place]:
                acts.append(self._act(EventType.CLICK, row, from_list, position))
            if outcome.carted_N[place]:
                acts.append(self._act(EventType.ADD_TO_CART, row, from_list, position))
            if outcome.purchased_N[place]:
                order = {**from_list, "order_id": f"{recommendation_id}-o"}
                acts.append(self._act(EventType.PURCHASE, row, order, position))
        return acts

    def _act(
        self, event_type: EventType, row: int, whose: dict[str, Any], position: int | None = None
    ) -> dict[str, Any]:
        self._events += 1
        line = {"item_id": self._item_ids[row], "price": self._world.catalogue.price(row)}
        return {
            "event_id": f"{self._run}-e{self._events:09d}",
            "type": event_type.value,
            **whose,
            "items": [line if position is None else line | {"position": position}],
            "occurred_at": self._now_ms(),
        }

    def _count(self, outcome: Outcome, rows: list[int]) -> None:
        figures, truth = self.figures, outcome.chances
        figures.places += len(outcome.list_N)
        figures.unknown_places += len(rows) - len(outcome.list_N)
        figures.clicks += int(outcome.clicked_N.sum())
        figures.purchases += int(outcome.purchased_N.sum())
        bought = outcome.showing.item_N[outcome.purchased_N]
        figures.revenue += float(self._world.catalogue.price_V[bought].sum())
        figures.expected_clicks += float(truth.p_click_N.sum())
        figures.expected_purchases += float((truth.p_click_N * truth.p_purchase_given_click_N).sum())
