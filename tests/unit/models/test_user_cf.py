"""User-CF: the nearest sample histories vote with their items."""

import numpy as np
import scipy.sparse as sp

from services.training.collaborative.user_cf import fit_user_cf
from shared.models.sources import user_cf
from shared.models.sources.scores import SparseScores, taste
from shared.models.sources.user_cf import UserCfSource, entries
from shared.models.tensors import History


def history_of(*codes: int) -> History:
    length = len(codes)
    return History(np.array(codes, np.int32), np.full(length, 6, np.int8), np.arange(length, dtype=np.int64), length)


def test_scores_are_those_of_plain_cosines() -> None:
    random = np.random.default_rng(3)
    taste_UV = sp.csr_array(random.random((200, 30)).astype(np.float32) * (random.random((200, 30)) < 0.2))
    history = history_of(4, 9, 9, 17)
    unit_UV = taste_UV.toarray()[np.diff(taste_UV.indptr) > 0]
    unit_UV /= np.linalg.norm(unit_UV, axis=1, keepdims=True)
    liked_V = np.zeros(30)
    liked_V[taste(history).code_C] = taste(history).score_C
    cosine_U = unit_UV @ liked_V / np.linalg.norm(liked_V)
    near_U = np.argsort(-cosine_U)[: user_cf.MAX_NEIGHBOURS]
    scores = UserCfSource(fit_user_cf(taste_UV, 1)).scores(history)
    assert np.allclose(scores.at(np.arange(30, dtype=np.int32)), cosine_U[near_U] @ unit_UV[near_U], atol=1e-5)


def test_a_history_that_nobody_shares_finds_nothing() -> None:
    source = UserCfSource(fit_user_cf(sp.csr_array(np.eye(3, 4, dtype=np.float32)), 1))
    assert not len(source.scores(history_of(3)).top(10, None))
    assert not len(source.scores(history_of()).top(10, None))


def test_entries_of_rows_follow_each_other_and_an_empty_row_has_none() -> None:
    rows = SparseScores(np.array([2, 1, 0], np.int32), np.array([0.5, 3, 2], np.float32))
    entry_E, score_E = entries(np.array([0, 2, 2, 5], np.int64), rows)
    assert entry_E.tolist() == [2, 3, 4, 0, 1]
    assert score_E.tolist() == [0.5, 0.5, 0.5, 2, 2]
