"""The encoder's weights as a bundle carries them for GPUs: safetensors, with the encoder's shape in the metadata.

Called by   services/training/pipeline.py (pack), services/ranking/gpu.py (unpack)
Why         the ONNX graph is arranged for one history on a CPU (services/training/sequence/served_encoder.py); a GPU
            runs the encoder as it was trained, for many histories
Errors      ValueError from `unpack` when the bytes are not such weights
"""

import json
from dataclasses import asdict

import safetensors
import safetensors.torch

from shared.models.encoder import EncoderConfig, SequenceEncoder

CONFIG = "encoder"


def pack(encoder: SequenceEncoder) -> bytes:
    """Return the weights; equal weights give equal bytes."""
    weights = {name: weight.detach().cpu().contiguous() for name, weight in sorted(encoder.state_dict().items())}
    packed: bytes = safetensors.torch.save(weights, {CONFIG: json.dumps(asdict(encoder.config), sort_keys=True)})
    return packed


def unpack(packed: bytes) -> SequenceEncoder:
    """Return the encoder, ready to answer."""
    try:
        size = int.from_bytes(packed[:8], "little")
        header = json.loads(packed[8 : 8 + size])
        encoder = SequenceEncoder(EncoderConfig(**json.loads(header["__metadata__"][CONFIG])))
        encoder.load_state_dict(safetensors.torch.load(packed))
    except (ValueError, KeyError, TypeError, RuntimeError, safetensors.SafetensorError) as error:
        raise ValueError(f"not an encoder's weights: {error}") from error
    return encoder.eval()
