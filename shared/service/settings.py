"""Every setting of Aisle, read once from AISLE_* environment variables; the only place that reads the environment.

Called by   each main.py and the `aisle` command: `Settings.load()`; everything else gets the object passed
Out         one frozen object; `_ms` and `_s` in a name are its unit
Errors      a wrong or misspelt setting is named on stderr and the process ends with code 2; the value is never printed,
            since it may hold a password
"""

import difflib
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, NoReturn, Self
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

PREFIX = "AISLE_"
WRONG_SETTING_EXIT_CODE = 2
DEFAULT_HOME = Path(".aisle")
# Where the embedded stores of this home listen; deploy/local writes it. A variable of the environment comes before it.
STACK_FILE = "stack.env"
LOOPBACK_HOSTS = frozenset({"127.0.0.1", "localhost", "::1"})

ServiceName = Literal["gateway", "feature", "ranking", "training"]


def _known_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError("not a time zone of the IANA database, such as Europe/Berlin") from None
    return name


def _http_url(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.path not in {"", "/"}:
        raise ValueError("expected http://host:port")
    return url.rstrip("/")


def _http_url_or_none(url: str) -> str:
    return _http_url(url) if url else url


def _postgres_url(url: str) -> str:
    if not url.startswith("postgresql+psycopg2://"):
        raise ValueError("expected postgresql+psycopg2://user:password@host:port/database")
    return url


def _redis_url(url: str) -> str:
    if urlsplit(url).scheme not in {"redis", "rediss", "unix"}:
        raise ValueError("expected redis://host:port/number, rediss:// or unix://")
    return url


Milliseconds = Annotated[int, Field(ge=1, le=600_000)]
Seconds = Annotated[int, Field(ge=1, le=31_536_000)]
HttpUrl = Annotated[str, AfterValidator(_http_url)]
RedisUrl = Annotated[str, AfterValidator(_redis_url)]


class Settings(BaseSettings):
    """What may differ between two installs. Defaults fit the embedded stack on one machine."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="ignore")

    namespace: str = Field(default="aisle", pattern="^[a-z][a-z0-9-]{0,31}$")
    """first part of every Redis key"""
    home: Annotated[Path, AfterValidator(Path.absolute)] = Field(default=DEFAULT_HOME, validate_default=True)
    """folder of everything kept on disk: embedded stores, bundles, snapshot, logs"""
    timezone: Annotated[str, AfterValidator(_known_zone)] = "UTC"
    """the shop's zone: of naive times in imports, and of hour and weekday features"""
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"

    # Not in the repr: they may hold a password.
    database_url: Annotated[str, AfterValidator(_postgres_url)] = Field(
        default="postgresql+psycopg2://aisle@127.0.0.1:5432/aisle", repr=False
    )
    redis_stream_url: RedisUrl = Field(default="redis://127.0.0.1:6379/0", repr=False)
    redis_cache_url: RedisUrl = Field(default="redis://127.0.0.1:6380/0", repr=False)
    bundle_url: str = Field(default_factory=lambda fields: f"{fields['home']}/bundles", min_length=1)
    """fsspec URL of the folder that holds the model bundles"""

    host: str = Field(default="127.0.0.1", min_length=1)
    gateway_url: HttpUrl = "http://127.0.0.1:8000"
    feature_url: HttpUrl = "http://127.0.0.1:8001"
    ranking_url: HttpUrl = "http://127.0.0.1:8002"
    training_url: HttpUrl = "http://127.0.0.1:8003"
    otlp_url: Annotated[str, AfterValidator(_http_url_or_none)] = ""
    """of an OpenTelemetry collector, such as http://collector:4318; empty: no traces. Needs the extra `tracing`"""
    api_keys: SecretStr = SecretStr("")
    """comma separated, each good for everything: for the first hour of an install, and for its `aisle` command, which
    sends the first; shops get keys of `aisle keys`"""
    require_keys: bool = False
    """nobody is answered without a key; also with api_keys, and since the first `aisle keys create`. Without any of
    these the gateway is open and binds loopback only"""
    rate_limit_per_s: float = Field(default=500.0, gt=0, le=1_000_000)
    """requests of one API key, over all gateways, unless the key has a limit of its own"""
    admin_port: int | None = Field(default=None, ge=1, le=65_535)
    """the gateway's figures are on this port only, which the inside alone can reach; empty: on its own port"""
    internal_token: SecretStr = SecretStr("")
    """what feature, ranking and training ask of every caller; comma separated: the first is sent, all are accepted;
    empty: they are open and bind loopback only"""

    deadline_ms: Milliseconds = 300
    """of one POST /recommend, from the first byte to the answer"""
    cache_timeout_ms: Milliseconds = 15
    feature_timeout_ms: Milliseconds = 80
    ranking_timeout_ms: Milliseconds = 190
    cache_ttl_s: Seconds = 60
    """how long a cached list is fresh, jittered by a fifth"""
    stale_ttl_s: Seconds = 86_400
    """how long a cached list is kept as a fallback"""
    max_in_flight: int = Field(default=64, ge=1, le=10_000)
    """live computations at once in one process, fewer while they take too long; the gateway answers more from memory"""
    max_requests: int = Field(default=512, ge=1, le=100_000)
    """requests at once in one process; more get 503 with Retry-After"""
    drain_s: float = Field(default=0.0, ge=0, le=60)
    """after SIGTERM: not ready but still accepting, so that load balancers notice; 5 in Kubernetes"""

    event_shards: int = Field(default=1, ge=1, le=64)
    ingest_port: int = Field(default=8004, ge=1, le=65_535)
    """of the ingest worker's own /metrics and /livez"""
    lists_refresh_s: Seconds = 60
    """feature computes the popular, trending and new lists this often"""
    lists_poll_s: Seconds = 10
    """the gateway fetches them this often"""
    model_poll_s: Seconds = 2
    """ranking looks for a new model version this often"""
    device: Literal["cpu", "cuda"] = "cpu"
    """where ranking runs the sequence encoder; cuda needs the image ranking-gpu and an NVIDIA GPU"""

    @classmethod
    def load(cls) -> Self:
        """Read the environment, then the embedded stack's file; name what is wrong on stderr and end the process."""
        problems = _misspelt(cls)
        try:
            settings = cls(_env_file=_home() / STACK_FILE)
        except ValidationError as error:
            problems += [f"{_variable(entry['loc'])}: {entry['msg']}" for entry in error.errors() if _is_cause(entry)]
        if problems:
            refuse_settings(problems)
        return settings

    def is_given(self, name: str) -> bool:
        """Return whether a setting was set, rather than left at its default."""
        return name in self.model_fields_set

    def port_of(self, service: ServiceName) -> int:
        """Return the port a service listens on: the one of its URL."""
        parts = urlsplit(str(getattr(self, f"{service}_url")))
        return parts.port or (443 if parts.scheme == "https" else 80)

    @property
    def snapshot_path(self) -> Path:
        """File with the last good popular lists, read by the gateway when Redis is away at its start."""
        return self.home / "snapshot" / "lists.json"

    @property
    def is_loopback(self) -> bool:
        """Return whether the bind address is reachable from this machine only."""
        return self.host in LOOPBACK_HOSTS

    @property
    def keys_snapshot_path(self) -> Path:
        """File with the hashes of the last known API keys, read by the gateway when Redis is away at its start."""
        return self.home / "snapshot" / "keys.json"

    def api_key_list(self) -> list[str]:
        """Return the API keys of the settings."""
        return _parts(self.api_keys)

    def internal_tokens(self) -> list[str]:
        """Return what internal services accept, the one that is sent first; empty when they are open."""
        return _parts(self.internal_token)


def _parts(secret: SecretStr) -> list[str]:
    return [part for part in map(str.strip, secret.get_secret_value().split(",")) if part]


def refuse_settings(problems: Sequence[str]) -> NoReturn:
    """Name what is wrong and end the process."""
    print(f"wrong settings: {'; '.join(problems)}", file=sys.stderr)
    raise SystemExit(WRONG_SETTING_EXIT_CODE)


def _home() -> Path:
    """Return the home before the settings are read, since one of their files lies in it."""
    return Path(os.environ.get(f"{PREFIX}HOME") or DEFAULT_HOME)


def _variable(loc: tuple[int | str, ...]) -> str:
    return PREFIX + str(loc[0]).upper() if loc else PREFIX.rstrip("_")


def _is_cause(entry: Any) -> bool:
    """Leave out the defaults that could not be made because another setting is wrong."""
    return bool(entry["type"] != "default_factory_not_called")


def _misspelt(settings_class: type[Settings]) -> list[str]:
    """Return a line for each AISLE_* variable that is nearly, but not quite, the name of a setting."""
    known = [PREFIX + name.upper() for name in settings_class.model_fields]
    lines = []
    for name in sorted(os.environ):
        if name.startswith(PREFIX) and name not in known:
            # Only near misses: Kubernetes itself sets variables such as AISLE_GATEWAY_SERVICE_HOST.
            near = difflib.get_close_matches(name, known, n=1, cutoff=0.88)
            lines += [f"{name}: no such setting; meant {near[0]}?"] if near else []
    return lines
