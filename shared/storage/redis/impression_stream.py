"""Lists shown, on their way to Postgres: appended after the answer, read by the ingest worker.

Called by   services/gateway (append), services/feature (read side)
In, out     shared.contracts.impressions.Impression
Loss        bounded on purpose: with the worker away for long the oldest go, since events share the server's memory
Errors      redis.exceptions.RedisError
"""

from collections.abc import Sequence

from shared.contracts.impressions import Impression
from shared.storage.redis.clients import AsyncRedis, SyncRedis
from shared.storage.redis.keys import Keys
from shared.storage.redis.stream_reader import StreamReader

MAX_WAITING = 200_000
"""about 200 MB of lists of ten"""


class ImpressionStream:
    """The writing side."""

    def __init__(self, client: AsyncRedis, namespace: str) -> None:
        self._client = client
        self._keys = Keys(namespace)

    async def append(self, impressions: Sequence[Impression]) -> None:
        """Append lists in one round trip."""
        async with self._client.pipeline(transaction=False) as pipeline:
            for impression in impressions:
                payload = impression.model_dump_json().encode()
                pipeline.xadd(self._keys.impressions(), {"payload": payload}, maxlen=MAX_WAITING, approximate=True)
            await pipeline.execute()


def decode_impression(payload: bytes) -> Impression:
    """Return what one entry holds; pydantic.ValidationError when it is not one of ours."""
    return Impression.model_validate_json(payload)


def impression_reader(client: SyncRedis, namespace: str) -> StreamReader:
    """Return the worker's side."""
    keys = Keys(namespace)
    return StreamReader(client, [keys.impressions()], keys.dead_impressions())
