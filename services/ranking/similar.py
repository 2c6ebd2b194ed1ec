"""Items like one item: the use case of POST /similar.

Called by   services/ranking/routes.py
In          SimilarRequest: the item, a kind, how many; only rows that may be shown now
Out         RankReply, nearest first. A kind that knows too few neighbours is filled up with items whose text is alike,
            scored below the last neighbour
Errors      UnknownItemError; UnknownKindError; FilterError
"""

import numpy as np

from services.ranking.items import shown
from services.ranking.rank import parsed
from services.ranking.rules import rules_beside
from services.ranking.serving_model import ServingModel
from shared.contracts.internal import RankedItem, RankReply, SimilarRequest
from shared.contracts.merchandising import NO_MERCHANDISING, Merchandising
from shared.contracts.recommendation import Counts, Reason
from shared.features.catalogue import Catalogue
from shared.features.events import FloatArray, IntArray
from shared.models.recommender import Recommender

# Kind → the source and the reason it is answered by.
KINDS = {
    "similar": ("item_cf", "similar", "Similar to {}"),
    "bought_together": ("co_visitation", "bought_together", "Often bought together with {}"),
    "viewed_together": ("co_visitation", "viewed_together", "Often looked at together with {}"),
    "looks_like": ("content", "looks_like", "Looks like {}"),
}
NEIGHBOURS = 1000
"""asked for before stock and filter take their share"""


class UnknownItemError(LookupError):
    """The catalogue has no such item."""


class UnknownKindError(ValueError):
    """Not one of KINDS."""


def similar_items(
    model: ServingModel, request: SimilarRequest, merchandising: Merchandising = NO_MERCHANDISING
) -> RankReply:
    """Return the items near one item."""
    if request.kind not in KINDS:
        raise UnknownKindError
    recommender = model.recommender
    catalogue = recommender.catalogue
    row = catalogue.row_of.get(request.item_id, -1)
    if row < 0 or catalogue.items[row].deleted:
        raise UnknownItemError
    rules = rules_beside(catalogue, row, parsed(request.filter), request.as_of_ms, merchandising)
    near_X, weight_X, neighbours = neighbours_of(recommender, row, request.kind)
    verdict = rules.judge(near_X)
    kept = np.flatnonzero(verdict.keep_C)
    items = [
        _item(catalogue, int(near_X[place]), float(weight_X[place]), place < neighbours, row, request)
        for place in kept[: request.num_items]
    ]
    counts = Counts(retrieved=len(near_X), removed=verdict.removed, ranked=len(kept))
    return RankReply(items=items, counts=counts, model=model.name, cold_start=False)


def neighbours_of(recommender: Recommender, row: int, kind: str) -> tuple[IntArray, FloatArray, int]:
    """Return rows, weights that never rise, and how many of them are neighbours of the kind itself."""
    near_X, weight_X = recommender.similar(row, kind, NEIGHBOURS)
    if kind == "looks_like" or not _has_neighbours(recommender, row, kind):
        return near_X, weight_X, len(near_X) if kind == "looks_like" else 0
    alike_Y, cosine_Y = recommender.content.nearest(row, NEIGHBOURS)
    fresh = ~np.isin(alike_Y, near_X)
    least = float(weight_X[-1]) if len(weight_X) else 1.0
    rows = np.concatenate([near_X, alike_Y[fresh]]).astype(np.int32)
    weights = np.concatenate([weight_X, least * cosine_Y[fresh]]).astype(np.float32)
    return rows, weights, len(near_X)


def _has_neighbours(recommender: Recommender, row: int, kind: str) -> bool:
    """Return whether the bundle knows neighbours of a kind; without any, the recommender answers by content."""
    contents, code = recommender.contents, int(recommender.rows.code_of_row_N[row])
    table = contents.item_cf if KINDS[kind][0] == "item_cf" else contents.co_visitation
    return code >= 0 and bool((table.neighbour_VK[code] >= 0).any())


def _item(
    catalogue: Catalogue, row: int, score: float, is_neighbour: bool, beside: int, request: SimilarRequest
) -> RankedItem:
    source, code, text = KINDS[request.kind if is_neighbour else "looks_like"]
    public_id = catalogue.public_id(beside)
    title = catalogue.items[beside].title or f"item {public_id}"
    return RankedItem(
        item_id=catalogue.public_id(row),
        score=score,
        sources=[source],
        reasons=[Reason(code=code, text=text.format(title[:80]), because_item_id=public_id)],
        flags=[] if is_neighbour else ["filled"],
        item=shown(catalogue.items[row], request.fields),
    )
