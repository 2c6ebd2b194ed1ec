"""Who asks: one rank request as the window, features and profile that the models read.

Called by   services/ranking/rank.py
In          RankRequest: the shopper's state as feature read it, and what the request itself says was done just now
Out         Shopper; its window holds catalogue rows, is ordered by time and cut strictly before as_of
Events      the request's session, cart and current item join the window: they need not have reached POST /events, and
            are left out when the state already holds them
Features    those of the state, computed by feature; from the window here when the state has no events
Consent     without it (Profile.personalisation) the stored events and profile are not read
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from shared.contracts.events import EVENT_TYPE_CODES, EVENT_TYPES, EventType
from shared.contracts.internal import EventColumns, Profile, RankRequest, UserState
from shared.contracts.recommendation import Context
from shared.features.catalogue import Catalogue, to_ms
from shared.features.events import EMPTY_WINDOW, EventWindow, events_before
from shared.features.shopper_events import unpacked
from shared.features.user import UserFeatures, user_features

SAME_EVENT_MS = 30 * 60_000
"""an event of the session within this time of a stored one on the same item is the same event, reported twice"""
SAME_CART_MS = 24 * 3_600_000
"""a product in the cart was put there within this time, or its event is lost"""
WINDOWS_KEPT = 1000
"""of up to WINDOW_SIZE events: about 40 kB each"""


@dataclass(frozen=True)
class Shopper:
    """One shopper at one moment."""

    window: EventWindow
    user: UserFeatures
    profile: Profile | None

    @property
    def is_stranger(self) -> bool:
        """Return whether nothing the shopper did is known: a cold start."""
        return not len(self.window.positive())


@dataclass(frozen=True)
class RecentEvent:
    """Something the request says the shopper did; `at_ms` is None for "just now"."""

    type: EventType
    item_id: str
    at_ms: int | None = None
    quantity: float = 1.0


class StoredWindows:
    """The windows of states over one catalogue; those that came lately are not unpacked again.

    Between two events of a shopper every state holds the same events, and a page asks for several lists.
    """

    def __init__(self, catalogue: Catalogue) -> None:
        self.catalogue = catalogue
        self._window = lru_cache(maxsize=WINDOWS_KEPT)(self._unpacked)

    def of(self, state: UserState | None) -> EventWindow:
        """Return the stored events of a state; MalformedEventsError when feature and ranking disagree on the form."""
        if state is None:
            return EMPTY_WINDOW
        # An item that the catalogue did not know may have come since: its length is part of what is asked.
        return self._window(state.events.item_ids, state.events.records, len(self.catalogue))

    def _unpacked(self, item_ids: str, records: str, _num_items: int) -> EventWindow:
        window = unpacked(EventColumns.model_construct(item_ids=item_ids, records=records)).window(
            self.catalogue.row_of
        )
        # A newer feature service may know event types that this process does not.
        known_E = (window.type_E >= 0) & (window.type_E < len(EVENT_TYPES))
        return window if known_E.all() else window.where(known_E)


def shopper_of(request: RankRequest, windows: StoredWindows) -> Shopper:
    """Return the shopper of a request; MalformedEventsError as of StoredWindows."""
    state = request.state if request.state and request.state.profile.personalisation else None
    stored, catalogue = windows.of(state), windows.catalogue
    recent = _recent_window(request.context, request.as_of_ms, catalogue)
    window = events_before(_merge(stored, _unreported(recent, stored)), request.as_of_ms)
    if state is not None and len(stored):
        user = UserFeatures.from_state(state.features, state.category_preference, state.brand_preference)
    else:
        user = user_features(window, catalogue, request.as_of_ms)
    return Shopper(window, user, state.profile if state else None)


def _recent_window(context: Context, as_of_ms: int, catalogue: Catalogue) -> EventWindow:
    """Return the request's own events; those without a time come last, a millisecond apart, in the order given."""
    recent = list(_recent_events(context))
    if not recent:
        return EMPTY_WINDOW
    at_ms = [
        as_of_ms - (len(recent) - place) if event.at_ms is None else min(event.at_ms, as_of_ms - 1)
        for place, event in enumerate(recent)
    ]
    return EventWindow(
        catalogue.rows([event.item_id for event in recent]),
        np.array([EVENT_TYPE_CODES[event.type] for event in recent], np.int8),
        np.array(at_ms, np.int64),
        np.full(len(recent), np.nan, np.float32),
        np.array([event.quantity for event in recent], np.float32),
    )


def _recent_events(context: Context) -> Iterator[RecentEvent]:
    """Oldest first: the cart was filled, then the session went on, and now the shopper looks at the current item."""
    for line in context.cart:
        yield RecentEvent(EventType.ADD_TO_CART, line.item_id, quantity=line.quantity)
    for event in context.session:
        yield RecentEvent(event.type, event.item_id, to_ms(event.ts, 0) if event.ts else None)
    if context.item_id is not None:
        yield RecentEvent(EventType.VIEW, context.item_id)


def _unreported(recent: EventWindow, stored: EventWindow) -> EventWindow:
    """Return the recent events that the stored ones do not hold already."""
    if not len(recent) or not len(stored):
        return recent
    in_cart = EVENT_TYPE_CODES[EventType.ADD_TO_CART]
    tolerance_ms_R = np.where(recent.type_E == in_cart, SAME_CART_MS, SAME_EVENT_MS)
    same_RE = (recent.row_E[:, None] == stored.row_E) & (recent.type_E[:, None] == stored.type_E)
    near_RE = np.abs(recent.at_ms_E[:, None] - stored.at_ms_E) <= tolerance_ms_R[:, None]
    return recent.where(~(same_RE & near_RE).any(axis=1))


def _merge(stored: EventWindow, recent: EventWindow) -> EventWindow:
    """Return both in order of time; at one moment the stored come first."""
    if not len(recent):
        return stored
    at_ms_E = np.concatenate([stored.at_ms_E, recent.at_ms_E])
    order_E = np.argsort(at_ms_E, kind="stable")
    return EventWindow(
        np.concatenate([stored.row_E, recent.row_E])[order_E],
        np.concatenate([stored.type_E, recent.type_E])[order_E],
        at_ms_E[order_E],
        np.concatenate([stored.price_E, recent.price_E])[order_E],
        np.concatenate([stored.quantity_E, recent.quantity_E])[order_E],
    )
