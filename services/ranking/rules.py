"""Which items may be shown to this shopper now: repeats, stock, dates, the request's filter and lists.

Called by   services/ranking/rank.py, services/ranking/similar.py
In          catalogue rows; the rules of one request
Out         Verdict: which rows stay, and how many each rule removed; a row counts for the first rule that removes it
Rules       exclude, current_item, in_cart   named by the request
            hidden                           the shopper said "do not show me this" (an event of type hide)
            seen                             bought before, by the repeat policy (see `_seen`)
            out_of_stock, unavailable        live: stock 0; deleted, or outside its dates
            filter                           the request's filter expression
            hidden_by_rule                   a merchandising rule of the shop (rerank/business_rules.py)
"""

from dataclasses import dataclass

import numpy as np

from services.ranking.consumables import Consumables
from services.ranking.rerank.business_rules import BusinessRules
from shared.contracts.events import EVENT_TYPE_CODES, EventType
from shared.contracts.internal import RankRequest
from shared.contracts.merchandising import NO_MERCHANDISING, Merchandising
from shared.features.catalogue import Catalogue
from shared.features.events import EventWindow, IntArray
from shared.features.filter import Filter
from shared.models.tensors import BoolArray

SIMILAR = "similar"
HIDE_CODE = EVENT_TYPE_CODES[EventType.HIDE]
REPURCHASE_PAUSE_MS = 12 * 3_600_000
"""even what is bought every week is not wanted again on the day it was bought"""

# A later rule wins where several name the same row.
LISTED_RULES = ("", "seen", "hidden", "in_cart", "current_item", "exclude")


@dataclass(frozen=True)
class Verdict:
    """What the rules say of C rows."""

    keep_C: BoolArray
    removed: dict[str, int]


class Rules:
    """The rules of one request, over the catalogue as it is now."""

    def __init__(
        self,
        catalogue: Catalogue,
        listed: dict[str, IntArray],
        filter_: Filter | None,
        business: BusinessRules,
        now_ms: int,
    ) -> None:
        self._catalogue, self._filter, self.business, self._now_ms = catalogue, filter_, business, now_ms
        self._listed_N = np.zeros(len(catalogue), np.uint8)
        for place, rule in enumerate(LISTED_RULES):
            rows = listed.get(rule)
            if rows is not None:
                self._listed_N[rows[rows >= 0]] = place

    def judge(self, row_C: IntArray) -> Verdict:
        """Return which rows may be shown, and the count of each rule that removed any."""
        keep_C = np.ones(len(row_C), np.bool_)
        removed: dict[str, int] = {}
        listed_C = self._listed_N[row_C]
        for place in range(len(LISTED_RULES) - 1, 0, -1):
            _remove(keep_C, listed_C == place, LISTED_RULES[place], removed)
        _remove(keep_C, self._catalogue.stock_N[row_C] <= 0, "out_of_stock", removed)
        _remove(keep_C, ~self._catalogue.sellable(row_C, self._now_ms), "unavailable", removed)
        if self._filter is not None:
            _remove(keep_C, ~self._filter.mask(self._catalogue, row_C, self._now_ms), "filter", removed)
        hidden_C = self.business.hidden_C(row_C)
        if hidden_C is not None:
            _remove(keep_C, hidden_C, "hidden_by_rule", removed)
        return Verdict(keep_C, removed)

    def allowed_N(self) -> BoolArray:
        """Return for every row of the catalogue whether it may be shown."""
        return self.judge(np.arange(len(self._catalogue), dtype=np.int32)).keep_C


def rules_of(
    request: RankRequest,
    window: EventWindow,
    consumables: Consumables,
    filter_: Filter | None,
    merchandising: Merchandising = NO_MERCHANDISING,
) -> Rules:
    """Return the rules of a request for a list."""
    catalogue, context = consumables.catalogue, request.context
    listed = {
        "exclude": catalogue.rows(request.exclude),
        "current_item": catalogue.rows([context.item_id] if context.item_id is not None else []),
        "in_cart": catalogue.rows([line.item_id for line in context.cart]),
        "hidden": window.row_E[window.type_E == HIDE_CODE],
        "seen": _seen(request, window.purchases(), consumables),
    }
    business = BusinessRules(merchandising, request.scenario, catalogue, request.as_of_ms)
    return Rules(catalogue, listed, filter_, business, request.as_of_ms)


def rules_beside(
    catalogue: Catalogue,
    row: int,
    filter_: Filter | None,
    now_ms: int,
    merchandising: Merchandising = NO_MERCHANDISING,
) -> Rules:
    """Return the rules of a request for items like one item; its scenario is called "similar"."""
    business = BusinessRules(merchandising, SIMILAR, catalogue, now_ms)
    return Rules(catalogue, {"current_item": np.array([row], np.int32)}, filter_, business, now_ms)


def _seen(request: RankRequest, bought: EventWindow, consumables: Consumables) -> IntArray:
    """Return the rows that the repeat policy hides.

    allow: none. hide_bought: all that were bought. auto: durable goods, and consumables for REPURCHASE_PAUSE_MS.
    """
    if request.repeat == "allow" or not len(bought):
        return np.empty(0, np.int32)
    if request.repeat == "hide_bought":
        return bought.row_E
    rests_E = bought.at_ms_E > request.as_of_ms - REPURCHASE_PAUSE_MS
    return bought.row_E[rests_E | ~consumables.are_consumable(bought.row_E)]


def _remove(keep_C: BoolArray, against_C: BoolArray, rule: str, removed: dict[str, int]) -> None:
    """Take rows out and count those that no earlier rule took."""
    taken_C = keep_C & against_C
    count = int(np.count_nonzero(taken_C))
    if count:
        removed[rule] = count
        keep_C &= ~against_C
