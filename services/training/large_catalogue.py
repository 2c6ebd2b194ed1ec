"""Give a model of a large catalogue its retrieval index; a small one needs none.

Called by   services/training/pipeline.py, services/training/compression/compress.py
Measured    how much a search must read, by states of shoppers at questions of the log; answers are not looked at
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from services.training.assemble import in_memory
from services.training.examples.queries import QueryMaker, Question
from shared.models.bundle import BundleContents
from shared.models.recommender import Recommender
from shared.models.retrieval_index import INDEX_FROM, build_index
from shared.models.sources.sequence import SequenceSource

STATES = 300


def with_index(
    contents: BundleContents,
    maker: QueryMaker,
    questions: Sequence[Question],
    threads: int,
    index_from: int = INDEX_FROM,
) -> BundleContents:
    """Return the model with an index where it has `index_from` items or more and somebody to ask for."""
    if len(contents.item_ids) < index_from:
        return contents
    bundle = in_memory(contents)
    recommender = Recommender(bundle, maker.catalogue)
    histories = [recommender.start(maker.query(question)).history for question in questions[:STATES]]
    source = SequenceSource(bundle.session, contents.item_VD, contents.max_length)
    states = [source.encode([history])[0] for history in histories if len(history)]
    if not states:
        return contents
    return replace(contents, index=build_index(contents.item_VD, np.stack(states), threads))
