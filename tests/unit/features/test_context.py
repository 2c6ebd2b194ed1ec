"""What a request's context becomes: clock, place, budget; one by one and for a whole log alike."""

from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.contracts.internal import Profile
from shared.contracts.recommendation import Budget, Context
from shared.features.context import (
    SEASONS,
    affinity_values,
    context_features,
    context_of_event,
    district,
    local_clock,
)

NEW_YORK = ZoneInfo("America/New_York")
JULY_MS = int(datetime(2026, 7, 6, 23, 30, tzinfo=UTC).timestamp() * 1000)


def test_hour_weekday_and_season_are_those_of_the_shops_zone() -> None:
    values = context_features(None, JULY_MS, NEW_YORK)
    assert (values.hour, values.weekday, values.season) == (19, 0, "summer")
    assert context_features(None, JULY_MS, ZoneInfo("Asia/Tokyo")).weekday == 1


def test_the_shoppers_own_clock_wins_over_the_moment_of_the_request() -> None:
    local = datetime(2026, 1, 3, 5, 0, tzinfo=timezone(timedelta(hours=9)))
    values = context_features(Context(local_time=local), JULY_MS, NEW_YORK)
    assert (values.hour, values.weekday, values.season) == (5, 5, "winter")


def test_a_southern_latitude_turns_the_season_round() -> None:
    assert context_features(Context(latitude=-33.9, longitude=151.2), JULY_MS, NEW_YORK).season == "winter"


def test_coordinates_become_a_district_only_when_neither_region_nor_store_is_given() -> None:
    place = {"latitude": 52.51, "longitude": 13.44}
    assert context_features(Context(**place), JULY_MS, NEW_YORK).region == "district 52.5 13.4"
    assert context_features(Context(**place, region="Berlin"), JULY_MS, NEW_YORK).region == "berlin"
    assert context_features(Context(**place, store="12"), JULY_MS, NEW_YORK).region is None


@given(st.floats(-90, 90), st.floats(-180, 180))
def test_every_place_lies_in_a_district_whose_corner_is_at_most_a_cell_away(latitude: float, longitude: float) -> None:
    name = district(latitude, longitude)
    assert name is not None
    south, west = (float(part) for part in name.split()[1:])
    assert -1e-6 <= latitude - south <= 0.1 + 1e-6
    assert -1e-6 <= longitude - west <= 0.1 + 1e-6


def test_half_a_coordinate_is_no_place() -> None:
    assert district(52.5, None) is None


def test_device_network_and_region_have_one_spelling_and_the_store_stays() -> None:
    values = context_features(Context(device=" Mobile", network="WiFi", store="Main St"), JULY_MS, NEW_YORK)
    assert (values.device, values.network, values.store) == ("mobile", "wifi", "Main St")


def test_the_budget_is_read_from_the_context() -> None:
    values = context_features(Context(budget=Budget(min=2, max=9)), JULY_MS, NEW_YORK)
    assert (values.budget_min, values.budget_max) == (2, 9)
    assert context_features(None, JULY_MS, NEW_YORK).budget_max is None


def test_affinity_values_name_what_is_known_and_nothing_else() -> None:
    values = context_features(Context(device="tablet"), JULY_MS, NEW_YORK)
    profile = Profile(age_band="25-34", gender="F", region="North", attributes={"kids": "2", "income": ""})
    assert affinity_values(values, profile) == {
        "hour": "19",
        "weekday": "0",
        "season": "summer",
        "device": "tablet",
        "region": "north",
        "age_band": "25-34",
        "gender": "f",
        "attribute:kids": "2",
    }


def test_the_region_of_the_request_wins_over_that_of_the_profile() -> None:
    values = context_features(Context(region="South"), JULY_MS, NEW_YORK)
    assert affinity_values(values, Profile(region="North"))["region"] == "south"


def test_the_free_context_of_an_event_gives_what_has_the_right_kind() -> None:
    stored = {"store": 12, "device": "app", "network": 5, "latitude": 1e9, "longitude": 13.4, "page": "home"}
    context = context_of_event(stored)
    assert (context.store, context.device, context.network) == ("12", "app", None)
    assert (context.latitude, context.longitude) == (None, 13.4)
    assert context_features(context, JULY_MS, NEW_YORK).device == "app"


@pytest.mark.parametrize("zone", ["America/New_York", "Asia/Kathmandu", "Australia/Lord_Howe", "UTC"])
def test_the_clock_of_a_whole_log_is_the_clock_of_each_event(zone: str) -> None:
    shop_zone = ZoneInfo(zone)
    generator = np.random.default_rng(5)
    at_ms_E = generator.integers(JULY_MS - 400 * 86_400_000, JULY_MS, 500)
    hour_E, weekday_E, season_E = local_clock(at_ms_E, shop_zone)
    for at_ms, hour, weekday, season in zip(at_ms_E.tolist(), hour_E, weekday_E, season_E, strict=True):
        one = context_features(None, at_ms, shop_zone)
        assert (one.hour, one.weekday, one.season) == (hour, weekday, SEASONS[season])
