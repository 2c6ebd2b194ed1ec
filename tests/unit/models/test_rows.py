"""Item codes and catalogue rows: what may be retrieved."""

import numpy as np

from shared.features.catalogue import Catalogue
from shared.models.rows import RowMap
from tests.tiny_shop import tiny_items


def test_only_what_the_catalogue_has_and_the_rules_keep_may_be_retrieved() -> None:
    items = tiny_items()
    rows = RowMap(["gone", *(item.item_id for item in items[:3])], Catalogue(items))
    allowed_N = np.arange(len(items)) != 1
    some_V, known_V = rows.allowed(allowed_N), rows.allowed(None)
    assert some_V is not None
    assert some_V.tolist() == [False, True, False, True]
    assert known_V is not None
    assert known_V.tolist() == [False, True, True, True]


def test_a_catalogue_that_has_every_item_needs_no_mask() -> None:
    items = tiny_items()
    assert RowMap([item.item_id for item in items], Catalogue(items)).allowed(None) is None
