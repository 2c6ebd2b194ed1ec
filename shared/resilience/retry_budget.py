"""A bound on retries: a tenth of the requests, so that a dependency in trouble sees at most a tenth more load.

Called by   services/gateway/dependency.py, one budget for each dependency
Rule        a token bucket filled by requests, not by time: each request adds `ratio`, each retry takes one
Source      "Timeouts, retries, and backoff with jitter", Amazon Builders' Library
"""


class RetryBudget:
    """Tokens for retries; starts with one, so that the very first failure may be retried."""

    def __init__(self, ratio: float = 0.1, most: float = 10.0) -> None:
        self._ratio = ratio
        self._most = most
        self._tokens = 1.0

    def count_request(self) -> None:
        """Earn a tenth of a retry."""
        self._tokens = min(self._most, self._tokens + self._ratio)

    def take(self) -> bool:
        """Spend one retry; False when there is none to spend."""
        # Ten additions of 0.1 are a hair under 1.
        if self._tokens < 1.0 - 1e-9:
            return False
        self._tokens -= 1.0
        return True
