"""A log of views without impressions as examples: what was looked at next, among items that could have been.

Called by   benchmarks/ctr/data_sets/retailrocket.py, rees46.py
Candidates  the item viewed and NEGATIVES others, each drawn from the views of the last days, so by its popularity then.
            Sampled negatives flatter AUC (models.md calls it inflation): such tables compare models, nothing else
Requests    views of items that were met before: a sampled item always was, so of a new one every model would know
Features    counts strictly before the view; scores of transitions counted up to then, as a retrieval source gives them
Dimensions  E events in order of time, V items, R requests (a view each), N candidates, L newest events
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.ctr.past import DAY_MS, Past, columns, rate
from shared.contracts.events import EVENT_TYPE_CODES, EventType
from shared.models.multitask_inputs import RankerRows

NEGATIVES = 4
LOOKED_BACK = 5
"""events of the history whose transitions count"""
HALF_LIVES_DAYS = (0.5, 7.0)
Integers = npt.NDArray[np.int64]
Columns = list[tuple[str, npt.NDArray[Any]]]
VIEW, CART, PURCHASE = (EVENT_TYPE_CODES[kind] for kind in (EventType.VIEW, EventType.ADD_TO_CART, EventType.PURCHASE))


@dataclass(frozen=True)
class ViewLog:
    """Events in order of time."""

    user_E: Integers
    item_E: Integers
    at_ms_E: Integers
    type_E: npt.NDArray[np.int8]
    item_category_VG: npt.NDArray[np.int32]
    """codes from 1 of each item; the first is the item itself"""
    item_numbers: Columns
    """of each item, if the log says more than who did what"""
    max_history: int


@dataclass(frozen=True)
class NextViews:
    """Requests at views, and their candidates."""

    rows: RankerRows
    request_names: tuple[str, ...]
    item_names: tuple[str, ...]
    user_R: Integers
    at_ms_R: Integers
    item_N: Integers
    viewed_N: npt.NDArray[np.bool_]


def next_views(log: ViewLog, event_R: Integers, seed: int) -> NextViews:
    """Return the views of some events as requests, with sampled candidates beside each."""
    event_R = event_R[met_before(log)[event_R]]
    rng = np.random.default_rng(seed)
    user_R, at_ms_R = log.user_E[event_R], log.at_ms_E[event_R]
    item_RK = np.concatenate([log.item_E[event_R][:, None], negatives(log, event_R, rng)], axis=1)
    item_RK[:, 1:] = np.where(item_RK[:, 1:] == item_RK[:, :1], -1, item_RK[:, 1:])
    request_N, place_N = np.nonzero(item_RK >= 0)
    item_N = item_RK[request_N, place_N]
    newest_RL = Past(log.user_E, log.at_ms_E).newest(user_R, at_ms_R, log.max_history)
    there_RL = newest_RL >= 0
    request_names, request_RF = columns(of_users(log, user_R, at_ms_R))
    asked = Asked(user_R[request_N], item_N, at_ms_R[request_N], newest_RL[request_N])
    item_names, item_NF = columns([*of_items(log, asked), *transitions(log, asked)])
    rows = RankerRows(
        request_RF,
        moment_codes(at_ms_R),
        item_NF,
        log.item_category_VG[item_N],
        np.where(there_RL[:, :, None], log.item_category_VG[log.item_E[newest_RL]], 0).astype(np.int32),
        np.where(there_RL, log.type_E[newest_RL] + 1, 0).astype(np.int32),
        np.where(there_RL, (at_ms_R[:, None] - log.at_ms_E[newest_RL]) / 1000, 0).astype(np.float32),
        request_N.astype(np.int32),
        np.zeros(len(item_N), np.int32),
    )
    return NextViews(rows, request_names, item_names, user_R, at_ms_R, item_N, place_N == 0)


@dataclass(frozen=True)
class Asked:
    """Candidates, each with its shopper, moment and newest events."""

    user_N: Integers
    item_N: Integers
    at_ms_N: Integers
    newest_NL: Integers


def met_before(log: ViewLog) -> npt.NDArray[np.bool_]:
    """Return of each event whether its item has an earlier one."""
    met_E = np.ones(len(log.item_E), np.bool_)
    met_E[np.unique(log.item_E, return_index=True)[1]] = False
    return met_E


def negatives(log: ViewLog, event_R: Integers, rng: np.random.Generator) -> Integers:
    """Return [R, NEGATIVES] items of earlier events, any of the half of the log before the view."""
    low_R1 = (event_R // 2)[:, None]
    drawn_RK = low_R1 + (rng.random((len(event_R), NEGATIVES)) * np.maximum(event_R[:, None] - low_R1, 1)).astype(
        np.int64
    )
    return log.item_E[drawn_RK]


def moment_codes(at_ms_R: Integers) -> npt.NDArray[np.int32]:
    """Return hour and weekday of UTC, from 1."""
    hour_R, weekday_R = at_ms_R % DAY_MS // 3_600_000, (at_ms_R // DAY_MS + 3) % 7
    return np.stack([hour_R + 1, weekday_R + 1], axis=1).astype(np.int32)


def of_users(log: ViewLog, user_R: Integers, at_ms_R: Integers) -> Columns:
    """Return counts of shoppers."""
    events = Past(log.user_E, log.at_ms_E)
    parts: Columns = [
        ("user_days_since", events.days_since(user_R, at_ms_R)),
        ("user_last_hour", events.sum(user_R, at_ms_R, 3_600_000)),
    ]
    for name, kind in (("views", VIEW), ("carts", CART), ("purchases", PURCHASE)):
        some_E = log.type_E == kind
        if some_E.any():
            parts.append((f"user_{name}", Past(log.user_E[some_E], log.at_ms_E[some_E]).sum(user_R, at_ms_R)))
    return parts


def of_items(log: ViewLog, asked: Asked) -> Columns:
    """Return counts of items and of the shopper with the item and its categories, and the item's own numbers."""
    item_N, at_ms_N = asked.item_N, asked.at_ms_N
    views_N = Past(log.item_E, log.at_ms_E).sum(item_N, at_ms_N)
    parts: Columns = [
        ("item_events", views_N),
        ("item_days_since", Past(log.item_E, log.at_ms_E).days_since(item_N, at_ms_N)),
    ]
    for days in HALF_LIVES_DAYS:
        parts.append((f"item_popularity_{days:g}d", Past(log.item_E, log.at_ms_E).decayed(item_N, at_ms_N, days)))
    for name, kind in (("cart", CART), ("purchase", PURCHASE)):
        some_E = log.type_E == kind
        if some_E.any():
            done_N = Past(log.item_E[some_E], log.at_ms_E[some_E]).sum(item_N, at_ms_N)
            parts += [(f"item_{name}s", done_N), (f"item_{name}_rate", rate(done_N, views_N, 0.1, 10.0))]
    for place in range(log.item_category_VG.shape[1]):
        code_V = log.item_category_VG[:, place].astype(np.int64)
        pair = Past(log.user_E * (code_V.max() + 1) + code_V[log.item_E], log.at_ms_E)
        key_N = asked.user_N * (code_V.max() + 1) + code_V[item_N]
        parts += [
            (f"user_with_field_{place}", pair.sum(key_N, at_ms_N)),
            (f"user_hour_with_field_{place}", pair.sum(key_N, at_ms_N, 3_600_000)),
            (f"days_since_field_{place}", pair.days_since(key_N, at_ms_N)),
        ]
    return parts + [(name, value_V[item_N]) for name, value_V in log.item_numbers]


def transitions(log: ViewLog, asked: Asked) -> Columns:
    """Return how often the candidate followed the newest events, in others' histories so far, as a share."""
    items = len(log.item_category_VG)
    before_EL = Past(log.user_E, log.at_ms_E).newest(log.user_E, log.at_ms_E, LOOKED_BACK)
    event_M, lag_M = np.nonzero(before_EL >= 0)
    from_M = log.item_E[before_EL[event_M, lag_M]]
    followed = Past(from_M * items + log.item_E[event_M], log.at_ms_E[event_M], 1.0 / (1 + lag_M))
    left = Past(log.item_E, log.at_ms_E)
    share_N, last_N = np.zeros(len(asked.item_N)), np.zeros(len(asked.item_N))
    for lag in range(LOOKED_BACK):
        event_N = asked.newest_NL[:, lag]
        origin_N = np.where(event_N >= 0, log.item_E[event_N], -1)
        count_N = np.where(event_N >= 0, followed.sum(origin_N * items + asked.item_N, asked.at_ms_N), 0.0)
        part_N = count_N / (left.sum(origin_N, asked.at_ms_N) + 5.0)
        share_N += part_N / (1 + lag)
        last_N = part_N if lag == 0 else last_N
    return [("transitions", share_N), ("transition_of_last", last_N), ("log_transitions", np.log(share_N + 1e-4))]
