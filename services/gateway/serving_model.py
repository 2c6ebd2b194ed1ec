"""Which model serves now, as far as this process has seen: the newest word of ranking's answers or the change stream.

Called by   services/gateway/personal_list.py and change_follower.py (saw), list_store.py (is this list of that model?)
Swap        a cached list is not fresh as soon as a newer model is known; while ranking still answers with the old one,
            its lists count, so a swap costs each list one computation and no more
"""


class ServingModel:
    """One version, or none seen yet."""

    def __init__(self) -> None:
        self._version: str | None = None

    def saw(self, version: str) -> None:
        """Learn which model answers or has just been published."""
        self._version = version

    def made(self, version: str) -> bool:
        """Return whether a list of this version is of the model that serves; no list is before a model was seen.

        A process that has just begun may find lists in the cache that were made ahead for an hour by a model before.
        """
        return self._version == version
