"""The event window: strictly before as_of, the newest only, and the session of a request joined in."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from shared.contracts.events import EVENT_TYPE_CODES, EventType
from shared.features.events import EventWindow, events_before
from tests.unit.features.example_shop import events, shop


def window_at(times_ms: list[int]) -> EventWindow:
    count = len(times_ms)
    return EventWindow(
        np.arange(count, dtype=np.int32),
        np.full(count, EVENT_TYPE_CODES[EventType.VIEW], np.int8),
        np.array(sorted(times_ms), np.int64),
        np.full(count, np.nan, np.float32),
        np.ones(count, np.float32),
    )


@given(st.lists(st.integers(0, 50), max_size=40), st.integers(0, 50), st.integers(1, 10))
def test_events_before_are_the_newest_strictly_before(times_ms: list[int], as_of_ms: int, limit: int) -> None:
    kept = events_before(window_at(times_ms), as_of_ms, limit).at_ms_E.tolist()
    assert kept == [at_ms for at_ms in sorted(times_ms) if at_ms < as_of_ms][-limit:]


def test_an_event_at_as_of_itself_is_not_yet_known() -> None:
    assert len(events_before(window_at([5]), 5)) == 0
    assert len(events_before(window_at([5]), 6)) == 1


def test_positive_leaves_out_unknown_items_and_types_that_speak_against() -> None:
    catalogue = shop()
    lines = [("apple", EventType.VIEW, 3.0), ("gone", EventType.VIEW, 2.0), ("bread", EventType.HIDE, 1.0)]
    assert events(catalogue, lines).positive().row_E.tolist() == [catalogue.row_of["apple"]]
