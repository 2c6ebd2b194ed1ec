"""Category values to codes: known values from 1, everything else in the unknown bucket 0.

Called by   services/training (fit), shared/models/bundle.py (store), candidates.py (encode, one-hot)
Stored      as a JSON list of names in code order, without the unknown bucket
"""

import json
from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np

from shared.features.events import FloatArray, IntArray

UNKNOWN_CODE = 0


class Vocabulary:
    """Fixed names, unlike the catalogue's CodeBook, which grows. Equal when the names are."""

    def __init__(self, names: Sequence[str]) -> None:
        if len(set(names)) != len(names):
            raise ValueError("a vocabulary holds each name once")
        self.names = tuple(names)
        self._code_of = {name: code for code, name in enumerate(self.names, start=1)}

    def __len__(self) -> int:
        """Return the number of codes, the unknown bucket included."""
        return len(self.names) + 1

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Vocabulary) and self.names == other.names

    def __hash__(self) -> int:
        return hash(self.names)

    @staticmethod
    def fit(values: Iterable[str | None], max_names: int | None = None, min_count: int = 1) -> "Vocabulary":
        """Return the most frequent values, ties by name."""
        count_of = Counter(value for value in values if value)
        ordered = sorted(count_of, key=lambda name: (-count_of[name], name))
        return Vocabulary([name for name in ordered if count_of[name] >= min_count][:max_names])

    def code(self, value: str | None) -> int:
        """Return the code of a value, 0 when unknown."""
        return self._code_of.get(value or "", UNKNOWN_CODE)

    def codes(self, values: Iterable[str | None]) -> IntArray:
        """Return the codes of many values."""
        return np.array([self.code(value) for value in values], np.int32)

    def one_hot(self, code_C: IntArray) -> FloatArray:
        """Return [C, len(self)] with a single 1 in each row; column 0 is the unknown bucket."""
        return np.eye(len(self), dtype=np.float32)[code_C]

    def to_json(self) -> str:
        """Return the names as JSON."""
        return json.dumps(list(self.names), ensure_ascii=False)

    @staticmethod
    def from_json(text: str) -> "Vocabulary":
        """Return the vocabulary of `to_json`; ValueError when the text is something else."""
        names = json.loads(text)
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise ValueError("a vocabulary is a JSON list of strings")
        return Vocabulary(names)
