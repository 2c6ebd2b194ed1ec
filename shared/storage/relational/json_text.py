"""Values as JSON text that Postgres accepts.

Called by   the other files of this folder that pass rows as one JSON parameter
NUL         JSON may hold the character U+0000, Postgres' text may not: it is dropped, since no shop means it
"""

from typing import Any

import orjson

_NUL = b"\\u0000"


def storable_json(values: Any) -> str:
    """Return JSON text for a `CAST(... AS jsonb)`."""
    encoded = orjson.dumps(values, option=orjson.OPT_SERIALIZE_NUMPY)
    if _NUL in encoded:
        encoded = orjson.dumps(_without_nul(values), option=orjson.OPT_SERIALIZE_NUMPY)
    return encoded.decode()


def _without_nul(value: Any) -> Any:
    if isinstance(value, str):
        return value.replace("\x00", "")
    if isinstance(value, dict):
        return {_without_nul(key): _without_nul(part) for key, part in value.items()}
    return [_without_nul(part) for part in value] if isinstance(value, list) else value
