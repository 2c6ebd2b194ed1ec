"""The name of every key on both Redis servers; nothing else in Aisle makes one.

Called by   the other files of this folder
Injective   a name has at most one part that may hold any text (an identifier), and it stands last or before a part of
            fixed form, so no two different things share a key
Servers     S: stream server (never evicts), C: cache server (may lose any key at any time)
"""

from dataclasses import dataclass
from zlib import crc32

ERASED_VERSION = "erased:"
"""begins the version of a shopper who was just erased: what is made for them now is not kept"""


@dataclass(frozen=True)
class Keys:
    """The keys of one install."""

    namespace: str

    def events(self, shard: int) -> str:
        """S stream: events waiting for Postgres."""
        return f"{self.namespace}:events:{shard}"

    def dead_events(self) -> str:
        """S stream: events that failed too often, with the reason."""
        return f"{self.namespace}:events:dead"

    def claim(self, event_id: str) -> str:
        """S string: the content hash under which an event id was first accepted."""
        return f"{self.namespace}:claim:{event_id}"

    def tombstones(self) -> str:
        """S hash: when each erased shopper was erased."""
        return f"{self.namespace}:tombstones"

    def impressions(self) -> str:
        """S stream: lists shown, waiting for Postgres."""
        return f"{self.namespace}:impressions"

    def dead_impressions(self) -> str:
        """S stream: impressions that failed too often."""
        return f"{self.namespace}:impressions:dead"

    def changes(self) -> str:
        """S stream: what changed in the catalogue, models and rules, for every process to follow."""
        return f"{self.namespace}:changes"

    def merchandising(self) -> str:
        """S string: the merchandising rules and scenarios as JSON."""
        return f"{self.namespace}:merchandising"

    def api_keys(self) -> str:
        """S string: the hashes and scopes of the API keys that may be used, as JSON."""
        return f"{self.namespace}:api-keys"

    def rate(self, key_id: str) -> str:
        """C hash: what is left of the rate of one API key."""
        return f"{self.namespace}:rate:{key_id}"

    def user_events(self, user_key: str) -> str:
        """C sorted set: a shopper's newest events."""
        return f"{self.namespace}:user-events:{user_key}"

    def user_profile(self, user_key: str) -> str:
        """C string: a shopper's profile as JSON."""
        return f"{self.namespace}:user-profile:{user_key}"

    def user_version(self, user_key: str) -> str:
        """C string: a token that differs after every change of the shopper."""
        return f"{self.namespace}:user-version:{user_key}"

    def cached_list(self, user_key: str, request_hash: str) -> str:
        """C string: an answer; the hash has a fixed length."""
        return f"{self.namespace}:list:{user_key}:{request_hash}"

    def list_lock(self, user_key: str, request_hash: str) -> str:
        """C string: somebody computes this answer now."""
        return f"{self.namespace}:list-lock:{user_key}:{request_hash}"

    def rules_version(self) -> str:
        """C string: the version of the merchandising rules."""
        return f"{self.namespace}:rules-version"

    def lists(self) -> str:
        """C string: the popular, trending and new lists as JSON."""
        return f"{self.namespace}:lists"


def shard_of(user_key: str, num_shards: int) -> int:
    """Return the stream a shopper's events go to: always the same one, so that their order is kept."""
    return crc32(user_key.encode()) % num_shards
