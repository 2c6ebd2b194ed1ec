"""The API keys in the gateway's memory, read anew at every word of a change and every few seconds.

Called by   services/gateway/access.py (find), composition.py (follow), change_follower.py (refresh_soon)
Comparison  a key is found by the first digits of its SHA-256 and then compared as a whole in constant time, so the time
            an answer takes says nothing about keys that are
Away        while the keys cannot be read, the last known ones hold, over a restart too (a file of hashes); a
            revocation then acts when the stream server is back
Closed      with `required`, with keys in the settings, or since the first key was ever made; else the gateway is open,
            which main.py allows on loopback only
"""

import asyncio
import hashlib
import hmac
from collections.abc import Iterable
from pathlib import Path

import structlog

from services.gateway.refreshed_copy import RefreshedCopy
from shared.contracts.access import KEY_ID_LENGTH, ApiKey, ApiKeys, Scope, digest_of
from shared.service.clock import Clock

NOBODY = "0" * 64

log = structlog.get_logger(__name__)


class KeyRing(RefreshedCopy[ApiKeys]):
    """The keys of one process."""

    def __init__(self, given: Iterable[str], *, required: bool, snapshot_path: Path, clock: Clock) -> None:
        super().__init__("keys")
        # Keys of the settings may do everything: they are there before the first row is.
        self._given = [ApiKey(digest=digest_of(key.encode()), scopes=frozenset({Scope.ADMIN})) for key in given]
        self._closed = required or bool(self._given)
        self._snapshot_path = snapshot_path
        self._clock = clock
        self._by_id: dict[str, ApiKey] = {}
        self._index([])

    @property
    def is_closed(self) -> bool:
        """Return whether nobody is answered without a key."""
        return self._closed

    def find(self, presented: bytes) -> ApiKey | None:
        """Return the key that was presented, if it may be used now."""
        digest = hashlib.sha256(presented).hexdigest()
        key = self._by_id.get(digest[:KEY_ID_LENGTH])
        same = hmac.compare_digest(digest, NOBODY if key is None else key.digest)
        if key is None or not same:
            return None
        return None if key.expires_at_ms is not None and key.expires_at_ms <= self._clock.now_ms() else key

    def load_snapshot(self) -> None:
        """Take the keys of the file, if there is one; a broken file counts as none."""
        try:
            self._hold(ApiKeys.model_validate_json(self._snapshot_path.read_bytes()))
        except FileNotFoundError:
            return
        except (OSError, ValueError) as error:
            log.warning("keys_snapshot_unreadable", reason=type(error).__name__)

    async def _take(self, keys: ApiKeys) -> None:
        self._hold(keys)
        await asyncio.to_thread(self._save_snapshot, keys)

    def _hold(self, keys: ApiKeys) -> None:
        # Never open again: revoking the last key must not let everybody in.
        self._closed = self._closed or keys.issued
        self._index(keys.keys)

    def _index(self, keys: Iterable[ApiKey]) -> None:
        self._by_id = {key.key_id: key for key in (*self._given, *keys)}

    def _save_snapshot(self, keys: ApiKeys) -> None:
        """Write the file under another name and rename it, so that a crash leaves the old or the new one."""
        unfinished = self._snapshot_path.with_suffix(".unfinished")
        try:
            self._snapshot_path.parent.mkdir(parents=True, exist_ok=True)
            unfinished.write_text(keys.model_dump_json())
            unfinished.replace(self._snapshot_path)
        except OSError as error:
            log.warning("keys_snapshot_not_saved", reason=type(error).__name__)
