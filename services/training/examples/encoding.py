"""What candidate features learn from the training period: affinities, item activity, departments.

Called by   services/training/pipeline.py, once on the training period and once more on all events
Out         shared.features.candidates.CandidateTables, which the bundle stores as "encodings"
Rule        the value of every field comes from shared.features.context.affinity_values, as in serving; time fields,
            which differ from event to event, from local_clock, which a test holds equal to it
"""

from collections.abc import Mapping
from datetime import UTC, tzinfo

import numpy as np

from services.training.examples.event_log import EventLog
from shared.contracts.internal import Profile
from shared.features.affinity import FieldColumn, fit_affinity
from shared.features.candidates import MAX_DEPARTMENTS, CandidateTables
from shared.features.catalogue import Catalogue
from shared.features.context import SEASONS, affinity_values, context_features, local_clock
from shared.features.events import POSITIVE_CODES, PURCHASE_CODE, IntArray
from shared.features.item import LogColumns, measure_activity
from shared.features.vocabulary import Vocabulary
from shared.models.tensors import BoolArray

TIME_FIELDS = ("hour", "weekday", "season")
PLACE_FIELDS = ("device", "network", "store", "region")
Profiles = Mapping[str, Profile]


def fit_candidate_tables(
    log: EventLog, catalogue: Catalogue, row_V: IntArray, profiles: Profiles, zone: tzinfo, as_of_ms: int
) -> CandidateTables:
    """Return the tables of everything strictly before `as_of_ms`; V items of the vocabulary."""
    past = log.before(as_of_ms)
    known = past.where(counted_events(past))
    category = _category_column(known, catalogue)
    fields = {**_time_columns(known, zone), **_place_columns(known, profiles), **_profile_columns(known, profiles)}
    names = [category.names[code] for code in category.code_E.tolist()]
    return CandidateTables(
        affinity=fit_affinity(fields, category),
        activity=measure_activity(
            _log_columns(past, row_V, len(catalogue)), [catalogue.items[row].item_id for row in row_V], as_of_ms
        ),
        departments=Vocabulary.fit(names, MAX_DEPARTMENTS),
    )


def counted_events(log: EventLog) -> BoolArray:
    """Return the events that say what is bought when: purchases, or in a shop without any all positive events."""
    events = log.events
    bought_E = (events.type_E == PURCHASE_CODE) & (events.row_E >= 0)
    return bought_E if bought_E.any() else np.isin(events.type_E, POSITIVE_CODES) & (events.row_E >= 0)


def _log_columns(log: EventLog, row_V: IntArray, num_rows: int) -> LogColumns:
    code_of_row_N = np.full(num_rows, -1, np.int32)
    code_of_row_N[row_V] = np.arange(len(row_V), dtype=np.int32)
    events = log.events
    code_E = np.where(events.row_E >= 0, code_of_row_N[events.row_E], -1).astype(np.int32)
    return LogColumns(code_E, events.type_E, events.at_ms_E, events.quantity_E, log.value_E)


def _category_column(log: EventLog, catalogue: Catalogue) -> FieldColumn:
    """Return the top category of each event's item."""
    used, place_E = np.unique(catalogue.top_category_N[log.events.row_E], return_inverse=True)
    return _column([catalogue.categories.names[code] for code in used], place_E.astype(np.int32))


def _time_columns(log: EventLog, zone: tzinfo) -> dict[str, FieldColumn]:
    hour_E, weekday_E, season_E = local_clock(log.events.at_ms_E, zone)
    southern = np.array([(context.latitude or 0) < 0 for context in log.contexts] or [False])
    season_E = np.where(southern[log.context_E], (season_E + 2) % 4, season_E)
    return {
        "hour": _column([str(hour) for hour in range(24)], hour_E.astype(np.int32)),
        "weekday": _column([str(day) for day in range(7)], weekday_E.astype(np.int32)),
        "season": _column(list(SEASONS), season_E.astype(np.int32)),
    }


def _place_columns(log: EventLog, profiles: Profiles) -> dict[str, FieldColumn]:
    """Return what the context says; the region of the profile where the context names none."""
    by_context = [affinity_values(context_features(context, 0, UTC), None) for context in log.contexts]
    columns = {}
    for field in PLACE_FIELDS:
        column = _column([values.get(field) for values in by_context], log.context_E)
        if field == "region":
            home = _profile_column(log, profiles, "region")
            names = [*column.names, *home.names[1:]]
            code_E = np.where(column.code_E > 0, column.code_E, _shifted(home.code_E, len(column.names) - 1))
            column = _column([None, *names[1:]], code_E)
        columns[field] = column
    return columns


def _shifted(code_E: IntArray, by: int) -> IntArray:
    return np.where(code_E > 0, code_E + np.int32(by), np.int32(0))


def _profile_columns(log: EventLog, profiles: Profiles) -> dict[str, FieldColumn]:
    fields = {field for profile in profiles.values() for field in _of_profile(profile)}
    return {field: _profile_column(log, profiles, field) for field in sorted(fields - {"region"})}


def _profile_column(log: EventLog, profiles: Profiles, field: str) -> FieldColumn:
    values = [_of_profile(profiles[key]).get(field) if key in profiles else None for key in log.user_keys]
    return _column(values, log.user_E)


def _of_profile(profile: Profile) -> dict[str, str]:
    """Return the fields that a profile alone decides."""
    values = affinity_values(context_features(None, 0, UTC), profile)
    return {field: value for field, value in values.items() if field not in TIME_FIELDS}


def _column(value_X: list[str | None] | list[str], place_E: IntArray) -> FieldColumn:
    """Return events' values, given as places in a list that may name one value several times, or none."""
    names = ["", *sorted({value for value in value_X if value})]
    code_of = {name: code for code, name in enumerate(names)}
    code_X = np.array([code_of[value or ""] for value in value_X] or [0], np.int32)
    return FieldColumn(names, code_X[place_E])
