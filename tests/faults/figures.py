"""What one process has counted, read from its /metrics.

Called by   tests/faults/stack.py (figures)
"""

from collections.abc import Mapping

from prometheus_client.parser import text_string_to_metric_families


class Figures:
    """One scrape."""

    def __init__(self, text: str) -> None:
        self._samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]

    def of(self, name: str, **labels: str) -> float:
        """Return the sum of the series of `aisle_<name>` that carry these labels; 0 if there are none."""
        wanted: Mapping[str, str] = labels
        return sum(
            sample.value
            for sample in self._samples
            if sample.name == f"aisle_{name}" and wanted.items() <= sample.labels.items()
        )
