"""Put the trained pieces together as one model: BundleContents.

Called by   services/training/pipeline.py
Dimensions  V items of the vocabulary, D width of the encoder
"""

import platform
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

from services.training.collaborative.tables import CollaborativeTables
from shared.features.candidates import CandidateTables
from shared.features.catalogue import Catalogue
from shared.features.events import FloatArray, IntArray
from shared.features.registry import schema_hash
from shared.models.bundle import Bundle, BundleContents, BundleFacts
from shared.models.fusion import Fusion
from shared.models.sources.sequence import open_session
from shared.models.tables import ContentVectors

LIBRARIES = ("numpy", "scipy", "scikit-learn", "torch", "onnxruntime")


@dataclass(frozen=True)
class Encoder:
    """The sequence Transformer as it is served."""

    onnx: bytes
    weights: bytes
    item_VD: FloatArray
    max_length: int


def assemble(
    facts: BundleFacts,
    catalogue: Catalogue,
    row_V: IntArray,
    encoder: Encoder,
    tables: CollaborativeTables,
    content: ContentVectors,
    encodings: CandidateTables,
    fusion: Fusion,
) -> BundleContents:
    """Return the model; `content` has a vector for each row of the catalogue, one fusion serves everybody yet."""
    return BundleContents(
        facts=facts,
        item_ids=tuple(catalogue.items[row].item_id for row in row_V.tolist()),
        categories=tables.categories,
        encoder=encoder.onnx,
        weights=encoder.weights,
        max_length=encoder.max_length,
        item_VD=encoder.item_VD,
        item_cf=tables.item_cf,
        co_visitation=tables.co_visitation,
        markov=tables.markov,
        item_knn=tables.item_knn,
        item_knn_both=tables.item_knn_both,
        sequential_ease=tables.sequential_ease,
        svd=tables.svd,
        samples=tables.samples,
        popularity=tables.popularity,
        content_ids=tuple(item.item_id for item in catalogue.items),
        content=content,
        encodings=encodings.to_json(),
        fusion=fusion,
        stranger_fusion=fusion,
    )


def unweighted(names: Sequence[str]) -> Fusion:
    """Return a fusion that says nothing yet."""
    zeros_F = np.zeros(len(names), np.float32)
    return Fusion(tuple(names), zeros_F, np.ones(len(names), np.float32), zeros_F)


def in_memory(contents: BundleContents) -> Bundle:
    """Return the contents as a bundle that was never written, for fitting and evaluation."""
    return Bundle("unpublished", contents, open_session(contents.encoder))


def facts(
    name: str, trained_until_ms: int, configuration: Mapping[str, Any], metrics: Mapping[str, Any]
) -> BundleFacts:
    """Return what the manifest says of this run; nothing in it differs between two equal runs on one machine."""
    return BundleFacts(
        name=name,
        schema_hash=schema_hash(),
        trained_until_ms=trained_until_ms,
        git_commit=git_commit(),
        libraries={"python": platform.python_version(), **{name: _version(name) for name in LIBRARIES}},
        configuration=dict(configuration),
        metrics=dict(metrics),
    )


def git_commit() -> str:
    """Return the commit of the source tree, empty when Aisle runs from an installed package."""
    folder = Path(__file__).parent
    asked = subprocess.run(
        ["git", "-C", str(folder), "rev-parse", "HEAD"], capture_output=True, text=True, check=False, timeout=10
    )
    return asked.stdout.strip() if asked.returncode == 0 else ""


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""
