"""The encoder: the rule of time, and the short cut that serving takes."""

from dataclasses import replace

import pytest
import torch

from shared.models.blocks import Block, Gate
from shared.models.encoder import EncoderConfig, LastState, SequenceEncoder

CONFIG = EncoderConfig(dim=16, blocks=2, heads=2, max_length=8, dropout=0.0)


@pytest.fixture
def encoder() -> SequenceEncoder:
    """Return an encoder whose biases are not all zero, so that time matters."""
    torch.manual_seed(1)
    encoder = SequenceEncoder(CONFIG).eval()
    for embedding in (encoder.bias.by_time, encoder.bias.by_position):
        torch.nn.init.normal_(embedding.weight)
    return encoder


def history(length: int = 6) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return vectors, types, ages and mask of two histories, the second with two places of padding."""
    torch.manual_seed(2)
    age_s_BL = torch.tensor([[900.0, 800, 700, 700, 50, 10], [0, 0, 700, 600, 300, 10]])
    mask_BL = torch.ones(2, length, dtype=torch.bool)
    mask_BL[1, :2] = False
    return torch.randn(2, length, CONFIG.dim), torch.zeros(2, length, dtype=torch.long), age_s_BL, mask_BL


def test_serving_computes_the_newest_state_only_and_gets_the_same(encoder: SequenceEncoder) -> None:
    vector_BLD, type_BL, age_s_BL, mask_BL = history()
    all_BLD = encoder(vector_BLD, type_BL, age_s_BL, mask_BL, torch.zeros_like(age_s_BL))
    newest_BD = LastState(encoder)(vector_BLD, type_BL, age_s_BL, mask_BL)
    torch.testing.assert_close(newest_BD, all_BLD[:, -1], rtol=1e-5, atol=1e-5)


def test_later_events_and_padding_change_no_earlier_state(encoder: SequenceEncoder) -> None:
    vector_BLD, type_BL, age_s_BL, mask_BL = history()
    now_BL = torch.zeros_like(age_s_BL)
    before_BLD = encoder(vector_BLD, type_BL, age_s_BL, mask_BL, now_BL)
    changed_BLD = vector_BLD.clone()
    changed_BLD[:, 4:] = -changed_BLD[:, 4:]
    changed_BLD[1, :2] = -changed_BLD[1, :2]
    after_BLD = encoder(changed_BLD, type_BL, age_s_BL, mask_BL, now_BL)
    torch.testing.assert_close(after_BLD[0, :4], before_BLD[0, :4])
    torch.testing.assert_close(after_BLD[1, 2:4], before_BLD[1, 2:4])
    assert not torch.allclose(after_BLD[0, 4], before_BLD[0, 4])


def test_events_of_one_basket_see_each_other(encoder: SequenceEncoder) -> None:
    vector_BLD, type_BL, age_s_BL, mask_BL = history()
    now_BL = torch.zeros_like(age_s_BL)
    before_BLD = encoder(vector_BLD, type_BL, age_s_BL, mask_BL, now_BL)
    changed_BLD = vector_BLD.clone()
    changed_BLD[0, 3] = -changed_BLD[0, 3]
    after_BLD = encoder(changed_BLD, type_BL, age_s_BL, mask_BL, now_BL)
    assert not torch.allclose(after_BLD[0, 2], before_BLD[0, 2])


def test_without_times_the_ages_of_ordered_events_change_nothing() -> None:
    torch.manual_seed(1)
    encoder = SequenceEncoder(replace(CONFIG, times=False)).eval()
    vector_BLD, type_BL, _age_s_BL, mask_BL = history()
    ordered_BL = torch.arange(6, 0, -1.0).repeat(2, 1)
    one, two = (LastState(encoder)(vector_BLD, type_BL, age, mask_BL) for age in (ordered_BL, ordered_BL * 1000))
    torch.testing.assert_close(one, two)
    timed = SequenceEncoder(CONFIG).eval()
    one, two = (LastState(timed)(vector_BLD, type_BL, age, mask_BL) for age in (ordered_BL, ordered_BL * 1000))
    assert not torch.allclose(one, two)


def test_gates_let_through_what_the_branch_says_in_the_share_that_they_ask_for() -> None:
    block = Block(8, 2, 0.0, 16, gates=True, feed="swiglu").eval()
    x_BLD, free_BHLL = torch.randn(2, 3, 8), torch.zeros(1, 1, 3, 3)
    for gate, share in ((block.attention_gate, -100.0), (block.feed_gate, -100.0)):
        assert isinstance(gate, Gate)
        torch.nn.init.zeros_(gate.ask.weight)
        torch.nn.init.constant_(gate.ask.bias, share)
    torch.testing.assert_close(block(x_BLD, free_BHLL), x_BLD)


def test_plain_sasrec_is_a_configuration_without_gates_types_and_times_but_with_places() -> None:
    torch.manual_seed(1)
    encoder = SequenceEncoder(EncoderConfig.plain(16, 8, 0.0)).eval()
    vector_BLD, type_BL, age_s_BL, mask_BL = history()
    state_BLD = encoder(vector_BLD, type_BL, age_s_BL, mask_BL, torch.zeros_like(age_s_BL))
    newest_BD = LastState(encoder)(vector_BLD, type_BL + 1, age_s_BL * 3, mask_BL)
    torch.testing.assert_close(newest_BD, state_BLD[:, -1], rtol=1e-5, atol=1e-5)
    moved_BD = LastState(encoder)(vector_BLD[:, [1, 0, 2, 3, 4, 5]], type_BL, age_s_BL, torch.ones_like(mask_BL))
    assert not torch.allclose(moved_BD[0], state_BLD[0, -1])
