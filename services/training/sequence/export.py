"""The trained encoder as ONNX: history in, the newest event's state out; dynamic batch and length.

Called by   services/training/pipeline.py, benchmarks
Out         bytes, one file, without the item table (it is memory-mapped beside the encoder) and without the traces of
            source paths that the exporter leaves, so that equal weights give equal bytes on any machine
Pitfalls    an example batch of 2: with 1 the exporter fixes the batch size; external_data=False keeps one file
"""

import logging
import warnings

import onnx
import torch
from torch import nn

from services.training.sequence.served_encoder import ServedEncoder
from shared.models.encoder import EncoderConfig, SequenceEncoder

INPUTS = ("vector_BLD", "type_BL", "age_s_BL", "mask_BL")
EXAMPLE_BATCH, EXAMPLE_LENGTH = 2, 5


def export_encoder(encoder: SequenceEncoder) -> bytes:
    """Return the encoder as an ONNX model, rearranged for one answer."""
    return export_module(ServedEncoder(encoder), encoder.config)


def export_module(served: nn.Module, config: EncoderConfig) -> bytes:
    """Return a module that reads INPUTS as an ONNX model; benchmarks export it as trained, too."""
    served = served.cpu().eval()
    shape = (EXAMPLE_BATCH, EXAMPLE_LENGTH)
    example = (
        torch.zeros(*shape, config.dim),
        torch.zeros(shape, dtype=torch.int64),
        torch.arange(EXAMPLE_LENGTH, 0, -1, dtype=torch.float32).repeat(EXAMPLE_BATCH, 1),
        torch.ones(shape, dtype=torch.bool),
    )
    axes = {0: torch.export.Dim("batch", min=1), 1: torch.export.Dim("length", min=1, max=config.max_length)}
    exporter_log = logging.getLogger("torch.onnx")
    level = exporter_log.level
    exporter_log.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the exporter warns about its own deprecated parts
            program = torch.onnx.export(
                served,
                example,
                dynamo=True,
                input_names=INPUTS,
                output_names=("state_BD",),
                dynamic_shapes=(axes, axes, axes, axes),
                external_data=False,
                verbose=False,
            )
    finally:
        exporter_log.setLevel(level)
    if program is None:
        raise RuntimeError("the exporter returned no program")
    return without_traces(program.model_proto)


def without_traces(proto: onnx.ModelProto) -> bytes:
    """Return the model without documentation strings and metadata, which name source files of this machine."""
    for holder in (proto, proto.graph, *proto.graph.node, *proto.graph.value_info, *proto.functions):
        holder.ClearField("metadata_props")
        holder.ClearField("doc_string")
    for function in proto.functions:
        for node in function.node:
            node.ClearField("metadata_props")
            node.ClearField("doc_string")
    serialised: bytes = proto.SerializeToString(deterministic=True)
    return serialised
