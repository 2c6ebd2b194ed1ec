"""Who may do what: the scopes of the gateway, API keys as it holds them, and what services call themselves by.

Called by   shared/storage/relational/api_keys.py (rows), shared/storage/redis/api_keys.py (their way to the gateway),
            services/gateway/key_ring.py (in memory), services/command/keys_command.py
Never here  a key itself: it is shown once, by the command that makes it; everybody else knows its SHA-256
"""

import hashlib
import secrets
from enum import StrEnum

from pydantic import Field

from shared.contracts.strict import InternalModel

TOKEN_HEADER = "x-aisle-token"  # noqa: S105 - a name
"""carries what one service of Aisle tells another to be let in (shared/service/internal_token.py)"""
KEY_PREFIX = "aisle_"
KEY_BYTES = 32
KEY_ID_LENGTH = 12


class Scope(StrEnum):
    """What a key is good for; a key may have several."""

    RECOMMEND = "recommend"
    """read lists: /recommend, /similar, /popular, /trending, /new, /explain"""
    INGEST = "ingest"
    """write what happened and who shops: POST /events, /users, /users/merge"""
    CATALOG = "catalog"
    """read and write /items"""
    PRIVACY = "privacy"
    """read, change, export and erase one account"""
    ADMIN = "admin"
    """everything, and figures"""


class ApiKey(InternalModel):
    """A key that may be used."""

    digest: str = Field(pattern="^[0-9a-f]{64}$")
    """SHA-256 of the key, in hexadecimal; its first KEY_ID_LENGTH digits are the key's name in lists and logs"""
    scopes: frozenset[str]
    """Scopes, or what a later version of Aisle calls one"""
    expires_at_ms: int | None = None
    requests_per_s: float | None = None
    """None: the limit of the settings"""

    @property
    def key_id(self) -> str:
        """Return what the key is called where it must not be told."""
        return self.digest[:KEY_ID_LENGTH]

    def allows(self, scope: Scope) -> bool:
        """Return whether the key is good for something."""
        return scope in self.scopes or Scope.ADMIN in self.scopes


class ApiKeys(InternalModel):
    """All keys that may be used, on their way to the gateway."""

    issued: bool
    """a key was made once, be it revoked by now: from then on nobody is answered without one"""
    keys: list[ApiKey]


def new_key() -> str:
    """Return a key: 256 random bits, behind a word that scanners for leaked secrets can look for."""
    return KEY_PREFIX + secrets.token_urlsafe(KEY_BYTES)


def digest_of(key: bytes) -> str:
    """Return what is kept of a key. Without salt and iterations: nobody can guess 256 random bits."""
    return hashlib.sha256(key).hexdigest()
