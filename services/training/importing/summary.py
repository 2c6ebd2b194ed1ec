"""What an import did with one file, for a person and for a test.

Called by   import_events.py, items.py, users.py make it; services/command/import_command.py prints it
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from services.training.examples.cleaning import RuleCount


@dataclass(frozen=True)
class ImportSummary:
    """Rows of one file: read = new + known + set aside + rejected by rules."""

    title: str
    rows_read: int
    rows_new: int
    """stored now, or changed by this import"""
    rows_known: int
    """stored before, and left as they were"""
    rules: tuple[RuleCount, ...]
    rows_erased: int = 0
    """events of shoppers who were erased since: not stored"""
    rejected_file: Path | None = None

    @property
    def rows_rejected(self) -> int:
        """Number of rows that a rule rejected."""
        return sum(rule.rows for rule in self.rules if rule.action == "rejected")


def count_rules(meanings: Mapping[str, str], broken: Iterable[str]) -> tuple[RuleCount, ...]:
    """Return how often each rejecting rule was broken, also those that never were."""
    counts = Counter(broken)
    return tuple(RuleCount(rule, "rejected", counts[rule], meaning) for rule, meaning in meanings.items())
