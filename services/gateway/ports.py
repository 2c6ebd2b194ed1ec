"""What the gateway needs of the stores: small protocols, so that a test passes fakes and use cases know no Redis.

Called by   the gateway's use cases; implemented by the classes of shared/storage/redis
Errors      any of STORE_ERRORS: the store is away, slow, full or starting
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from shared.contracts.impressions import Impression
from shared.service.http_client import Reply, StreamedReply
from shared.storage.redis.change_stream import Change
from shared.storage.redis.event_stream import StreamEvent, Verdict
from shared.storage.redis.recommendation_cache import CacheRead, Entry


class ListCache(Protocol):
    """Lists kept for a while, by request."""

    async def read(self, request_hash: str, user_key: str, now_ms: int) -> CacheRead:
        """Return the list, if there is one, and the versions of now, in one round trip."""
        ...

    async def write(self, entries: Sequence[Entry]) -> None:
        """Keep lists, each with the versions it was made with."""
        ...

    async def lock(self, request_hash: str, user_key: str) -> str | None:
        """Return a token if nobody else makes this list anew now."""
        ...


class EventLog(Protocol):
    """The durable stream of events."""

    async def append(self, events: Sequence[StreamEvent]) -> list[Verdict]:
        """Append events; those accepted are durable when this returns."""
        ...


class ImpressionLog(Protocol):
    """The stream of lists shown."""

    async def append(self, impressions: Sequence[Impression]) -> None:
        """Append impressions in one round trip."""
        ...


class ListsSource(Protocol):
    """Where feature's job puts the popular, trending and new lists."""

    async def get(self) -> bytes | None:
        """Return the newest lists as JSON, None when there are none."""
        ...


class Sender(Protocol):
    """A connection to another service (shared.service.http_client.HttpClient)."""

    async def send(self, method: str, path: str, body: bytes | None, timeout_ms: float) -> Reply:
        """Send one request and return the whole answer."""
        ...

    def stream(self, method: str, path: str, timeout_ms: float) -> AbstractAsyncContextManager[StreamedReply]:
        """Send one request and give the answer as it arrives."""
        ...


class ChangeFeed(Protocol):
    """The stream of changes to the catalogue, the lists, the model and the rules."""

    async def last_id(self) -> str:
        """Return the place of the newest change."""
        ...

    def tail(self, after_id: str) -> AsyncIterator[Change]:
        """Yield the changes after a place, for ever."""
        ...
