"""Content vectors by the encoder that the configuration names.

Called by   services/training/pipeline.py
"""

from collections.abc import Sequence

from services.training.content.sentence import fit_sentences
from services.training.content.tfidf import fit_tfidf
from services.training.progress import Report
from services.training.run_request import TextEncoder
from shared.features.catalogue import CatalogueItem
from shared.models.tables import ContentVectors


def fit_content(
    items: Sequence[CatalogueItem], encoder: TextEncoder, dim: int, seed: int, report: Report
) -> ContentVectors:
    """Return one vector for each item, in the order of the items."""
    if encoder == "sentence":
        return fit_sentences(items, dim, seed, report)
    return fit_tfidf(items, dim, seed)
