"""The shopper of a request: stored events, the request's own, and what consent allows."""

from dataclasses import replace

import pytest

from services.ranking.shopper import StoredWindows, shopper_of
from shared.contracts.events import EVENT_TYPE_CODES, EventType
from shared.contracts.internal import Profile, UserState
from shared.features.catalogue import Catalogue
from shared.features.events import EventWindow
from shared.features.shopper_events import MalformedEventsError, shopper_events
from tests.tiny_shop import DAY_MS
from tests.unit.ranking.requests import NOW_MS, Did, request, state

VIEW, CART = EVENT_TYPE_CODES[EventType.VIEW], EVENT_TYPE_CODES[EventType.ADD_TO_CART]


def named(window: EventWindow, catalogue: Catalogue) -> list[str]:
    return [catalogue.items[row].item_id if row >= 0 else "?" for row in window.row_E]


def test_stored_events_become_catalogue_rows_in_order(catalogue: Catalogue) -> None:
    shopper = shopper_of(
        request(Did("wine-fine-0", 1), Did("coffee-fine-1", 5), Did("gone", 3)), StoredWindows(catalogue)
    )
    assert named(shopper.window, catalogue) == ["coffee-fine-1", "?", "wine-fine-0"]
    assert not shopper.is_stranger


def test_cart_session_and_current_item_join_the_window_in_the_order_they_happened(catalogue: Catalogue) -> None:
    context = {
        "item_id": "lamps-fine-0",
        "cart": [{"item_id": "bread-fine-0", "quantity": 2}],
        "session": [{"type": "click", "item_id": "wine-fine-1"}, {"item_id": "wine-fine-2"}],
    }
    window = shopper_of(request(Did("coffee-fine-0"), context=context), StoredWindows(catalogue)).window
    assert named(window, catalogue) == ["coffee-fine-0", "bread-fine-0", "wine-fine-1", "wine-fine-2", "lamps-fine-0"]
    assert (window.at_ms_E < NOW_MS).all()
    assert (window.at_ms_E[1:] > window.at_ms_E[:-1]).all()
    assert window.quantity_E[1] == 2


def test_session_event_with_a_time_takes_its_place_among_the_stored_ones(catalogue: Catalogue) -> None:
    session = [{"item_id": "wine-fine-1", "ts": NOW_MS - 2 * DAY_MS}, {"item_id": "wine-fine-2", "ts": NOW_MS + 60_000}]
    done = (Did("coffee-fine-0", 3), Did("bread-fine-0", 1))
    window = shopper_of(request(*done, context={"session": session}), StoredWindows(catalogue)).window
    assert named(window, catalogue) == ["coffee-fine-0", "wine-fine-1", "bread-fine-0", "wine-fine-2"]


def test_event_that_was_already_stored_counts_once(catalogue: Catalogue) -> None:
    minute = 1 / 1440
    done = (Did("wine-fine-1", 5 * minute, EventType.VIEW), Did("bread-fine-0", 0.5, EventType.ADD_TO_CART))
    context = {"session": [{"item_id": "wine-fine-1"}], "cart": [{"item_id": "bread-fine-0"}]}
    assert len(shopper_of(request(*done, context=context), StoredWindows(catalogue)).window) == 2


def test_second_look_at_an_item_an_hour_later_counts_again(catalogue: Catalogue) -> None:
    done = Did("wine-fine-1", 1 / 24, EventType.VIEW)
    window = shopper_of(request(done, context={"item_id": "wine-fine-1"}), StoredWindows(catalogue)).window
    assert window.type_E.tolist() == [VIEW, VIEW]


def test_events_at_or_after_the_moment_asked_about_are_not_seen(catalogue: Catalogue) -> None:
    window = shopper_of(
        request(Did("wine-fine-1", 0), Did("wine-fine-2", -1), Did("wine-fine-3", 1)), StoredWindows(catalogue)
    ).window
    assert named(window, catalogue) == ["wine-fine-3"]


def test_features_are_those_of_the_state_while_it_has_events(catalogue: Catalogue) -> None:
    known = state(Did("wine-fine-1"), features={"price_level": 0.9}, category_preference={"lamps": 1.0})
    user = shopper_of(request(state=known), StoredWindows(catalogue)).user
    assert user["price_level"] == pytest.approx(0.9)
    assert user.category_preference == {"lamps": 1.0}


def test_features_of_a_visitor_nothing_is_stored_of_come_from_the_session(catalogue: Catalogue) -> None:
    context = {"session": [{"item_id": "wine-fine-1"}]}
    for known in (None, state()):
        shopper = shopper_of(request(state=known, context=context), StoredWindows(catalogue))
        assert shopper.user.category_preference == {"wine": 1.0}
        assert not shopper.is_stranger


def test_without_consent_stored_events_and_profile_are_not_read(catalogue: Catalogue) -> None:
    private = state(
        Did("wine-fine-1"),
        profile=Profile(age_band="19-24", personalisation=False),
        category_preference={"wine": 1.0},
    )
    shopper = shopper_of(request(state=private), StoredWindows(catalogue))
    assert shopper.is_stranger
    assert shopper.profile is None
    assert shopper.user.category_preference == {}


def test_event_types_of_a_newer_feature_service_are_left_out(catalogue: Catalogue) -> None:
    events = shopper_events([("wine-fine-1", 1, 99, None, 1.0), ("wine-fine-2", 2, VIEW, 3.0, 1.0)]).packed()
    known = UserState(user_key="u", version="", as_of_ms=NOW_MS, events=events)
    window = shopper_of(request(state=known), StoredWindows(catalogue)).window
    assert named(window, catalogue) == ["wine-fine-2"]
    assert window.price_E.tolist() == [3.0]


def test_columns_of_different_length_are_refused(catalogue: Catalogue) -> None:
    events = shopper_events([("wine-fine-1", 1, VIEW, None, 1.0)] * 2).packed().model_copy(update={"item_ids": "one"})
    with pytest.raises(MalformedEventsError):
        shopper_of(
            request(state=UserState(user_key="u", version="", as_of_ms=NOW_MS, events=events)), StoredWindows(catalogue)
        )


def test_a_state_that_came_again_is_not_unpacked_again_until_the_catalogue_grows(catalogue: Catalogue) -> None:
    windows, known = StoredWindows(catalogue), state(Did("wine-fine-1"), Did("not-yet-known"))
    first = shopper_of(request(state=known), windows).window
    again = windows.of(known)
    assert windows.of(known) is again
    assert named(first, catalogue) == ["wine-fine-1", "?"]
    catalogue.upsert([replace(catalogue.items[0], item_id="not-yet-known")])
    assert named(shopper_of(request(state=known), windows).window, catalogue) == ["wine-fine-1", "not-yet-known"]
