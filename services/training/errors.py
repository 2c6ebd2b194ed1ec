"""Why a training run can end without a model; the text is for a person to act on.

Tree        TrainingError
            ├── TooLittleDataError    the log holds nothing to learn from, or to ask about
            ├── SourceError           the events cannot be read from where they were said to be
            ├── NotInstalledError     an optional package is missing
            ├── DivergedError         the loss is not finite
            ├── PartFailedError       a process that took a part of a step ended early
            └── RunActiveError        another run of this install is going on
Called by   the steps raise; services/training/__main__.py and the `aisle train` command tell
"""


class TrainingError(Exception):
    """A run that made no model."""


class TooLittleDataError(TrainingError):
    """The log does not hold enough."""


class SourceError(TrainingError):
    """The log cannot be read."""


class NotInstalledError(TrainingError):
    """An optional package is missing."""


class DivergedError(TrainingError):
    """The encoder cannot be trained this way."""


class PartFailedError(TrainingError):
    """A part of a step was not done."""


class RunActiveError(TrainingError):
    """Only one run at a time: two would share the cores and the checkpoint."""
