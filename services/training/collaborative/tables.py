"""All collaborative tables of one log, in the order in which they are made.

Called by   services/training/pipeline.py: on the training period, and again on all events
"""

from dataclasses import dataclass

import numpy as np

from services.training.collaborative.co_visitation import fit_co_visitation
from services.training.collaborative.interactions import taste_matrix
from services.training.collaborative.item_cf import fit_item_cf
from services.training.collaborative.popularity import fit_popularity
from services.training.collaborative.sequential_ease import fit_sequential_ease
from services.training.collaborative.svd import fit_svd
from services.training.collaborative.transitions import fit_transitions
from services.training.collaborative.user_cf import fit_user_cf
from services.training.config import CollaborativeConfig
from services.training.examples.sequences import Sequences
from services.training.progress import Report, StepProgress, quiet
from shared.features.catalogue import UNKNOWN, Catalogue
from shared.features.events import IntArray
from shared.models.tables import ItemNeighbours, Popularity, SampleHistories, SvdFactors, Transitions


@dataclass(frozen=True)
class CollaborativeTables:
    """What is counted from the log; fields as in shared.models.bundle.BundleContents."""

    categories: tuple[str, ...]
    item_cf: ItemNeighbours
    co_visitation: ItemNeighbours
    markov: Transitions
    item_knn: Transitions
    item_knn_both: Transitions
    sequential_ease: Transitions
    svd: SvdFactors
    samples: SampleHistories
    popularity: Popularity


def fit_tables(
    sequences: Sequences,
    catalogue: Catalogue,
    row_V: IntArray,
    config: CollaborativeConfig,
    seed: int,
    threads: int,
    report: Report = quiet,
) -> CollaborativeTables:
    """Return the tables; V items of the vocabulary."""
    progress = StepProgress("collaborative tables", 9, "tables", report)
    taste_UV = taste_matrix(sequences, len(row_V), config.half_life_days)
    item_cf = fit_item_cf(taste_UV, config.item_cf_neighbours, config.item_cf_shrinkage, threads)
    progress.advance(note="item-CF")
    co_visitation = fit_co_visitation(sequences, len(row_V), config.co_visitation, threads)
    progress.advance(note="co-visitation")
    transitions = fit_transition_tables(sequences, len(row_V), config, threads)
    progress.advance(4, note="transitions")
    svd = fit_svd(taste_UV, config.svd_factors, config.svd_damping, seed)
    progress.advance(note="SVD")
    samples = fit_user_cf(taste_UV, seed)
    progress.advance(note="user-CF")
    categories, category_V = top_categories(catalogue, row_V)
    popularity = fit_popularity(sequences, category_V, len(categories), config.popularity_half_life_days)
    progress.advance(note="popularity")
    return CollaborativeTables(
        categories, item_cf, co_visitation, svd=svd, samples=samples, popularity=popularity, **transitions
    )


def fit_transition_tables(
    sequences: Sequences, num_items: int, config: CollaborativeConfig, threads: int
) -> dict[str, Transitions]:
    """Return what comes after what, a table for each of TRANSITION_SOURCES."""
    return {
        "markov": fit_transitions(sequences, num_items, config.markov, threads),
        "item_knn": fit_transitions(sequences, num_items, config.item_knn, threads),
        "item_knn_both": fit_transitions(sequences, num_items, config.item_knn_both, threads),
        "sequential_ease": fit_sequential_ease(sequences, num_items, config.sequential_ease),
    }


def top_categories(catalogue: Catalogue, row_V: IntArray) -> tuple[tuple[str, ...], IntArray]:
    """Return the names of the vocabulary's top categories, ascending, and the place of each item's; -1 for none."""
    code_V = catalogue.top_category_N[row_V]
    names = sorted({catalogue.categories.names[code] for code in np.unique(code_V).tolist()} - {UNKNOWN})
    place_of = {name: place for place, name in enumerate(names)}
    place_K = np.array([place_of.get(name, -1) for name in catalogue.categories.names], np.int32)
    return tuple(names), place_K[code_V]
