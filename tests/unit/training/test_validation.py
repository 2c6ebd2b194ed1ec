"""The validation of the encoder alone."""

import numpy as np
import torch

from services.training.sequence.validation import NextBasketValidation, bar_history
from tests.unit.training.small_encoder import small_model, small_task


def test_with_repeats_an_item_of_the_history_may_be_the_answer_and_without_it_is_left_out() -> None:
    history = small_task().sequences.history(0, 6)
    target = history.code_L[-1:]
    model = small_model()
    with torch.no_grad():  # an item that every history asks for
        model.items.own.weight[int(target[0])] = 50 * torch.ones(16)
        model.encoder.output_norm.weight.zero_()
        model.encoder.output_norm.bias.fill_(1.0)
    assert NextBasketValidation([history], [target], 16)(model) == 1
    assert NextBasketValidation([history], [target], 16, repeats=False)(model) == 0


def test_nothing_to_ask_scores_zero() -> None:
    assert NextBasketValidation([], [], 16)(small_model()) == 0


def test_each_history_bars_its_own_items_alone() -> None:
    sequences = small_task().sequences
    histories = [sequences.history(0, 2), sequences.history(2, 3)]
    score_QV = torch.zeros(2, 24)
    bar_history(score_QV, histories)
    barred = [np.flatnonzero(np.isinf(row_V)).tolist() for row_V in score_QV.numpy()]
    assert barred == [sorted(set(history.code_L.tolist())) for history in histories]
    assert barred[0] != barred[1]
