"""Online state: a copy of a shopper's newest events and profile, complete or not there at all.

Called by   services/feature: user_state.py (reads, rebuilds), the ingest worker (applies new events)
Copy        Postgres is the truth. The worker commits there first and then changes the copy where it is complete; a
            reader who finds none rebuilds it from Postgres. Any key may be evicted at any time: the set of events
            holds a sentinel while it is complete, and without it, the version or the profile there is no state
Race        a rebuild reads Postgres under a version seen before and is written only if the version is still the same;
            the worker sets a new version with every event, so a rebuild never overwrites what it has not seen.
            A version is a random token: a counter would repeat after an eviction
Held        a reader may keep the states it read last; while the stored version is theirs, the events are not sent again
Errors      STORE_ERRORS of clients.py
"""

import secrets
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from shared.contracts.internal import WINDOW_SIZE, Profile
from shared.features.shopper_events import ShopperEvents
from shared.storage.history import HistoryEvent
from shared.storage.redis.clients import AsyncRedis, SyncRedis
from shared.storage.redis.event_member import pack, unpack_members
from shared.storage.redis.keys import ERASED_VERSION, Keys

# Some events more than features read: those dated a little ahead are not yet visible and must not push others out.
MAX_EVENTS = WINDOW_SIZE + 64
SENTINEL = b"\x00complete"
ERASED_VERSION_TTL_S = 45
"""an erased shopper's last trace: it stops rebuilds under way, and is gone within the minute erasure promises"""

# One round trip either way; five hundred members are not sent again to a process that holds them.
# KEYS: events, profile, version. ARGV: the version that the caller holds the events of.
# Returns version and profile, and the members unless they are held; nothing without version or profile.
READ = """
local version, profile = redis.call('GET', KEYS[3]), redis.call('GET', KEYS[2])
if not version or not profile then return {} end
if version == ARGV[1] then return {version, profile} end
return {version, profile, redis.call('ZRANGE', KEYS[1], 0, -1)}
"""

# KEYS: version. ARGV: a new token. Returns the version, made if there was none.
VERSION_OR_NEW = """
local version = redis.call('GET', KEYS[1])
if not version then
    version = ARGV[1]
    redis.call('SET', KEYS[1], version)
end
return version
"""

# Five hundred members in one call: a call for each costs a millisecond more, and Lua's stack holds no 8,000 values.
# KEYS: events, profile, version. ARGV: version seen, profile, sentinel, then score and member of each event.
REBUILD = """
if redis.call('GET', KEYS[3]) ~= ARGV[1] then return 0 end
redis.call('DEL', KEYS[1])
redis.call('ZADD', KEYS[1], '-inf', ARGV[3])
for i = 4, #ARGV, 1000 do redis.call('ZADD', KEYS[1], unpack(ARGV, i, math.min(i + 999, #ARGV))) end
redis.call('SET', KEYS[2], ARGV[2])
return 1
"""

# KEYS: events, version. ARGV: new version, sentinel, most events to keep, then score and member of each event.
APPLY = """
redis.call('SET', KEYS[2], ARGV[1])
if not redis.call('ZSCORE', KEYS[1], ARGV[2]) then return 0 end
for i = 4, #ARGV, 1000 do redis.call('ZADD', KEYS[1], unpack(ARGV, i, math.min(i + 999, #ARGV))) end
local surplus = redis.call('ZCARD', KEYS[1]) - 1 - tonumber(ARGV[3])
if surplus > 0 then redis.call('ZREMRANGEBYRANK', KEYS[1], 1, surplus) end
return 1
"""


@dataclass(frozen=True)
class OnlineState:
    """What is known of a shopper; the events oldest first, at most MAX_EVENTS."""

    version: str
    events: ShopperEvents
    profile: Profile


class OnlineStateReader:
    """The event loop's side."""

    def __init__(self, client: AsyncRedis, namespace: str, held_states: int = 0) -> None:
        """With `held_states` > 0 as many states stay in memory, each trusted only under the version that is stored."""
        self._client = client
        self._keys = Keys(namespace)
        self._held: OrderedDict[str, OnlineState] = OrderedDict()
        self._held_states = held_states

    async def read(self, user_key: str) -> OnlineState | None:
        """Return the state in one round trip, None unless all of it is there."""
        held = self._held.pop(user_key, None)
        if held is None:
            (state,) = await self.read_many([user_key])
        else:
            found: Any = await self._client.eval(READ, 3, *self._state_keys(user_key), held.version)
            unchanged = len(found) == 2
            state = replace(held, profile=Profile.model_validate_json(found[1])) if unchanged else _complete(found)
        return None if state is None else self._hold(user_key, state)

    async def read_many(self, user_keys: Sequence[str]) -> list[OnlineState | None]:
        """Return the state of each of many shoppers, all in one round trip; none of them is held.

        Without a script, in which the server takes three times as long over five hundred members. The version is read
        before the events: after one that comes between, the version is an older one, and what is made of it is stale.
        """
        async with self._client.pipeline(transaction=False) as pipeline:
            for user_key in user_keys:
                events, profile, version = self._state_keys(user_key)
                pipeline.mget(version, profile)
                pipeline.zrange(events, 0, -1)
            found = await pipeline.execute()
        return [_complete((*told, members)) for told, members in zip(found[::2], found[1::2], strict=True)]

    def _hold(self, user_key: str, state: OnlineState) -> OnlineState:
        """Keep a state until its version changes or enough others were read since."""
        self._held[user_key] = state
        if len(self._held) > self._held_states:
            self._held.popitem(last=False)
        return state

    def _state_keys(self, user_key: str) -> tuple[str, str, str]:
        return (
            self._keys.user_events(user_key),
            self._keys.user_profile(user_key),
            self._keys.user_version(user_key),
        )

    async def version(self, user_key: str) -> str:
        """Return the version to read Postgres under, before reading it."""
        found: Any = await self._client.eval(VERSION_OR_NEW, 1, self._keys.user_version(user_key), new_version())
        return str(found.decode())

    async def rebuild(self, user_key: str, version_seen: str, events: Sequence[HistoryEvent], profile: Profile) -> bool:
        """Write the state read from Postgres; False, and nothing written, if the shopper changed in the meantime."""
        keys = self._state_keys(user_key)
        newest = sorted(events)[-MAX_EVENTS:]
        written: Any = await self._client.eval(
            REBUILD, len(keys), *keys, version_seen, profile.model_dump_json(), SENTINEL, *_scores_and_members(newest)
        )
        return bool(written)

    async def forget(self, user_keys: Iterable[str]) -> None:
        """Drop the state of shoppers whose past or profile changed; the next reader rebuilds it."""
        async with self._client.pipeline(transaction=True) as pipeline:
            _forget(pipeline, self._keys, user_keys, ttl_s=None)
            await pipeline.execute()

    async def erase(self, user_key: str) -> None:
        """Drop the state for good; the version that stops rebuilds under way goes within a minute."""
        async with self._client.pipeline(transaction=True) as pipeline:
            _forget(pipeline, self._keys, [user_key], ttl_s=ERASED_VERSION_TTL_S)
            await pipeline.execute()


class OnlineStateWriter:
    """The ingest worker's side."""

    def __init__(self, client: SyncRedis, namespace: str) -> None:
        self._client = client
        self._keys = Keys(namespace)

    def apply(self, events_of: Mapping[str, Sequence[HistoryEvent]]) -> None:
        """Add new events, already in Postgres, to the states that are complete; give every shopper a new version."""
        with self._client.pipeline(transaction=False) as pipeline:
            for user_key, events in events_of.items():
                keys = (self._keys.user_events(user_key), self._keys.user_version(user_key))
                values = (new_version(), SENTINEL, MAX_EVENTS, *_scores_and_members(events))
                pipeline.eval(APPLY, len(keys), *keys, *values)
            pipeline.execute()

    def forget(self, user_keys: Iterable[str]) -> None:
        """Drop the state of shoppers whose past changed; the next reader rebuilds it."""
        with self._client.pipeline(transaction=True) as pipeline:
            _forget(pipeline, self._keys, user_keys, ttl_s=None)
            pipeline.execute()

    def erase(self, user_keys: Iterable[str]) -> None:
        """Drop the state of shoppers for good; the version that stops rebuilds under way goes within a minute."""
        with self._client.pipeline(transaction=True) as pipeline:
            _forget(pipeline, self._keys, user_keys, ttl_s=ERASED_VERSION_TTL_S)
            pipeline.execute()


def _complete(found: Sequence[Any]) -> OnlineState | None:
    """Return the state of version, profile and members, None unless all of it is there."""
    version, profile, members = found or (None, None, None)
    if version is None or profile is None or not members or members[0] != SENTINEL:
        return None
    return OnlineState(version.decode(), unpack_members(members[1:]), Profile.model_validate_json(profile))


def new_version() -> str:
    """Return a token that was never used before."""
    return secrets.token_hex(8)


def _scores_and_members(events: Iterable[HistoryEvent]) -> list[int | bytes]:
    return [part for event in events for part in (event.at_ms, pack(event))]


def _forget(pipeline: Any, keys: Keys, user_keys: Iterable[str], ttl_s: int | None) -> None:
    for user_key in user_keys:
        pipeline.delete(keys.user_events(user_key), keys.user_profile(user_key))
        erased = ERASED_VERSION if ttl_s is not None else ""
        pipeline.set(keys.user_version(user_key), erased + new_version(), ex=ttl_s)
