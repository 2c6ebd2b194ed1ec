"""A model's encoder on the GPU of this machine, if the service is set to use one (AISLE_DEVICE).

Called by   services/ranking/main.py (is there a GPU), services/ranking/serving_model.py (when a model is loaded)
Errors      BundleError("corrupt") when a bundle's weights cannot be read
"""

from typing import TYPE_CHECKING, Literal

import structlog

from shared.models.bundle import Bundle, BundleError

if TYPE_CHECKING:
    from shared.models.sources.gpu_sequence import GpuSequenceSource

log = structlog.get_logger(__name__)

Device = Literal["cpu", "cuda"]


def gpu_source(bundle: Bundle, device: Device) -> "GpuSequenceSource | None":
    """Return the model's encoder as a source on the GPU; None on a CPU, or for a bundle that answers on CPUs only."""
    contents = bundle.contents
    if device == "cpu":
        return None
    if not contents.weights:
        log.warning("encoder_on_cpu", version=bundle.version, reason="the bundle has no weights for a GPU")
        return None
    from shared.models.encoder_weights import unpack
    from shared.models.gpu.sequence_engine import SequenceEngine
    from shared.models.sources.gpu_sequence import GpuSequenceSource

    try:
        encoder = unpack(contents.weights)
    except ValueError as error:
        raise BundleError("corrupt", str(error)) from error
    engine = SequenceEngine(encoder, contents.item_VD, contents.max_length, device)
    return GpuSequenceSource(engine, contents.item_VD)


def check_device(device: Device) -> str | None:
    """Return what is wrong with the setting on this machine, None when it can be used."""
    if device == "cpu":
        return None
    try:
        import torch
    except ImportError:
        return "torch is not installed here: the image ranking-gpu has it"
    return None if torch.cuda.is_available() else f"torch {torch.__version__} finds no GPU here"
