"""From a shop's files to what training computes on: events cleaned, coded and in order.

Called by   services/training/pipeline.py
In          ShopFiles (source.py)
Out         Shop: catalogue, EventLog, profiles, and the report of what cleaning did
Order       by (user_key, time, event id): the order in which the feature service sees one shopper's events
"""

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from services.training.errors import TooLittleDataError
from services.training.examples.cleaning import CleaningReport, clean
from services.training.examples.event_log import EventLog
from services.training.examples.source import ShopFiles
from shared.contracts.internal import Profile
from shared.contracts.recommendation import Context
from shared.features.catalogue import Catalogue
from shared.features.context import context_of_event
from shared.features.events import EventWindow, FloatArray, IntArray


@dataclass(frozen=True)
class Shop:
    """Everything a run reads."""

    catalogue: Catalogue
    log: EventLog
    profiles: dict[str, Profile]
    cleaning: CleaningReport


def open_shop(files: ShopFiles, now_ms: int | None = None) -> Shop:
    """Clean the events and bring them in order; TooLittleDataError when none is left."""
    catalogue = Catalogue(files.items)
    wanted = _with_consent(files)
    cleaned = clean(wanted, known_items=None, now_ms=now_ms) if len(wanted) else None
    if cleaned is None or not len(cleaned.kept):
        raise TooLittleDataError("there are no events to train on")
    return Shop(catalogue, event_log(cleaned.kept, catalogue), files.profiles, cleaned.report)


def _with_consent(files: ShopFiles) -> Any:
    """Leave out the events of shoppers who do not want to be known."""
    refused = [key for key, profile in files.profiles.items() if not profile.personalisation]
    if not refused:
        return files.events
    return files.events.filter(pc.invert(pc.is_in(files.events["user_key"], pa.array(refused, pa.string()))))


def event_log(events: Any, catalogue: Catalogue) -> EventLog:
    """Return a table of EVENT_COLUMNS as an EventLog; items that the catalogue does not know have row -1."""
    events = in_order(events)
    user_keys, user_E = _coded(events["user_key"])
    item_ids, item_E = _coded(events["item_id"])
    row_of = np.append(catalogue.rows(item_ids), np.int32(-1))
    context_texts, context_E = _coded(events["context"])
    return EventLog(
        tuple(user_keys),
        np.searchsorted(user_E, np.arange(len(user_keys) + 1)).astype(np.int64),
        EventWindow(
            row_of[item_E].astype(np.int32),
            events["type"].to_numpy().astype(np.int8),
            events["at_ms"].to_numpy().astype(np.int64),
            _floats(events["price"]),
            _floats(events["quantity"]),
        ),
        _floats(events["value"]),
        (*(context_of_event(json.loads(text)) for text in context_texts), Context()),
        np.where(context_E < 0, len(context_texts), context_E).astype(np.int32),
    )


def in_order(events: Any) -> Any:
    """Return the table sorted by (user_key, at_ms, event_id); a table that is in order is not sorted again."""
    keys = [events[name].combine_chunks() for name in ("user_key", "at_ms", "event_id")]
    risen = None
    for column in reversed(keys):
        left, right = column[:-1], column[1:]
        less = pc.fill_null(pc.less(left, right), False)
        equal = pc.fill_null(pc.equal(left, right), True)
        risen = pc.or_(less, equal if risen is None else pc.and_(equal, risen))
    if risen is None or pc.all(risen).as_py() is not False:
        return events
    return events.sort_by([("user_key", "ascending"), ("at_ms", "ascending"), ("event_id", "ascending")])


def _coded(column: Any) -> tuple[list[str], IntArray]:
    """Return the distinct texts of a column, ascending, and the place of each row's text among them; -1 for null."""
    encoded = pc.dictionary_encode(column.cast(pa.large_string())).combine_chunks()
    texts = encoded.dictionary.to_pylist()
    place_of = np.empty(len(texts) + 1, np.int32)
    order = sorted(range(len(texts)), key=texts.__getitem__)
    place_of[order] = np.arange(len(texts), dtype=np.int32)
    place_of[-1] = -1
    code_E = pc.fill_null(encoded.indices, -1).to_numpy(zero_copy_only=False)
    return [texts[place] for place in order], place_of[code_E]


def _floats(column: Any) -> FloatArray:
    """Return a column of numbers, NaN where there is none."""
    numbers: FloatArray = column.cast(pa.float32()).to_numpy().astype(np.float32)
    return numbers
