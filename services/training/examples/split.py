"""Split the log by time: train, then a validation period, then a test period.

Called by   services/training/pipeline.py
Why         a random split lets a model see the week that it is asked to predict (docs: models, section 8); serving only
            ever knows the past
Rule        train < validation_from_ms <= validation < test_from_ms <= test
"""

from dataclasses import dataclass

from services.training.errors import TooLittleDataError
from services.training.examples.event_log import EventLog

DAY_MS = 86_400_000


@dataclass(frozen=True)
class TimeSplit:
    """Two moments that cut the log in three."""

    validation_from_ms: int
    test_from_ms: int
    end_ms: int
    """just after the last event"""


def split_by_time(log: EventLog, validation_days: float, test_days: float) -> TimeSplit:
    """Return the cuts; TooLittleDataError when nothing would be left to train on."""
    end_ms = log.last_ms + 1
    test_from_ms = end_ms - int(test_days * DAY_MS)
    validation_from_ms = test_from_ms - int(validation_days * DAY_MS)
    if not (log.events.at_ms_E < validation_from_ms).any():
        raise TooLittleDataError(
            f"no event is older than {validation_days + test_days:g} days: nothing left to train on"
        )
    return TimeSplit(validation_from_ms, test_from_ms, end_ms)
