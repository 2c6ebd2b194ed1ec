"""A state as people read it."""

from services.feature.human_view import HISTORY_SHOWN, human_view
from services.feature.user_state import Origin
from shared.contracts.events import EVENT_TYPE_CODES, EventType
from shared.contracts.internal import Profile, UserState
from shared.features.catalogue import Catalogue, CatalogueItem
from shared.features.shopper_events import shopper_events
from shared.features.user import USER_FEATURES

NOW_MS = 1_790_000_000_000


def test_it_names_every_feature_counts_by_type_and_shows_the_newest_events_first() -> None:
    count = HISTORY_SHOWN + 5
    view_code, purchase_code = EVENT_TYPE_CODES[EventType.VIEW], EVENT_TYPE_CODES[EventType.PURCHASE]
    lines = [("17", NOW_MS + place, view_code, None, 1.0) for place in range(count - 1)]
    events = shopper_events([*lines, ("gone", NOW_MS + count, purchase_code, 2.5, 3.0)]).packed()
    state = UserState(user_key="u:1", version="v", as_of_ms=NOW_MS, events=events, profile=Profile(gender="f"))
    catalogue = Catalogue([CatalogueItem("17", is_integer=True, title="cup", categories=("Kitchen",))])
    view = human_view(state, Origin.REBUILT, catalogue)
    assert view["counts"] == {"events": count, "by_type": {"view": count - 1, "purchase": 1}}
    assert [line["item_id"] for line in view["history"]] == ["gone"] + [17] * (HISTORY_SHOWN - 1)
    assert [(line["price"], line["quantity"]) for line in view["history"][:2]] == [(2.5, 3.0), (None, 1.0)]
    assert (view["history"][0]["title"], view["history"][1]["title"]) == (None, "cup")
    assert tuple(feature["name"] for feature in view["features"]) == USER_FEATURES
    assert all(feature["meaning"] for feature in view["features"])
    assert (view["origin"], view["version"], view["profile"]["gender"]) == ("rebuilt", "v", "f")


def test_somebody_unknown_has_an_empty_view() -> None:
    view = human_view(UserState(user_key="u:1", version="v", as_of_ms=NOW_MS), Origin.ONLINE, Catalogue())
    assert (view["counts"], view["history"]) == ({"events": 0, "by_type": {}}, [])
