"""The bundle: what is written is what is read, and everything else is refused with its reason."""

import json
import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy

from shared.features.registry import schema_hash
from shared.models.bundle import (
    ENCODER,
    FORMAT,
    GOLDEN,
    ITEM_TABLE,
    MANIFEST,
    TABLE_TYPES,
    TABLES,
    BundleError,
    load_bundle,
    write_bundle,
)
from tests.damaged_bundles import Canary, reorder_the_vocabulary, sign_again, write_one_row_short
from tests.tiny_bundle import fusion, tiny_contents


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a bundle folder that loads."""
    write_bundle(tiny_contents(), tmp_path / "bundle")
    return tmp_path / "bundle"


def refusal(folder: Path, version: str | None = None, schema: str | None = None) -> str:
    with pytest.raises(BundleError) as refused:
        load_bundle(folder, schema or schema_hash(), version)
    return refused.value.reason


def test_both_fusions_and_every_table_survive_the_folder(tmp_path: Path) -> None:
    contents = replace(tiny_contents(), stranger_fusion=fusion({"log_popularity": 2.0}))
    version = write_bundle(contents, tmp_path / "bundle")
    loaded = load_bundle(tmp_path / "bundle", schema_hash(), version).contents
    assert loaded.item_ids == contents.item_ids
    assert np.array_equal(loaded.item_VD, contents.item_VD)
    for prefix in TABLE_TYPES:
        stored = getattr(contents, prefix).to_arrays(prefix)
        read = getattr(loaded, prefix).to_arrays(prefix)
        assert stored.keys() == read.keys()
        assert all(np.array_equal(stored[name], read[name]) for name in stored)
    assert np.array_equal(loaded.fusion.weight_F, contents.fusion.weight_F)
    assert np.array_equal(loaded.stranger_fusion.weight_F, contents.stranger_fusion.weight_F)


def test_equal_contents_give_equal_versions_and_others_another(tmp_path: Path) -> None:
    one, two = (write_bundle(tiny_contents(), tmp_path / name) for name in ("one", "two"))
    assert one == two != write_bundle(tiny_contents(seed=1), tmp_path / "three")


@pytest.mark.parametrize("name", [ENCODER, ITEM_TABLE, TABLES, GOLDEN])
def test_one_flipped_byte_anywhere_is_corrupt(folder: Path, name: str) -> None:
    content = bytearray((folder / name).read_bytes())
    content[len(content) // 2] ^= 1
    (folder / name).write_bytes(bytes(content))
    assert refusal(folder) == "corrupt"


def test_a_missing_file_a_foreign_version_and_other_features_are_named(folder: Path) -> None:
    assert refusal(folder, version="0123456789abcdef") == "manifest"
    assert refusal(folder, schema="other definitions") == "schema"
    (folder / TABLES).unlink()
    assert refusal(folder) == "missing"
    (folder / MANIFEST).unlink()
    assert refusal(folder) == "missing"


def test_a_bundle_of_an_older_format_is_refused_and_both_formats_are_named(folder: Path) -> None:
    manifest = json.loads((folder / MANIFEST).read_bytes())
    (folder / MANIFEST).write_text(json.dumps({**manifest, "format": FORMAT - 1}))
    with pytest.raises(BundleError, match=f"of format {FORMAT - 1}, not {FORMAT}"):
        load_bundle(folder, schema_hash())
    (folder / MANIFEST).write_text("[]")
    assert refusal(folder) == "manifest"


def test_a_pickle_is_refused_and_never_opened(folder: Path, tmp_path: Path) -> None:
    nest = tmp_path / "canary"
    (folder / "weights.pkl").write_bytes(pickle.dumps(Canary(nest)))
    assert refusal(folder) == "foreign_file"
    (folder / "weights.pkl").rename(folder / ITEM_TABLE)
    assert refusal(folder) == "corrupt"
    assert not nest.exists()


def test_numbers_that_are_none_are_refused_although_their_hash_is_right(folder: Path) -> None:
    arrays = safetensors.numpy.load_file(folder / TABLES)
    arrays["svd.factor_VF"][-1, 0] = np.nan
    safetensors.numpy.save_file(arrays, folder / TABLES)
    sign_again(folder, TABLES)
    assert refusal(folder) == "values"


def test_a_table_of_another_number_of_items_is_refused_and_named(tmp_path: Path) -> None:
    write_one_row_short(tmp_path / "bundle")
    with pytest.raises(BundleError, match="markov has 59 rows for 60 items"):
        load_bundle(tmp_path / "bundle", schema_hash())


def test_another_order_of_the_vocabulary_is_refused_although_its_hash_is_right(folder: Path) -> None:
    reorder_the_vocabulary(folder)
    assert refusal(folder) == "vocabulary"


def test_a_model_that_answers_otherwise_than_when_it_was_made_is_refused(folder: Path) -> None:
    answers = json.loads((folder / GOLDEN).read_bytes())
    answers[0]["scores"][0] += 0.1
    (folder / GOLDEN).write_text(json.dumps(answers))
    sign_again(folder, GOLDEN)
    assert refusal(folder) == "golden"
