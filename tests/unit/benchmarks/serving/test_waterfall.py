"""The waterfall holds means between two moments, whatever was counted before them."""

from collections import Counter

from benchmarks.serving.waterfall import Moment, between


def test_stages_and_processor_time_are_means_of_what_lies_between() -> None:
    before = Moment(Counter({"gateway": 1.0, "gateway / cache": 0.25}), 100, Counter({"ranking": 3.0, "stream": 1.0}))
    after = Moment(Counter({"gateway": 1.5, "gateway / cache": 0.3}), 150, Counter({"ranking": 3.2, "stream": 1.0}))
    found = between(before, after, client_ms=12.0)
    assert found.stage_ms == {"client": 12.0, "gateway": 10.0, "gateway / cache": 1.0}
    assert found.cpu_ms == {"ranking": 4.0}  # what did nothing is left out
