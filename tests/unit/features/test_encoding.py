"""What the artifact stores to encode values: vocabularies with an unknown bucket, and statistics of numbers."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.features.standardise import Standardiser
from shared.features.vocabulary import Vocabulary


def test_frequent_values_get_small_codes_and_ties_go_by_name() -> None:
    vocabulary = Vocabulary.fit(["b", "c", "a", "c", None, ""])
    assert vocabulary.names == ("c", "a", "b")
    assert vocabulary.codes(["c", "b", "z", None]).tolist() == [1, 3, 0, 0]


def test_rare_values_and_those_beyond_the_size_fall_into_the_unknown_bucket() -> None:
    assert Vocabulary.fit(["a", "a", "b"], min_count=2).names == ("a",)
    assert Vocabulary.fit(["a", "a", "b"], max_names=1).names == ("a",)


def test_one_hot_has_a_column_for_the_unknown_bucket() -> None:
    vocabulary = Vocabulary(["a", "b"])
    assert vocabulary.one_hot(vocabulary.codes(["b", "z"])).tolist() == [[0, 0, 1], [1, 0, 0]]


@given(st.lists(st.text(), max_size=8))
def test_a_vocabulary_survives_json(values: list[str]) -> None:
    vocabulary = Vocabulary.fit(values)
    assert Vocabulary.from_json(vocabulary.to_json()) == vocabulary


@pytest.mark.parametrize("text", ['{"a": 1}', "[1]", '["a", "a"]'])
def test_a_text_that_is_no_vocabulary_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="a vocabulary"):
        Vocabulary.from_json(text)


def test_standardised_columns_have_mean_0_and_deviation_1_and_a_constant_becomes_0() -> None:
    matrix = np.array([[1, 5], [2, 5], [3, 5]], np.float32)
    standardised = Standardiser.fit(matrix).apply(matrix)
    assert standardised[:, 0].mean() == pytest.approx(0.0)
    assert standardised[:, 0].std() == pytest.approx(1.0)
    assert standardised[:, 1].tolist() == [0.0, 0.0, 0.0]


def test_statistics_survive_storage_and_bad_rows_are_refused() -> None:
    fitted = Standardiser.fit(np.array([[1.0], [4.0]], np.float32))
    back = Standardiser.from_arrays(fitted.to_arrays())
    assert back.apply(np.array([[4.0]], np.float32))[0, 0] == 1.0
    for bad in (np.empty((0, 1), np.float32), np.array([[np.nan]], np.float32)):
        with pytest.raises(ValueError, match="standardising needs"):
            Standardiser.fit(bad)
