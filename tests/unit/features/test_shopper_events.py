"""A shopper's events on their way between the services."""

import numpy as np
import pytest

from shared.contracts.internal import EventColumns
from shared.features.shopper_events import MalformedEventsError, ShopperEvents, shopper_events, unpacked

LINES = [("bread", 1, 6, 1.5, 2.0), ("", 5, 9, None, 1.0), ("schön 17", 5, 1, None, 0.5), ("gone", 9, 1, 0.1, 1.0)]


def sent_and_received(events: ShopperEvents) -> ShopperEvents:
    return unpacked(EventColumns.model_validate_json(events.packed().model_dump_json()))


def test_events_arrive_as_they_were_sent_also_those_without_an_item_or_a_price() -> None:
    events = shopper_events(LINES)
    received = sent_and_received(events)
    assert received == events
    assert received.item_id == ["bread", "", "schön 17", "gone"]
    window = received.window({"bread": 2, "schön 17": 0})
    assert window.row_E.tolist() == [2, -1, 0, -1]
    assert window.type_E.tolist() == [6, 9, 1, 1]
    assert window.at_ms_E.tolist() == [1, 5, 5, 9]
    assert window.quantity_E.tolist() == [2.0, 1.0, 0.5, 1.0]
    assert np.array_equal(window.price_E, np.array([1.5, np.nan, np.nan, 0.1], np.float32), equal_nan=True)


def test_no_events_and_one_event_without_an_item_are_told_apart() -> None:
    assert sent_and_received(shopper_events([])).item_id == []
    assert sent_and_received(shopper_events([("", 1, 9, None, 1.0)])).item_id == [""]


def test_events_are_cut_strictly_before_a_moment_and_to_the_newest() -> None:
    events = shopper_events(LINES)
    assert events.before(5).item_id == ["bread"]
    assert events.before(6).item_id == ["bread", "", "schön 17"]
    assert events.before(100, limit=2) == shopper_events(LINES[2:])


@pytest.mark.parametrize(
    "other", [LINES[:3], [("bred", *LINES[0][1:]), *LINES[1:]], [("bread", 2, 6, 1.5, 2.0), *LINES[1:]]]
)
def test_events_that_differ_in_number_item_or_time_are_not_equal(
    other: list[tuple[str, int, int, float, float]],
) -> None:
    assert shopper_events(other) != shopper_events(LINES)


@pytest.mark.parametrize(
    "broken",
    [
        {"item_ids": "bread\nmilk"},
        {"records": ""},
        {"records": "no base64!"},
        {"records": "AAAA"},
    ],
)
def test_halves_that_do_not_fit_are_refused(broken: dict[str, str]) -> None:
    whole = shopper_events(LINES[:1]).packed()
    with pytest.raises(MalformedEventsError):
        unpacked(whole.model_copy(update=broken))


def test_window_of_events_asked_again_is_kept_until_the_catalogue_grows_or_is_another() -> None:
    events = shopper_events([("bread", 1_000, 6, 2.0, 1.0), ("milk", 2_000, 6, None, 1.0), ("jam", 3_000, 6, 1.0, 1.0)])
    row_of = {"bread": 0}
    past = events.before(2_500)
    assert events.before(3_000) is past
    assert past.window(row_of) is past.window(row_of)
    assert past.window(row_of).row_E.tolist() == [0, -1]
    row_of["milk"] = 1
    assert past.window(row_of).row_E.tolist() == [0, 1]
    assert past.window({"bread": 5, "milk": 4}).row_E.tolist() == [5, 4]
    assert list(events.before(3_001).item_id) == ["bread", "milk", "jam"]
    assert list(events.before(2_000).item_id) == ["bread"]
