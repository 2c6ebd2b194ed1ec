"""States of histories are shared by answers that are near in time, and never by other histories."""

import math

import numpy as np
import pytest

from shared.features.events import FloatArray
from shared.models.sources.encoded_histories import GRID, EncodedHistories, on_grid_ms
from shared.models.tensors import History

HOUR_MS = 3_600_000
NEWEST_MS = 1_000 * HOUR_MS


def history(as_of_ms: int, codes: tuple[int, ...] = (3, 1, 2), types: tuple[int, ...] = (1, 1, 6)) -> History:
    at_ms_L = NEWEST_MS - HOUR_MS * np.arange(len(codes) - 1, -1, -1)
    return History(np.array(codes, np.int32), np.array(types, np.int8), at_ms_L, as_of_ms)


@pytest.fixture
def asked() -> list[History]:
    """Return what the encoder was asked."""
    return []


@pytest.fixture
def encoded(asked: list[History]) -> EncodedHistories:
    """Return histories over an encoder whose state is the time since the newest event, and the sum of the codes."""

    def encode(histories: list[History]) -> FloatArray:
        asked.extend(histories)
        return np.array([[h.as_of_ms - h.at_ms_L[-1], h.code_L.sum()] for h in histories], np.float32)

    return EncodedHistories(encode)


def test_a_history_that_did_not_change_is_encoded_once(encoded: EncodedHistories, asked: list[History]) -> None:
    first = encoded.state(history(NEWEST_MS + 24 * HOUR_MS))
    again = encoded.state(history(NEWEST_MS + 24 * HOUR_MS + 60_000))
    assert len(asked) == 1
    assert (first == again).all()
    assert first[1] == 6


@pytest.mark.parametrize(
    "other",
    [
        history(NEWEST_MS + 24 * HOUR_MS, codes=(3, 2, 1)),
        history(NEWEST_MS + 24 * HOUR_MS, types=(1, 6, 6)),
        history(NEWEST_MS + 24 * HOUR_MS, codes=(1, 2), types=(1, 6)),
        history(NEWEST_MS + 30 * HOUR_MS),
    ],
)
def test_what_differs_is_encoded_anew(encoded: EncodedHistories, asked: list[History], other: History) -> None:
    encoded.state(history(NEWEST_MS + 24 * HOUR_MS))
    encoded.state(other)
    assert len(asked) == 2


@pytest.mark.parametrize("gap_ms", [1, 999, 30_000, HOUR_MS, 400 * 24 * HOUR_MS])
def test_time_is_cut_to_the_grid_below_it_whatever_was_asked_before(encoded: EncodedHistories, gap_ms: int) -> None:
    cut_ms = on_grid_ms(gap_ms)
    assert cut_ms <= gap_ms
    assert math.log1p(gap_ms / 1000) - math.log1p(cut_ms / 1000) < GRID + 1e-3
    assert encoded.state(history(NEWEST_MS + gap_ms))[0] == pytest.approx(cut_ms)
