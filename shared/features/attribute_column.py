"""One free attribute of all items as codes, so that a filter tests each distinct value once.

Called by   Catalogue.attribute (made when a filter first names the attribute), Catalogue.upsert (kept up to date)
Memory      4 bytes an item and attribute, beside the distinct values
"""

from collections.abc import Iterable
from typing import Any

import numpy as np

from shared.features.events import IntArray


class AttributeColumn:
    """`values[code]` of each row; code 0 is an item without the attribute."""

    def __init__(self, values: Iterable[Any]) -> None:
        self.values: list[Any] = [None]
        self._code_of: dict[str, int] = {repr(None): 0}
        self._codes = np.array([self._code(value) for value in values], np.int32)
        self._used = len(self._codes)

    def put(self, row: int, value: Any) -> None:
        """Set the value of a row, which may be the next one."""
        if row >= len(self._codes):
            self._codes = np.concatenate([self._codes, np.zeros(max(row, 1024), np.int32)])
        self._codes[row] = self._code(value)
        self._used = max(self._used, row + 1)

    @property
    def code_N(self) -> IntArray:
        """Code of each row's value."""
        return self._codes[: self._used]

    def _code(self, value: Any) -> int:
        """A value is known by its spelling: lists cannot be keys, and 1 is not True."""
        key = repr(value)
        code = self._code_of.get(key)
        if code is None:
            code = self._code_of[key] = len(self.values)
            self.values.append(value)
        return code
