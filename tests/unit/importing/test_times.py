"""Times as shops write them, and the two hours a year that a clock on the wall does not tell."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.training.importing.times import NOT_A_TIME, UNREADABLE, epochs_to_ms, texts_to_ms

NEW_YORK = ZoneInfo("America/New_York")


def ms(*arguments: int) -> int:
    return int(datetime(*arguments, tzinfo=UTC).timestamp() * 1000)  # type: ignore[misc,arg-type]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2017-07-01 12:00:00", ms(2017, 7, 1, 16)),
        ("2017-01-01 12:00:00", ms(2017, 1, 1, 17)),
        ("2017-01-01", ms(2017, 1, 1, 5)),
        ("2017-07-01T12:00:00Z", ms(2017, 7, 1, 12)),
        ("2017-07-01T12:00:00+02:00", ms(2017, 7, 1, 10)),
        ("2017-07-01 12:00:00-0500", ms(2017, 7, 1, 17)),
        ("2017-07-01T12:00:00.250Z", ms(2017, 7, 1, 12) + 250),
        (" 2017-07-01T12:00Z ", ms(2017, 7, 1, 12)),
        ("1498910400", ms(2017, 7, 1, 12)),
        ("1498910400.5", ms(2017, 7, 1, 12) + 500),
        ("1498910400000", ms(2017, 7, 1, 12)),
        ("1498910400000000", ms(2017, 7, 1, 12)),
        ("1498910400000000000", ms(2017, 7, 1, 12)),
        ("2017-11-05 01:30:00", ms(2017, 11, 5, 5, 30)),
        ("2017-03-12 02:30:00", ms(2017, 3, 12, 7)),
        ("", NOT_A_TIME),
        (None, NOT_A_TIME),
        ("yesterday", UNREADABLE),
        ("2017-02-30", UNREADABLE),
        ("12.07.2017", UNREADABLE),
    ],
)
def test_a_time_is_read_as_it_is_written(text: str | None, expected: int) -> None:
    assert texts_to_ms(pd.Series([text], dtype="str"), NEW_YORK).tolist() == [expected]


def test_one_column_may_hold_times_of_every_kind() -> None:
    column = pd.Series(["2017-07-01 12:00:00", None, "1498910400", "2017-07-01T12:00:00Z", "never"], dtype="str")
    assert texts_to_ms(column, NEW_YORK).tolist() == [
        ms(2017, 7, 1, 16), NOT_A_TIME, ms(2017, 7, 1, 12), ms(2017, 7, 1, 12), UNREADABLE
    ]  # fmt: skip


def test_epoch_numbers_that_are_none_are_no_times() -> None:
    assert epochs_to_ms(np.array([np.nan, np.inf, 1498910400.0])).tolist() == [NOT_A_TIME, NOT_A_TIME, 1498910400000]


@given(st.datetimes(datetime(2001, 1, 1), datetime(2030, 1, 1)), st.sampled_from(["America/New_York", "Europe/Dublin"]))
def test_a_naive_time_is_the_earliest_moment_at_which_the_clock_shows_it(moment: datetime, zone: str) -> None:
    shop_zone, moment = ZoneInfo(zone), moment.replace(microsecond=0)
    found_ms = int(texts_to_ms(pd.Series([moment.isoformat()], dtype="str"), shop_zone)[0])
    earliest = moment.replace(tzinfo=shop_zone, fold=0)
    shown = datetime.fromtimestamp(found_ms / 1000, shop_zone).replace(tzinfo=None)
    if shown == moment:
        assert found_ms == int(earliest.timestamp() * 1000)
    else:  # inside the hour that spring leaves out
        assert shown > moment
        assert earliest.astimezone(UTC).astimezone(shop_zone).replace(tzinfo=None) != moment
