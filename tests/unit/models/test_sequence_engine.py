"""The engine of a GPU, run on a CPU: the answers of the encoder, whatever else is in the batch."""

import numpy as np
import pytest
import torch

from shared.models.encoder import EncoderConfig, LastState, SequenceEncoder
from shared.models.encoder_weights import pack, unpack
from shared.models.gpu.sequence_engine import SequenceEngine
from shared.models.sources.gpu_sequence import GpuSequenceSource
from shared.models.sources.scores import EMPTY_SCORES
from shared.models.tensors import History, collate

ITEMS, DIM, LENGTH, DAY_MS = 500, 32, 12, 86_400_000


@pytest.fixture(scope="module")
def encoder() -> SequenceEncoder:
    torch.manual_seed(3)
    return SequenceEncoder(EncoderConfig(dim=DIM, max_length=LENGTH)).eval()


@pytest.fixture(scope="module")
def table_VD() -> np.ndarray:
    return np.random.default_rng(4).standard_normal((ITEMS, DIM), np.float32)


@pytest.fixture(scope="module")
def engine(encoder: SequenceEncoder, table_VD: np.ndarray) -> SequenceEngine:
    return SequenceEngine(encoder, table_VD, LENGTH, "cpu", limit=20, sizes=(1, 4))


def shoppers(count: int) -> list[History]:
    """Histories of one event, of more than the encoder reads, and of what lies between."""
    random = np.random.default_rng(5)
    found = []
    for place in range(count):
        length = 1 + place * 3
        code_L = random.integers(0, ITEMS, length).astype(np.int32)
        at_ms_L = np.arange(length, dtype=np.int64) * DAY_MS
        found.append(History(code_L, np.full(length, 6, np.int8), at_ms_L, length * DAY_MS))
    return found


def test_a_batch_gets_the_states_and_lists_that_each_history_gets_alone(
    engine: SequenceEngine, encoder: SequenceEncoder, table_VD: np.ndarray
) -> None:
    rounded_VD = torch.from_numpy(table_VD).bfloat16().float()
    histories = shoppers(6)  # more than the largest batch
    for history, answer in zip(histories, engine(histories), strict=True):
        batch = collate([history], LENGTH)
        arrays = (batch.type_BL, batch.age_s_BL, batch.mask_BL)
        with torch.no_grad():
            state_D = LastState(encoder)(
                rounded_VD[torch.from_numpy(batch.code_BL)], *(torch.from_numpy(array) for array in arrays)
            )[0]
        np.testing.assert_allclose(answer.state_D, state_D.numpy(), atol=1e-5)
        best = torch.topk(rounded_VD @ state_D.bfloat16().float(), 20)
        np.testing.assert_allclose(answer.score_K, best.values.numpy(), atol=1e-4)
        assert set(answer.code_K.tolist()) == set(best.indices.tolist())


def test_what_an_earlier_batch_left_behind_changes_nothing(engine: SequenceEngine) -> None:
    short, *longer = shoppers(4)
    fresh = engine([short])[0]
    engine(longer)
    again = engine([short])[0]
    np.testing.assert_array_equal(fresh.state_D, again.state_D)
    np.testing.assert_array_equal(engine([longer[-1], short])[1].code_K, fresh.code_K)


def test_a_search_among_allowed_items_finds_only_those(engine: SequenceEngine) -> None:
    allowed_V = np.zeros(ITEMS, np.bool_)
    allowed_V[[3, 77, 410]] = True
    code_K, score_K = engine.search(np.ones(DIM, np.float32), 20, allowed_V)
    assert set(code_K.tolist()) == {3, 77, 410}
    assert (np.diff(score_K) <= 0).all()


def test_the_source_has_no_scores_for_a_history_that_is_empty(engine: SequenceEngine, table_VD: np.ndarray) -> None:
    source, known = GpuSequenceSource(engine, table_VD), shoppers(2)[1]
    nothing, found = source.scores_of([empty(), known])
    assert nothing is EMPTY_SCORES
    np.testing.assert_array_equal(found.top(20, None), engine([known])[0].code_K)
    np.testing.assert_allclose(found.at(np.array([7])), table_VD[[7]] @ engine([known])[0].state_D, rtol=1e-5)


def empty() -> History:
    return History(np.empty(0, np.int32), np.empty(0, np.int8), np.empty(0, np.int64), DAY_MS)


def test_weights_come_back_as_they_were_packed(encoder: SequenceEncoder) -> None:
    packed = pack(encoder)
    unpacked = unpack(packed)
    assert unpacked.config == encoder.config
    assert pack(unpacked) == packed


def test_bytes_that_are_no_weights_are_refused(encoder: SequenceEncoder) -> None:
    for bad in (b"", b"not weights at all", pack(encoder)[:-40]):
        with pytest.raises(ValueError, match="not an encoder's weights"):
            unpack(bad)
