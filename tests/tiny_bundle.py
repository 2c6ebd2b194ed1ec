"""A real bundle of the tiny shop, made in well under a second: the real writer, hand-made numbers.

Called by   tests that need a model: unit and integration tests of ranking, end-to-end tests
Encoder     an ONNX graph of a few nodes: the mean of the history's item vectors, newer events heavier
Fusion      weights set by hand, so that a test knows which feature must win
Seeds       another seed gives another log, so another version with other scores
"""

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from shared.features.affinity import FieldColumn, fit_affinity
from shared.features.candidates import CANDIDATE_FEATURES, CandidateTables
from shared.features.catalogue import CatalogueItem
from shared.features.events import FloatArray, IntArray
from shared.features.item import LogColumns, measure_activity
from shared.features.registry import schema_hash
from shared.features.vocabulary import Vocabulary
from shared.models.bundle import BundleContents, BundleFacts, write_bundle
from shared.models.bundle_store import put_bundle
from shared.models.columns import source_names
from shared.models.fusion import Fusion
from shared.models.sources.history import HISTORY_SOURCES
from shared.models.tables import ContentVectors, ItemNeighbours, Popularity, SampleHistories, SvdFactors, Transitions
from tests.tiny_shop import DEPARTMENTS, SHOPPERS, UNTIL_MS, TinyLog, tiny_items, tiny_log

DIM = 16
WEIGHTS: dict[str, float] = {
    "sequence_log": 0.3,
    "item_cf": 1.0,
    "co_visitation": 0.5,
    "user_cf": 0.5,
    "svd": 0.5,
    "repeat": 1.0,
    "content": 0.5,
    "category_preference": 1.0,
    "brand_preference": 0.2,
    "over_budget": -3.0,
    "under_budget": -3.0,
    "repeat_recency": 0.3,
    "hour_affinity": 1.0,
    "age_band_affinity": 1.0,
    "same_category_as_context": 2.0,
    "log_popularity": 0.3,
    "newness": 0.5,
}
# About the mean of each column over the candidates, against which a part of the score is measured.
MEANS = {"sequence_log": -3.0, "log_popularity": 3.5, "item_cf": 0.3, "user_cf": 0.2, "svd": 0.2, "content": 0.3}


def publish_tiny(store: Path, seed: int = 0, until_ms: int = UNTIL_MS, name: str = "tiny") -> str:
    """Write a bundle into a store folder and return its version."""
    with tempfile.TemporaryDirectory() as folder:
        version = write_bundle(tiny_contents(seed, until_ms, name), Path(folder) / "bundle")
        put_bundle(Path(folder) / "bundle", str(store), version)
    return version


def tiny_contents(
    seed: int = 0, until_ms: int = UNTIL_MS, name: str = "tiny", weights: Mapping[str, float] = WEIGHTS
) -> BundleContents:
    """Return the model of the tiny shop."""
    items, log = tiny_items(), tiny_log(until_ms, seed)
    count_UV = np.zeros((SHOPPERS, len(items)), np.float32)
    np.add.at(count_UV, (log.user_E, log.item_E), 1)
    factor_VF = np.linalg.svd(np.log1p(count_UV), full_matrices=False)[2][:DIM].T.astype(np.float32)
    ids = tuple(item.item_id for item in items)
    return BundleContents(
        facts=BundleFacts(name, schema_hash(), until_ms, "", {}, {"seed": seed}, {}),
        item_ids=ids,
        categories=DEPARTMENTS,
        encoder=mean_encoder(DIM),
        max_length=32,
        item_VD=np.ascontiguousarray(5 * factor_VF),
        item_cf=neighbours(cosine(count_UV)),
        co_visitation=neighbours(baskets(log, len(items))),
        markov=transitions(followers(log, len(items), 1), 1),
        item_knn=transitions(followers(log, len(items), 10), 10),
        item_knn_both=transitions(both_ways(followers(log, len(items), 10)), 50),
        sequential_ease=transitions(followers(log, len(items), 5) - 1, 15),
        svd=SvdFactors(factor_VF),
        samples=samples(count_UV),
        popularity=popularity(count_UV, items),
        content_ids=ids,
        content=ContentVectors(text_vectors(items)),
        encodings=encodings(items, log, until_ms).to_json(),
        fusion=fusion(weights),
        stranger_fusion=fusion(weights),
    )


def fusion(weights: Mapping[str, float]) -> Fusion:
    """Return the fusion with given weights, 0 for the rest."""
    departments = tuple(f"department={name}" for name in ("other", *DEPARTMENTS))
    names = (*source_names(HISTORY_SOURCES), "content", *CANDIDATE_FEATURES, *departments)
    weight_F = np.array([weights.get(name, 0.0) for name in names], np.float32)
    mean_F = np.array([MEANS.get(name, 0.0) for name in names], np.float32)
    return Fusion(names, mean_F, np.ones(len(names), np.float32), weight_F)


def encodings(items: Sequence[CatalogueItem], log: TinyLog, until_ms: int) -> CandidateTables:
    """Return affinities of hour and age band, and the activity of each item."""
    hours = [str(int(at_ms // 3_600_000 % 24)) for at_ms in log.at_ms_E]
    bands = [log.age_band_U[user] for user in log.user_E]
    categories = FieldColumn.of([items[item].categories[0] for item in log.item_E])
    affinity = fit_affinity({"hour": FieldColumn.of(hours), "age_band": FieldColumn.of(bands)}, categories)
    ones_E = np.ones(len(log.item_E), np.float32)
    columns = LogColumns(log.item_E, log.type_E, log.at_ms_E, ones_E, np.full(len(log.item_E), np.nan, np.float32))
    activity = measure_activity(columns, [item.item_id for item in items], until_ms)
    return CandidateTables(affinity, activity, Vocabulary(DEPARTMENTS))


def cosine(count_UV: FloatArray) -> FloatArray:
    """Return the cosine of every two items over the shoppers."""
    unit_UV = count_UV / np.maximum(np.linalg.norm(count_UV, axis=0), 1e-9)
    return unit_UV.T @ unit_UV


def baskets(log: TinyLog, num_items: int) -> FloatArray:
    """Return how often every two items are in one basket."""
    _, basket_E = np.unique(np.stack([log.user_E.astype(np.int64), log.at_ms_E]), axis=1, return_inverse=True)
    holds_BV = np.zeros((basket_E.max() + 1, num_items), np.float32)
    holds_BV[basket_E, log.item_E] = 1
    return holds_BV.T @ holds_BV


def neighbours(weight_VV: FloatArray, limit: int = 15) -> ItemNeighbours:
    """Return the heaviest neighbours of each item."""
    weight_VV = weight_VV.copy()
    np.fill_diagonal(weight_VV, 0)
    near_VK = np.argsort(-weight_VV, axis=1, kind="stable")[:, :limit].astype(np.int32)
    weight_VK = np.take_along_axis(weight_VV, near_VK, axis=1)
    return ItemNeighbours(np.where(weight_VK > 0, near_VK, -1).astype(np.int32), weight_VK)


def followers(log: TinyLog, num_items: int, window: int) -> FloatArray:
    """Return how often each item came at one of the next distinct times after each other item."""
    follow_VV = np.zeros((num_items, num_items), np.float32)
    for user in range(SHOPPERS):
        own_E = log.user_E == user
        _, step_E = np.unique(log.at_ms_E[own_E], return_inverse=True)
        gap_EE = step_E[None, :] - step_E[:, None]
        first_P, then_P = np.nonzero((gap_EE > 0) & (gap_EE <= window))
        item_E = log.item_E[own_E]
        np.add.at(follow_VV, (item_E[first_P], item_E[then_P]), 1)
    return follow_VV


def both_ways(follow_VV: FloatArray) -> FloatArray:
    """Return how often two items came near each other."""
    return follow_VV + follow_VV.T


def transitions(weight_VV: FloatArray, steps: int) -> Transitions:
    """Return the heaviest followers of each item, which the items of the last steps vote for, each 0.8 of the next."""
    near = neighbours(weight_VV)
    return Transitions(near.neighbour_VK, near.weight_VK, (0.8 ** np.arange(steps)).astype(np.float32))


def samples(count_UV: FloatArray) -> SampleHistories:
    """Return every shopper's history without a name."""
    unit_UV = count_UV / np.maximum(np.linalg.norm(count_UV, axis=1, keepdims=True), 1e-9)
    (history_E, item_E), (item_P, history_P) = np.nonzero(unit_UV), np.nonzero(unit_UV.T)
    return SampleHistories(
        starts(history_E, len(unit_UV)),
        item_E.astype(np.int32),
        unit_UV[history_E, item_E],
        starts(item_P, unit_UV.shape[1]),
        history_P.astype(np.int32),
        unit_UV.T[item_P, history_P],
    )


def starts(row_E: np.ndarray[tuple[int], np.dtype[np.int64]], rows: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Return where each of the rows begins in an ascending column of row numbers."""
    return np.searchsorted(row_E, np.arange(rows + 1)).astype(np.int64)


def popularity(count_UV: FloatArray, items: Sequence[CatalogueItem]) -> Popularity:
    """Return sales, best sellers of all and of each department, and the share of buyers who bought again."""
    weight_V, buyers_V = count_UV.sum(axis=0), (count_UV > 0).sum(axis=0)
    order_V = np.argsort(-weight_V, kind="stable").astype(np.int32)
    department_V = np.array([DEPARTMENTS.index(item.categories[0]) for item in items])
    top_TM = np.full((len(DEPARTMENTS) + 1, len(items)), -1, np.int32)
    top_TM[0] = order_V
    for place in range(len(DEPARTMENTS)):
        best: IntArray = order_V[department_V[order_V] == place]
        top_TM[place + 1, : len(best)] = best
    repeat_rate_V = (count_UV > 1).sum(axis=0) / np.maximum(buyers_V, 1)
    return Popularity(weight_V.astype(np.float32), top_TM, repeat_rate_V.astype(np.float32))


def text_vectors(items: Sequence[CatalogueItem]) -> FloatArray:
    """Return a vector for each item: its department, and weaker its kind."""
    vector_MD = np.zeros((len(items), len(DEPARTMENTS) + 2), np.float32)
    for place, item in enumerate(items):
        vector_MD[place, DEPARTMENTS.index(item.categories[0])] = 1
        vector_MD[place, len(DEPARTMENTS) + ("fine" in item.categories[1])] = 0.5
    unit_MD: FloatArray = vector_MD / np.linalg.norm(vector_MD, axis=1, keepdims=True)
    return unit_MD


def mean_encoder(dim: int, half_life_s: float = 7 * 86_400.0) -> bytes:
    """Return an ONNX encoder: the mean of the history's vectors, each by a weight that falls with age."""
    constants = {"rate": np.float32(-np.log(2) / half_life_s), "least": np.float32(1e-6), "axis": np.array([1])}
    nodes = [
        helper.make_node("Cast", ["mask_BL"], ["known_BL"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["age_s_BL", "rate"], ["log_weight_BL"]),
        helper.make_node("Exp", ["log_weight_BL"], ["decay_BL"]),
        helper.make_node("Mul", ["decay_BL", "known_BL"], ["weight_BL"]),
        helper.make_node("Unsqueeze", ["weight_BL", "last"], ["weight_BL1"]),
        helper.make_node("Mul", ["vector_BLD", "weight_BL1"], ["weighted_BLD"]),
        helper.make_node("ReduceSum", ["weighted_BLD", "axis"], ["sum_BD"], keepdims=0),
        helper.make_node("ReduceSum", ["weight_BL", "axis"], ["total_B1"], keepdims=1),
        helper.make_node("Max", ["total_B1", "least"], ["positive_B1"]),
        helper.make_node("Div", ["sum_BD", "positive_B1"], ["state_BD"]),
    ]
    constants["last"] = np.array([2])
    inputs = [
        helper.make_tensor_value_info("vector_BLD", TensorProto.FLOAT, ["B", "L", dim]),
        helper.make_tensor_value_info("type_BL", TensorProto.INT64, ["B", "L"]),
        helper.make_tensor_value_info("age_s_BL", TensorProto.FLOAT, ["B", "L"]),
        helper.make_tensor_value_info("mask_BL", TensorProto.BOOL, ["B", "L"]),
    ]
    outputs = [helper.make_tensor_value_info("state_BD", TensorProto.FLOAT, ["B", dim])]
    stored = [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "mean", inputs, outputs, stored)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return bytes(model.SerializeToString())
