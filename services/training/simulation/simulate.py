"""Run a simulated shop for its days and return the log with the truth.

Called by   services/command/simulate_command.py, benchmarks/ctr, tests
In          SimulationConfig; the same configuration gives the same log
Out         SimulatedLog
How         round by round: the r-th session of every shopper at once, so that all is arithmetic on columns and yet
            each session finds what the sessions before it left behind (fatigue, satiation)
A session   looks at 0 to 3 products, is shown a list, clicks and buys; some are shown a second list
"""

from dataclasses import dataclass, fields, replace
from typing import TypeVar

import numpy as np

from services.training.simulation.choice import Chances
from services.training.simulation.config import SimulationConfig
from services.training.simulation.lists import ListPolicy, Lists
from services.training.simulation.log import NO_REQUEST, EventColumns, ImpressionColumns, SimulatedLog
from services.training.simulation.sessions import Sessions, hours, make_sessions, weekdays
from services.training.simulation.world import Outcome, World, make_world
from shared.contracts.events import EVENT_TYPE_CODES, EventType
from shared.features.events import IntArray, LongArray

VIEW_EVERY_MS = 20_000
LIST_AFTER_MS = 5_000
SECOND_LIST_AFTER_MS = 180_000
CLICK_AFTER_MS, CLICK_PER_PLACE_MS = 1_000, 2_000
CART_AFTER_MS, PURCHASE_AFTER_MS = 20_000, 60_000

Columns = TypeVar("Columns", ImpressionColumns, EventColumns, Chances)


@dataclass(frozen=True)
class _Part:
    """The log of one list of one round."""

    impressions: ImpressionColumns
    truth: Chances
    events: EventColumns


def simulate(config: SimulationConfig) -> SimulatedLog:
    """Return the log of all days."""
    world = make_world(config)
    rng = np.random.default_rng([config.seed, 3])
    sessions = make_sessions(config, world.shoppers, rng)
    policy = ListPolicy(world.catalogue, world.shoppers, config.list_length)
    parts: list[_Part] = []
    views: list[EventColumns] = []
    round_S = sessions.round_S
    for number in range(int(round_S.max(initial=-1)) + 1):
        session_Q = np.flatnonzero(round_S == number).astype(np.int32)
        viewed, last_viewed_Q = _views(world, policy, sessions, session_Q, rng)
        views.append(viewed)
        parts.append(_one_list(world, policy, sessions, session_Q, last_viewed_Q, 0, rng))
        more_Q = sessions.num_lists_S[session_Q] > 1
        parts.append(_one_list(world, policy, sessions, session_Q[more_Q], last_viewed_Q[more_Q], 1, rng))
    return _sorted(config, world, parts, views)


def _views(
    world: World, policy: ListPolicy, sessions: Sessions, session_Q: IntArray, rng: np.random.Generator
) -> tuple[EventColumns, IntArray]:
    """Return what the sessions look at first, and the category of the last of it, -1 for nothing."""
    num_Q = sessions.num_views_S[session_Q]
    place_E = np.repeat(np.arange(len(session_Q)), num_Q)
    session_E = session_Q[place_E]
    number_E = (np.arange(len(place_E)) - np.repeat(np.cumsum(num_Q) - num_Q, num_Q)).astype(np.int32)
    item_E = policy.found(sessions.intent_S[session_E], rng)
    at_ms_E = sessions.start_ms_S[session_E] + number_E.astype(np.int64) * VIEW_EVERY_MS
    last_viewed_Q = np.full(len(session_Q), -1, np.int32)
    last_viewed_Q[place_E] = world.catalogue.category_V[item_E]  # the last one written stays
    return _events(EventType.VIEW, sessions, session_E, item_E, at_ms_E), last_viewed_Q


def _one_list(
    world: World,
    policy: ListPolicy,
    sessions: Sessions,
    session_Q: IntArray,
    last_viewed_Q: IntArray,
    number: int,
    rng: np.random.Generator,
) -> _Part:
    """Show the first (0) or second (1) list of these sessions."""
    user_Q = sessions.user_S[session_Q]
    item_QK, propensity_QK = policy.draw(user_Q, last_viewed_Q, rng)
    browsed_ms_Q = sessions.num_views_S[session_Q].astype(np.int64) * VIEW_EVERY_MS
    lists = Lists(
        user_Q=user_Q,
        device_Q=sessions.device_S[session_Q],
        intent_Q=sessions.intent_S[session_Q],
        shown_at_ms_Q=sessions.start_ms_S[session_Q] + browsed_ms_Q + LIST_AFTER_MS + number * SECOND_LIST_AFTER_MS,
        item_QK=item_QK,
        propensity_QK=propensity_QK,
    )
    outcome = world.show(lists, rng)
    request_Q = (session_Q * 2 + number).astype(np.int32)
    impressions = _impressions(lists, outcome, session_Q, request_Q)
    return _Part(impressions, outcome.chances, _acts(outcome, sessions, impressions, rng))


def _impressions(lists: Lists, outcome: Outcome, session_Q: IntArray, request_Q: IntArray) -> ImpressionColumns:
    showing, list_N = outcome.showing, outcome.list_N
    at_ms_N = lists.shown_at_ms_Q[list_N]
    return ImpressionColumns(
        request_N=request_Q[list_N],
        session_N=session_Q[list_N],
        user_N=showing.user_N,
        item_N=showing.item_N,
        position_N=showing.position_N,
        shown_at_ms_N=at_ms_N,
        hour_N=hours(at_ms_N),
        weekday_N=weekdays(at_ms_N),
        device_N=showing.device_N,
        times_shown_N=showing.times_shown_N,
        propensity_N=lists.propensity_QK[list_N, showing.position_N - 1],
        clicked_N=outcome.clicked_N,
        purchased_N=outcome.purchased_N,
    )


def _acts(outcome: Outcome, sessions: Sessions, shown: ImpressionColumns, rng: np.random.Generator) -> EventColumns:
    """Return the clicks, carts and purchases of the lists."""
    click_ms_N = shown.shown_at_ms_N + CLICK_AFTER_MS + shown.position_N.astype(np.int64) * CLICK_PER_PLACE_MS
    click_ms_N += rng.integers(0, 1000, len(shown))
    acts = (
        (EventType.CLICK, outcome.clicked_N, 0),
        (EventType.ADD_TO_CART, outcome.carted_N, CART_AFTER_MS),
        (EventType.PURCHASE, outcome.purchased_N, PURCHASE_AFTER_MS),
    )
    return _joined(
        [
            _events(
                event_type,
                sessions,
                shown.session_N[mask_N],
                shown.item_N[mask_N],
                click_ms_N[mask_N] + after_ms,
                shown.request_N[mask_N],
                shown.position_N[mask_N],
            )
            for event_type, mask_N, after_ms in acts
        ]
    )


def _events(
    event_type: EventType,
    sessions: Sessions,
    session_E: IntArray,
    item_E: IntArray,
    at_ms_E: LongArray,
    request_E: IntArray | None = None,
    position_E: IntArray | None = None,
) -> EventColumns:
    number = len(session_E)
    return EventColumns(
        type_E=np.full(number, EVENT_TYPE_CODES[event_type], np.int8),
        user_E=sessions.user_S[session_E],
        item_E=item_E,
        at_ms_E=at_ms_E,
        session_E=session_E,
        request_E=np.full(number, NO_REQUEST, np.int32) if request_E is None else request_E,
        position_E=np.zeros(number, np.int32) if position_E is None else position_E,
        device_E=sessions.device_S[session_E],
    )


def _sorted(config: SimulationConfig, world: World, parts: list[_Part], views: list[EventColumns]) -> SimulatedLog:
    """Return the log in order of time, its lists numbered in that order."""
    impressions = _joined([part.impressions for part in parts])
    order_N = np.lexsort((impressions.position_N, impressions.request_N, impressions.shown_at_ms_N))
    impressions = _taken(impressions, order_N)
    events = _joined([*views, *(part.events for part in parts)])
    events = _taken(events, np.lexsort((events.type_E, events.user_E, events.at_ms_E)))
    first_N = np.append(True, np.diff(impressions.request_N) != 0)
    number_R = np.full(2 * int(impressions.session_N.max(initial=0)) + 2, NO_REQUEST, np.int32)
    number_R[impressions.request_N[first_N]] = np.arange(np.count_nonzero(first_N))
    return SimulatedLog(
        config,
        world.catalogue,
        world.shoppers,
        replace(impressions, request_N=number_R[impressions.request_N]),
        _taken(_joined([part.truth for part in parts]), order_N),
        replace(events, request_E=np.where(events.request_E < 0, NO_REQUEST, number_R[events.request_E])),
    )


def _joined(some: list[Columns]) -> Columns:
    """Return columns one below the other."""
    kind = type(some[0])
    return kind(**{field.name: np.concatenate([getattr(part, field.name) for part in some]) for field in fields(kind)})


def _taken(columns: Columns, order: np.ndarray[tuple[int], np.dtype[np.int64]]) -> Columns:
    """Return the rows in another order."""
    kind = type(columns)
    return kind(**{field.name: getattr(columns, field.name)[order] for field in fields(kind)})
