"""The multi-task ranker as it is served: one request in, the chance of each step for each candidate out.

Called by   services/ranking/score_tasks.py, benchmarks/ctr; the model is services/training/multitask/export.py's
In          RankerRows of ONE request
Out         p_CT float32 at the top of a list, before the calibration
Errors      ValueError for several requests or a number that is not finite (RankerRows.check)
"""

from typing import Any

import numpy as np

from shared.features.events import FloatArray
from shared.models.multitask_inputs import RankerRows
from shared.models.sources.sequence import open_session

INPUTS = (
    *("request_number_1F", "request_category_1G", "item_number_CF", "item_category_CG"),
    *("history_category_1LH", "history_type_1L", "history_age_s_1L"),
)


class RankerSession:
    """An open ONNX session, one thread."""

    def __init__(self, model: bytes) -> None:
        self._session = open_session(model)
        self._reads = {entry.name for entry in self._session.get_inputs()}

    def chances(self, rows: RankerRows) -> FloatArray:
        """Return p_CT."""
        if len(rows.request_number_RF) != 1:
            raise ValueError("the served ranker takes one request")
        arrays: tuple[Any, ...] = (
            rows.request_number_RF,
            rows.request_category_RG.astype(np.int64),
            rows.item_number_NF,
            rows.item_category_NG.astype(np.int64),
            rows.history_category_RLH.astype(np.int64),
            rows.history_type_RL.astype(np.int64),
            rows.history_age_s_RL,
        )
        given = zip(INPUTS, arrays, strict=True)
        # What the trained ranker does not read, such as the history of a log without one, is not among its inputs.
        (p_CT,) = self._session.run(None, {name: array for name, array in given if name in self._reads})
        chances: FloatArray = p_CT
        return chances
