"""The multi-task ranker bound to a bundle's recommender: candidates of one request in, the chance of each step out.

Called by   shared/models/recommender.py (a request), services/training/multitask/collect.py (past lists): one code path
Columns     request: USER_FEATURES; moment, place and profile by name. Item: the fusion's matrix, so the scores of every
            retrieval source and all candidate features; item, top category and brand. Event: these three, type and age
Stored      RankerPart: the ONNX file, the fields, the names behind the codes, the calibration, the typical values
Errors      ValueError when the part does not fit the recommender's columns (RankerPart.check)
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from shared.features.candidates import AFFINITY_FIELDS, NameMap, Query
from shared.features.context import affinity_values
from shared.features.events import FloatArray, IntArray
from shared.features.user import USER_FEATURES
from shared.features.vocabulary import Vocabulary
from shared.models.multitask_calibration import Calibration
from shared.models.multitask_inputs import CategoryField, RankerFields, RankerRows
from shared.models.multitask_session import RankerSession
from shared.models.multitask_shapley import Contributions, Typical, explain
from shared.models.tensors import History

if TYPE_CHECKING:
    from shared.models.recommender import Candidates, Recommender, Scored

MAX_HISTORY = 40
MAX_NAMES = 500
"""values that a context or profile field, or the brands, have codes for"""
EVENT_FIELDS = ("item", "category", "brand")


@dataclass(frozen=True)
class RankerPart:
    """What a bundle holds of the ranker."""

    model: bytes
    fields: RankerFields
    names: Mapping[str, tuple[str, ...]]
    """of each request category, and of "category" and "brand", in the order of their codes from 1"""
    calibration: Calibration
    typical: Typical

    def to_json(self) -> dict[str, Any]:
        """Return everything but the ONNX file."""
        names = {field: list(values) for field, values in self.names.items()}
        return {
            "fields": self.fields.to_json(),
            "names": names,
            "calibration": self.calibration.to_json(),
            "typical": {
                "request": self.typical.request_number_F.tolist(),
                "item": self.typical.item_number_F.tolist(),
            },
        }

    @staticmethod
    def from_parts(model: bytes, stored: Mapping[str, Any]) -> "RankerPart":
        """Return the part of `to_json`; KeyError or ValueError when it is not one."""
        names = {field: tuple(values) for field, values in stored["names"].items()}
        fields = RankerFields.from_json(stored["fields"])
        typical = Typical(*(np.array(stored["typical"][side], np.float32) for side in ("request", "item")))
        return RankerPart(model, fields, names, Calibration.from_json(stored["calibration"]), typical)


class RankerColumns:
    """Makes the ranker's rows of requests; of the vocabulary's items it knows the first `items`."""

    def __init__(self, recommender: "Recommender", names: Mapping[str, Sequence[str]], items: int) -> None:
        self.recommender, self._items = recommender, items
        self._of_request = {field: Vocabulary(names[field]) for field in AFFINITY_FIELDS}
        catalogue = recommender.catalogue
        self._categories, self._brands = Vocabulary(names["category"]), Vocabulary(names["brand"])
        self._category_code = NameMap(self._categories, catalogue.categories)
        self._brand_code = NameMap(self._brands, catalogue.brands)

    def fields(self, tasks: Sequence[str]) -> RankerFields:
        """Return the columns by name."""
        return RankerFields(
            USER_FEATURES,
            tuple(CategoryField(field, len(vocabulary)) for field, vocabulary in self._of_request.items()),
            self.recommender.fusion_names,
            (
                CategoryField("item", self._items + 1),
                CategoryField("category", len(self._categories)),
                CategoryField("brand", len(self._brands)),
            ),
            EVENT_FIELDS,
            MAX_HISTORY,
            tuple(tasks),
        )

    def rows(self, scored: "Scored", candidates: "Candidates") -> RankerRows:
        """Return the rows of one request; positions are unknown."""
        size = len(candidates.row_C)
        category_1LH, type_1L, age_s_1L = self._history(scored.history)
        return RankerRows(
            scored.query.user.value_F[None],
            self._moment(scored.query)[None],
            candidates.matrix_CF,
            self._codes(candidates.row_C),
            category_1LH,
            type_1L,
            age_s_1L,
            np.zeros(size, np.int32),
            np.zeros(size, np.int32),
        )

    def _moment(self, query: Query) -> IntArray:
        values = affinity_values(query.context, query.profile)
        codes = [vocabulary.code(values.get(field)) for field, vocabulary in self._of_request.items()]
        return np.array(codes, np.int32)

    def _codes(self, row_C: IntArray) -> IntArray:
        """Return item, category and brand of catalogue rows; 0 for all three of an item that is gone."""
        catalogue = self.recommender.catalogue
        known_C, row_C = row_C >= 0, np.maximum(row_C, 0)
        item_C = self.recommender.rows.code_of_row_N[row_C] + 1
        item_C = np.where(item_C <= self._items, item_C, 0)
        category_C = self._category_code.codes(catalogue.top_category_N[row_C])
        brand_C = self._brand_code.codes(catalogue.brand_N[row_C])
        return (np.stack([item_C, category_C, brand_C], axis=1) * known_C[:, None]).astype(np.int32)

    def _history(self, history: History) -> tuple[IntArray, IntArray, FloatArray]:
        """Return the newest events, newest first; one empty place where there are none."""
        newest = history.newest(MAX_HISTORY)
        length = max(len(newest), 1)
        category_1LH = np.zeros((1, length, len(EVENT_FIELDS)), np.int32)
        type_1L, age_s_1L = np.zeros((1, length), np.int32), np.zeros((1, length), np.float32)
        if len(newest):
            category_1LH[0] = self._codes(self.recommender.rows.row_of_code_V[newest.code_L[::-1]])
            type_1L[0] = newest.type_L[::-1] + 1
            age_s_1L[0] = (newest.as_of_ms - newest.at_ms_L[::-1]) / 1000
        return category_1LH, type_1L, age_s_1L


class RankerScorer:
    """The ranker of a bundle, open."""

    def __init__(self, recommender: "Recommender", part: RankerPart) -> None:
        self.tasks = part.fields.tasks
        items = next(field.size for field in part.fields.item_categories if field.name == "item") - 1
        self.columns = RankerColumns(recommender, part.names, items)
        if self.columns.fields(part.fields.tasks) != part.fields:
            raise ValueError("the ranker reads other columns than the recommender makes")
        self._session, self._part = RankerSession(part.model), part

    def chances(self, scored: "Scored", candidates: "Candidates") -> FloatArray:
        """Return p_CT of each step of the funnel if the candidate is shown at the top of the list."""
        if not len(candidates.row_C):
            return np.empty((0, len(self.tasks)), np.float32)
        return self._calibrated(self.columns.rows(scored, candidates))

    def explain(self, scored: "Scored", candidates: "Candidates", place: int) -> dict[str, Contributions]:
        """Return what each group of features adds to the logit of each chance of one candidate, by task."""
        rows = self.columns.rows(scored, candidates).at(np.array([place], np.int32))
        parts = explain(self._calibrated, rows, self._part.typical, self._part.fields)
        return dict(zip(self.tasks, parts, strict=True))

    def _calibrated(self, rows: RankerRows) -> FloatArray:
        return self._part.calibration.apply(self._session.chances(rows))


def known_names(queries: Sequence[Query], recommender: "Recommender") -> dict[str, tuple[str, ...]]:
    """Return the names that queries of the training period use, for RankerColumns."""
    values = [affinity_values(query.context, query.profile) for query in queries]
    names = {
        field: Vocabulary.fit((value.get(field) for value in values), MAX_NAMES).names for field in AFFINITY_FIELDS
    }
    brands = Vocabulary.fit((item.brand for item in recommender.catalogue.items), MAX_NAMES).names
    return names | {"category": tuple(recommender.contents.categories), "brand": brands}
