"""Moments as epoch milliseconds and back, exact: a float of seconds cannot hold every millisecond.

Called by   whoever stores or compares the time of an event
"""

from datetime import UTC, datetime, timedelta

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
ONE_MS = timedelta(milliseconds=1)


def epoch_ms(moment: datetime) -> int:
    """Return the whole milliseconds since 1970, rounded down; ValueError for a moment without a zone."""
    if moment.tzinfo is None:
        raise ValueError("a moment needs a time zone")
    return (moment - EPOCH) // ONE_MS


def from_epoch_ms(at_ms: int) -> datetime:
    """Return the moment in UTC."""
    return EPOCH + at_ms * ONE_MS
