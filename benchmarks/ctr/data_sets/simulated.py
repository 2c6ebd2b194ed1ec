"""The simulated shop: impressions with known chances, so that the best possible AUC is known, too.

Called by   benchmarks/ctr/data_sets/names.py
Source      services/training/simulation; its difficulty was frozen before any ranker saw it
Features    only what a shop would know: profiles, catalogue, moment, and counts strictly before each list
            (simulated_counts.py); fatigue is counted from the impressions of the log, like everything else
"""

from dataclasses import replace

import numpy as np

from benchmarks.ctr.data import CtrData, Source, by_share, cut
from benchmarks.ctr.data_sets.simulated_counts import Counts
from services.training.multitask.labels import trainable
from services.training.simulation.catalogue import CATEGORIES
from services.training.simulation.config import SimulationConfig
from services.training.simulation.log import SimulatedLog
from services.training.simulation.shoppers import AGE_BANDS, GENDERS, REGIONS
from services.training.simulation.simulate import simulate
from shared.models.multitask_inputs import CategoryField, RankerFields, RankerRows

MAX_HISTORY = 40
WARM_UP = 0.1
"""share of the log that counts are expected from and that no slice contains: it has no past of its own"""


def simulated(config: SimulationConfig = SimulationConfig()) -> CtrData:  # noqa: B008 - frozen
    """Return the shop's impressions as examples."""
    source = _source(simulate(config))
    return cut(source, by_share(source.at_ms_R, WARM_UP, (0.75, 0.8, 0.85)))


def _source(log: SimulatedLog) -> Source:
    shown = log.impressions
    first_R = np.flatnonzero(np.diff(shown.request_N, prepend=-1))
    at_ms_R, user_R = shown.shown_at_ms_N[first_R], shown.user_N[first_R]
    learned_before_ms = by_share(at_ms_R, WARM_UP, ())[0]
    counts = Counts(log, learned_before_ms)
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
