"""The encoder: the rule of time, and the short cut that serving takes."""

import pytest
import torch

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
