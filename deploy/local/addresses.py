"""Where the embedded stores are and how the services know each other, for every other process of this home.

Called by   deploy/local/main.py (writes at every start); shared/service/settings.py reads the file
Form        AISLE_<SETTING>=<value>, readable by its owner alone: the URLs hold passwords, and the token is one
Ports       those of the last start again where they are free, so that an address stays good over a restart
"""

import secrets
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from deploy.local.files import write_private
from deploy.local.ports import free_port, is_free
from shared.service.settings import PREFIX, STACK_FILE, Settings

TOKEN_SETTING = "internal_token"  # noqa: S105 - a name
STORE_SETTINGS = ("database_url", "redis_stream_url", "redis_cache_url")


def read_addresses(home: Path) -> dict[str, str]:
    """Return the values of the last start by the name of their setting; empty before the first."""
    try:
        lines = (home / STACK_FILE).read_text().splitlines()
    except OSError:
        return {}
    pairs = (line.partition("=") for line in lines if line.startswith(PREFIX))
    return {name.removeprefix(PREFIX).lower(): url.strip("'") for name, _, url in pairs}


def write_addresses(home: Path, values: Mapping[str, str]) -> None:
    """Replace the file."""
    lines = [f"{PREFIX}{name.upper()}='{value}'\n" for name, value in values.items()]
    write_private(home / STACK_FILE, "".join(lines))


def is_embedded(settings: Settings, name: str) -> bool:
    """Return whether a store is ours to start: its setting was not given, or only by our own file."""
    return not settings.is_given(name) or getattr(settings, name) == read_addresses(settings.home).get(name)


def own_token(settings: Settings) -> dict[str, str]:
    """Return the internal token of this home by the name of its setting, made at the first start; empty if given."""
    known = read_addresses(settings.home).get(TOKEN_SETTING)
    if settings.internal_tokens() and settings.internal_token.get_secret_value() != known:
        return {}
    return {TOKEN_SETTING: known or secrets.token_urlsafe(32)}


def choose_ports(home: Path) -> dict[str, int]:
    """Return a free port for each store."""
    chosen: dict[str, int] = {}
    for name in STORE_SETTINGS:
        port = urlsplit(read_addresses(home).get(name, "")).port
        while port is None or port in chosen.values() or not is_free(port):
            port = free_port()
        chosen[name] = port
    return chosen
