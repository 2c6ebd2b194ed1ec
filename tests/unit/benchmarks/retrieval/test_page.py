"""The page of the retrieval benchmark says what of a target was missed."""

from typing import Any

import pytest

from benchmarks.retrieval.page import judged


def row(items: int, p50_ms: float = 1.0, recall: float = 0.995, memory_mb: float = 100.0) -> dict[str, Any]:
    return {
        "items": items,
        "index": {"p50_ms": p50_ms, "recall@100": recall},
        "memory_mb": {"together": memory_mb},
    }


@pytest.mark.parametrize(
    ("measured", "said"),
    [
        (row(1_000_000), "reached"),
        (row(1_000_000, p50_ms=2.19), "missed: p50 2.19 of 1.5 ms"),
        (row(100_000, p50_ms=9.0), "reached"),
        (row(100_000, recall=0.98), "missed: recall 0.9800"),
        (row(10_000_000, p50_ms=5.5, memory_mb=3100.0), "missed: p50 5.50 of 5 ms, 3,100 of 3,000 MB"),
    ],
)
def test_what_was_missed_is_named_with_its_target(measured: dict[str, Any], said: str) -> None:
    assert judged(measured) == said
