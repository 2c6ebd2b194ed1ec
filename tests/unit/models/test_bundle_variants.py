"""Bundles with an int8 item table or a retrieval index: what they answer, and whose index they refuse."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from shared.features.registry import schema_hash
from shared.models.bundle import INDEX, ITEM_TABLE, BundleContents, BundleError, load_bundle, write_bundle
from shared.models.columns import fill_source_columns
from shared.models.golden import golden_histories
from shared.models.quantised_table import Int8Table, packed_rows, unpacked_rows
from shared.models.retrieval_index import build_index
from shared.models.sources.scores import DenseScores
from shared.models.sources.sequence import SequenceSource, open_session
from tests.tiny_bundle import tiny_contents


@pytest.fixture
def indexed() -> BundleContents:
    """The tiny model with an index, as a large catalogue has one."""
    contents = tiny_contents()
    return replace(contents, index=build_index(contents.item_VD, contents.item_VD[:40] * 3))


def test_a_bundle_with_an_index_loads_and_its_sequence_source_agrees_with_scoring_every_item(
    indexed: BundleContents, tmp_path: Path
) -> None:
    write_bundle(indexed, tmp_path / "bundle")
    loaded = load_bundle(tmp_path / "bundle", schema_hash()).contents
    session = open_session(loaded.encoder)
    exact = SequenceSource(session, loaded.item_VD, loaded.max_length)
    by_index = SequenceSource(session, loaded.item_VD, loaded.max_length, loaded.index)
    allowed_V = np.arange(len(loaded.item_ids)) % 3 > 0
    for history in golden_histories(len(loaded.item_ids)):
        for allowed in (None, allowed_V):
            tops = [source.scores(history).top(10, allowed).tolist() for source in (exact, by_index)]
            assert tops[0] == tops[1]
        columns = np.empty((2, len(loaded.item_ids) + 1, 2), np.float32)
        codes = np.arange(-1, len(loaded.item_ids), dtype=np.int32)
        for place, source in enumerate((exact, by_index)):
            fill_source_columns({"sequence": source.scores(history)}, codes, columns[place])
        np.testing.assert_allclose(columns[0], columns[1], rtol=1e-4, atol=1e-5)


def test_an_index_of_another_item_table_is_refused_by_name(indexed: BundleContents, tmp_path: Path) -> None:
    other = replace(indexed, index=build_index(tiny_contents(seed=1).item_VD, indexed.item_VD[:40]))
    write_bundle(other, tmp_path / "bundle")
    with pytest.raises(BundleError, match=f"{INDEX}: the retrieval index was built for another item table") as refused:
        load_bundle(tmp_path / "bundle", schema_hash())
    assert refused.value.reason == "index"


def test_an_int8_item_table_is_a_third_of_the_file_and_scores_as_the_model_it_is_of(tmp_path: Path) -> None:
    contents = tiny_contents()
    kept = replace(contents, int8_items=True, item_VD=unpacked_rows(packed_rows(contents.item_VD)))
    write_bundle(contents, tmp_path / "float")
    write_bundle(kept, tmp_path / "int8")
    loaded = load_bundle(tmp_path / "int8", schema_hash()).contents
    assert loaded.int8_items
    np.testing.assert_allclose(loaded.item_VD, kept.item_VD, rtol=1e-6)
    sizes = [(tmp_path / name / ITEM_TABLE).stat().st_size - 128 for name in ("int8", "float")]
    assert sizes[0] < 0.4 * sizes[1]


def test_int8_rows_lose_at_most_half_a_step_and_packing_again_changes_no_code() -> None:
    item_VD = np.random.default_rng(3).normal(size=(500, 24)).astype(np.float32) * np.arange(1, 501)[:, None]
    packed_V = packed_rows(item_VD.astype(np.float32))
    again_VD = unpacked_rows(packed_V)
    half_step_V1 = np.abs(item_VD).max(axis=1, keepdims=True) / 127 / 2
    assert (np.abs(again_VD - item_VD) <= half_step_V1 * 1.001).all()
    np.testing.assert_array_equal(packed_rows(again_VD)[:, :24], packed_V[:, :24])


def test_an_item_of_zeros_stays_one() -> None:
    np.testing.assert_array_equal(unpacked_rows(packed_rows(np.zeros((2, 8), np.float32))), np.zeros((2, 8)))


def test_an_int8_table_reads_like_the_float_one_it_stands_for() -> None:
    item_VD = np.random.default_rng(4).normal(size=(50, 8)).astype(np.float32)
    table = Int8Table(packed_rows(item_VD))
    state_D = np.ones(8, np.float32)
    scores = DenseScores(np.asarray(table[:]) @ state_D)
    codes = np.array([7, 3], np.int32)
    np.testing.assert_allclose(table[codes] @ state_D, scores.at(codes), rtol=1e-6)
    assert len(table) == 50
