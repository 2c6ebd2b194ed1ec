"""Where the embedded stores are, for every other process of this home.

Called by   deploy/local/main.py (writes at every start); shared/service/settings.py reads the file
Form        AISLE_<SETTING>=<url>, readable by its owner alone: the URLs hold passwords
Ports       those of the last start again where they are free, so that an address stays good over a restart
"""

from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from deploy.local.files import write_private
from deploy.local.ports import free_port, is_free
from shared.service.settings import PREFIX, STACK_FILE, Settings

STORE_SETTINGS = ("database_url", "redis_stream_url", "redis_cache_url")


def read_addresses(home: Path) -> dict[str, str]:
    """Return the URLs of the last start by the name of their setting; empty before the first."""
    try:
        lines = (home / STACK_FILE).read_text().splitlines()
    except OSError:
        return {}
    pairs = (line.partition("=") for line in lines if line.startswith(PREFIX))
    return {name.removeprefix(PREFIX).lower(): url.strip("'") for name, _, url in pairs}


def write_addresses(home: Path, urls: Mapping[str, str]) -> None:
    """Replace the file."""
    lines = [f"{PREFIX}{name.upper()}='{url}'\n" for name, url in urls.items()]
    write_private(home / STACK_FILE, "".join(lines))


def is_embedded(settings: Settings, name: str) -> bool:
    """Return whether a store is ours to start: its setting was not given, or only by our own file."""
    return not settings.is_given(name) or getattr(settings, name) == read_addresses(settings.home).get(name)


def choose_ports(home: Path) -> dict[str, int]:
    """Return a free port for each store."""
    chosen: dict[str, int] = {}
    for name in STORE_SETTINGS:
        port = urlsplit(read_addresses(home).get(name, "")).port
        while port is None or port in chosen.values() or not is_free(port):
            port = free_port()
        chosen[name] = port
    return chosen
