"""The candidate sources that read a shopper's history: the one list of them, and how a model's tables become sources.

Called by   shared/models/recommender.py, shared/models/golden.py
Order       that of HISTORY_SOURCES: of the fusion's columns, and of what a candidate says it was retrieved by
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import onnxruntime

from shared.models.sources.neighbours import NeighbourSource
from shared.models.sources.repeat import RepeatSource
from shared.models.sources.scores import SourceScores
from shared.models.sources.sequence import SequenceSource
from shared.models.sources.svd import SvdSource
from shared.models.sources.transitions import TransitionSource
from shared.models.sources.user_cf import UserCfSource
from shared.models.tensors import History

if TYPE_CHECKING:
    from shared.models.bundle import BundleContents

NEIGHBOUR_SOURCES = ("item_cf", "co_visitation")
TRANSITION_SOURCES = ("markov", "item_knn", "item_knn_both", "sequential_ease")
"""named as their tables in the bundle are"""
HISTORY_SOURCES = ("sequence", *NEIGHBOUR_SOURCES, "user_cf", "svd", "repeat", *TRANSITION_SOURCES)


class HistorySource(Protocol):
    """What every source that reads the history is."""

    @property
    def name(self) -> str:
        """One of HISTORY_SOURCES."""
        ...

    def scores(self, history: History) -> SourceScores:
        """Return scores over item codes."""
        ...


@runtime_checkable
class TogetherSource(HistorySource, Protocol):
    """A source for which many histories cost less than each by itself."""

    def scores_of(self, histories: Sequence[History]) -> list[SourceScores]:
        """Return the scores of each history."""
        ...


def history_sources(contents: "BundleContents", sequence: TogetherSource) -> dict[str, HistorySource]:
    """Return the sources of a model by name, in the order of HISTORY_SOURCES."""
    sources: tuple[HistorySource, ...] = (
        sequence,
        *(NeighbourSource(name, getattr(contents, name)) for name in NEIGHBOUR_SOURCES),
        UserCfSource(contents.samples),
        SvdSource(contents.svd),
        RepeatSource(),
        *(TransitionSource(name, getattr(contents, name)) for name in TRANSITION_SOURCES),
    )
    return {source.name: source for source in sources}


def sequence_source(contents: "BundleContents", session: onnxruntime.InferenceSession) -> SequenceSource:
    """Return the encoder as a source of its own, on a CPU."""
    return SequenceSource(session, contents.item_VD, contents.max_length, index=contents.index)
