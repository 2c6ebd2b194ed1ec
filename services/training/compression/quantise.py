"""A model in int8: the encoder's matrices as 8-bit integers, the item table in steps of each item's own.

Called by   services/training/compression/compress.py (a bundle), benchmarks/compression (an encoder)
Dynamic     inputs of a matrix product are quantised as they come: nothing is calibrated, nothing trained
Seven bits  of the weights, because processors without VNNI add pairs of products in 16 bits, which eight could overflow
"""

import logging
import tempfile
from dataclasses import replace
from pathlib import Path

import onnx
from onnxruntime.quantization import QuantType, quant_pre_process, quantize_dynamic

from shared.models.bundle import BundleContents
from shared.models.quantised_table import packed_rows, unpacked_rows


def int8_encoder(encoder: bytes) -> bytes:
    """Return the encoder with its matrix products in int8."""
    logger = logging.getLogger()
    level = logger.level
    logger.setLevel(logging.ERROR)  # it advises to pre-process what was pre-processed
    try:
        with tempfile.TemporaryDirectory(prefix="aisle-int8-") as folder:
            plain, prepared, small = (Path(folder) / f"{name}.onnx" for name in ("plain", "prepared", "small"))
            plain.write_bytes(encoder)
            # Its shape inference fails on dimensions that may vary; folding constants is what is wanted of it.
            quant_pre_process(plain, prepared, skip_symbolic_shape=True)
            quantize_dynamic(prepared, small, weight_type=QuantType.QInt8, per_channel=True, reduce_range=True)
            stored: bytes = onnx.load(small).SerializeToString(deterministic=True)
    finally:
        logger.setLevel(level)
    return stored


def int8_variant(contents: BundleContents) -> BundleContents:
    """Return a model with encoder and item table in int8; without an index, which belonged to the table it had."""
    item_VD = unpacked_rows(packed_rows(contents.item_VD))
    facts = replace(contents.facts, configuration={**contents.facts.configuration, "compression": "int8"})
    return replace(
        contents, facts=facts, encoder=int8_encoder(contents.encoder), item_VD=item_VD, int8_items=True, index=None
    )
