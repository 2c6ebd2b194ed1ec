"""Tell running services what an import changed, so that nobody answers from what was true before.

Called by   services/command/import_command.py, after the import is in Postgres
Told        the online state of changed shoppers is forgotten (the next reader rebuilds it), which also makes their
            cached lists stale; a changed catalogue is announced, and each process reads the changed items
Errors      none: False when a Redis server cannot be reached. What could not be told expires with the caches
"""

from dataclasses import dataclass

from services.training.importing.importer import Changes
from shared.storage.redis.change_stream import ChangeKind, ChangePublisher
from shared.storage.redis.clients import STORE_ERRORS, sync_client
from shared.storage.redis.user_state import OnlineStateWriter

USERS_A_CALL = 1_000


@dataclass(frozen=True)
class RedisPlace:
    """The two servers and the install's part of them."""

    stream_url: str
    cache_url: str
    namespace: str


def tell_services(changes: Changes, place: RedisPlace) -> bool:
    """Forget changed shoppers and announce a changed catalogue; False if a server was away."""
    user_keys = sorted(changes.user_keys)
    try:
        if user_keys:
            with sync_client(place.cache_url) as cache:
                online = OnlineStateWriter(cache, place.namespace)
                for start in range(0, len(user_keys), USERS_A_CALL):
                    online.forget(user_keys[start : start + USERS_A_CALL])
        if changes.items:
            with sync_client(place.stream_url) as stream:
                ChangePublisher(stream, place.namespace).publish(ChangeKind.CATALOGUE, {})
    except STORE_ERRORS:
        return False
    return True
