"""The tiny shop's model with an untrained Transformer instead of a mean: as ONNX for a CPU and as weights for a GPU.

Called by   tests/unit/ranking/test_encode_ahead.py, tests/gpu
"""

from dataclasses import replace

import torch

from services.training.sequence.export import export_encoder
from shared.models.bundle import BundleContents
from shared.models.encoder import EncoderConfig, SequenceEncoder
from shared.models.encoder_weights import pack
from tests.tiny_bundle import DIM, tiny_contents


def with_transformer(seed: int = 0) -> BundleContents:
    """Return the model."""
    torch.manual_seed(seed)
    contents = tiny_contents(seed)
    encoder = SequenceEncoder(EncoderConfig(dim=DIM, max_length=contents.max_length)).eval()
    return replace(contents, encoder=export_encoder(encoder), weights=pack(encoder))
