"""A model of a large catalogue gets an index of its own item table; a small one gets none."""

from datetime import UTC

import numpy as np

from services.training.examples.queries import QueryMaker, find_questions
from services.training.examples.shop import open_shop
from services.training.large_catalogue import with_index
from tests.tiny_bundle import tiny_contents
from tests.unit.training.test_pipeline import TinySource


def test_only_a_catalogue_that_is_large_enough_gets_an_index_and_it_is_of_its_own_table() -> None:
    shop, contents = open_shop(TinySource().read()), tiny_contents()
    maker = QueryMaker(shop.log, shop.catalogue, shop.profiles, UTC)
    questions = find_questions(shop.log, 0, shop.log.last_ms, 40, seed=1)
    assert with_index(contents, maker, questions, threads=1).index is None
    index = with_index(contents, maker, questions, threads=1, index_from=len(contents.item_ids)).index
    assert index is not None
    np.testing.assert_array_equal(index.item_VD, contents.item_VD)
    codes, _ = index.search(contents.item_VD[3], 5)
    assert codes.tolist() == np.argsort(-(contents.item_VD @ contents.item_VD[3]), kind="stable")[:5].tolist()


def test_without_anybody_to_ask_for_there_is_no_index() -> None:
    shop, contents = open_shop(TinySource().read()), tiny_contents()
    maker = QueryMaker(shop.log, shop.catalogue, shop.profiles, UTC)
    assert with_index(contents, maker, [], threads=1, index_from=1).index is None
