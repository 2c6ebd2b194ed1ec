"""The rearranged encoder answers as the trained one, in every configuration, in torch and as ONNX."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from services.training.sequence.export import INPUTS, export_encoder
from services.training.sequence.served_encoder import ServedEncoder
from shared.models.encoder import EncoderConfig, LastState, SequenceEncoder
from shared.models.sources.sequence import open_session

FULL = EncoderConfig(dim=16, blocks=2, heads=2, max_length=12, dropout=0.0)
CONFIGS = {
    "as by default": FULL,
    "one block": replace(FULL, blocks=1),
    "three blocks, four heads": replace(FULL, blocks=3, heads=4),
    "no times": replace(FULL, times=False),
    "no gates, no types": replace(FULL, gates=False, event_types=False),
    "plain SASRec": EncoderConfig.plain(16, 12, 0.0),
}


def encoder_of(config: EncoderConfig) -> SequenceEncoder:
    """Return an encoder none of whose weights is zero or one, so that each of them has a say."""
    torch.manual_seed(3)
    encoder = SequenceEncoder(config).eval()
    for parameter in encoder.parameters():
        nn.init.normal_(parameter, std=0.5)
    return encoder


def histories(length: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return three histories with baskets of one time, the second padded, the third with one event alone."""
    torch.manual_seed(length)
    age_s_BL = torch.sort(torch.rand(3, length) * 1e6, dim=1, descending=True).values.floor() + 1
    age_s_BL[:, length // 2 - 1] = age_s_BL[:, length // 2]
    mask_BL = torch.ones(3, length, dtype=torch.bool)
    mask_BL[1, : length // 3] = mask_BL[2, :-1] = False
    age_s_BL[~mask_BL] = 0
    return torch.randn(3, length, FULL.dim), torch.randint(0, 5, (3, length)), age_s_BL, mask_BL


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS.keys())
def test_rearranged_encoder_answers_as_the_trained_one(config: EncoderConfig) -> None:
    encoder = encoder_of(config)
    for length in (1, 2, 7, 12):
        inputs = histories(length)
        with torch.inference_mode():
            expected_BD, found_BD = LastState(encoder)(*inputs), ServedEncoder(encoder).eval()(*inputs)
        torch.testing.assert_close(found_BD, expected_BD, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["as by default", "plain SASRec"])
def test_its_export_takes_batches_and_histories_of_any_size(name: str) -> None:
    encoder = encoder_of(CONFIGS[name])
    session = open_session(export_encoder(encoder))
    for length in (1, 5, 12):
        for rows in (1, 3):
            inputs = [part[:rows] for part in histories(length)]
            known = {entry.name for entry in session.get_inputs()}
            feeds = {name: part.numpy() for name, part in zip(INPUTS, inputs, strict=True) if name in known}
            with torch.inference_mode():
                expected_BD = LastState(encoder)(*inputs).numpy()
            np.testing.assert_allclose(session.run(None, feeds)[0], expected_BD, rtol=1e-4, atol=1e-4)
