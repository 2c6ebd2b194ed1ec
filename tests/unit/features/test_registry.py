"""The list of all features and the hash a model and its server must share."""

from dataclasses import replace

import pytest

from shared.features import registry
from shared.features.candidates import CANDIDATE_FEATURES
from shared.features.item import ITEM_FEATURES
from shared.features.user import USER_FEATURES


def test_every_feature_is_registered_once_in_its_family() -> None:
    names = [(one.family, one.name) for one in registry.ALL_FEATURES]
    assert len(set(names)) == len(names)
    for family, ordered in (("user", USER_FEATURES), ("item", ITEM_FEATURES), ("candidate", CANDIDATE_FEATURES)):
        assert tuple(name for of, name in names if of == family) == ordered


def test_every_definition_says_what_it_means_and_numbers_have_a_default() -> None:
    for one in registry.ALL_FEATURES:
        assert one.meaning
        assert one.window
        assert (one.default is None) == (one.dtype == "category")


def test_the_hash_is_stable_and_follows_definitions_and_constants(monkeypatch: pytest.MonkeyPatch) -> None:
    before = registry.schema_hash()
    assert before == registry.schema_hash()
    changed = (replace(registry.ALL_FEATURES[0], meaning="something else"), *registry.ALL_FEATURES[1:])
    with monkeypatch.context() as patch:
        patch.setattr(registry, "ALL_FEATURES", changed)
        assert registry.schema_hash() != before
    with monkeypatch.context() as patch:
        patch.setitem(registry.CONSTANTS, "discount", 0.5)
        assert registry.schema_hash() != before
    assert registry.schema_hash() == before
