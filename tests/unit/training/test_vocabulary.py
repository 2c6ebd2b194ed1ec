"""The item vocabulary and the split by time."""

import numpy as np
import pytest

from services.training.errors import TooLittleDataError
from services.training.examples.split import split_by_time
from services.training.examples.vocabulary import build_vocabulary, extend_vocabulary
from shared.features.catalogue import Catalogue, CatalogueItem
from tests.unit.training.small_logs import DAY_MS, log_of

SHOP = Catalogue([CatalogueItem(name) for name in ("pear", "apple", "fig", "plum")])


def test_vocabulary_is_ordered_by_count_then_by_item_id() -> None:
    log = log_of([(1, 0), (2, 1), (3, 2), (4, 2), (5, 2)])
    vocabulary = build_vocabulary(log, SHOP, 1)
    assert [SHOP.items[row].item_id for row in vocabulary.row_V] == ["fig", "apple", "pear"]
    assert vocabulary.code_of_row_N.tolist() == [2, 1, 0, -1]
    assert vocabulary.count_V.tolist() == [3, 1, 1]


def test_rare_items_are_not_in_it_and_an_empty_one_is_refused() -> None:
    log = log_of([(1, 0), (2, 1), (3, 1)])
    assert build_vocabulary(log, SHOP, 2).row_V.tolist() == [1]
    with pytest.raises(TooLittleDataError, match="no item has 3 events"):
        build_vocabulary(log, SHOP, 3)


def test_extending_keeps_known_codes_and_puts_new_items_behind() -> None:
    known = build_vocabulary(log_of([(1, 0), (2, 0), (3, 1)]), SHOP, 1)
    later = log_of([(1, 0), (2, 0), (3, 1), *((10 + n, 3) for n in range(5))])
    whole = extend_vocabulary(known, later, SHOP, 1)
    assert whole.row_V.tolist() == [0, 1, 3]
    assert whole.count_V.tolist() == [2, 1, 5]


def test_split_puts_the_last_days_aside() -> None:
    log = log_of([(day * DAY_MS, 0) for day in range(20)])
    split = split_by_time(log, 7, 7)
    assert split.end_ms == 19 * DAY_MS + 1
    assert split.test_from_ms == 12 * DAY_MS + 1
    assert np.isclose(split.test_from_ms - split.validation_from_ms, 7 * DAY_MS)
    assert log.before(split.validation_from_ms).events.at_ms_E.max() == 5 * DAY_MS


def test_a_log_shorter_than_the_held_out_periods_is_refused() -> None:
    with pytest.raises(TooLittleDataError, match="older than 14 days"):
        split_by_time(log_of([(0, 0), (DAY_MS, 1)]), 7, 7)
    with pytest.raises(TooLittleDataError, match="empty"):
        split_by_time(log_of([]), 7, 7)
