"""One event of a shopper as a member of a Redis sorted set, and back.

Called by   user_state.py
Layout      event id, 0x1f, item id, 0x1f, then 17 bytes: time in ms (int64), type (int8), price and quantity (float32;
            NaN: no price), little-endian. The id comes first, so that Redis, which sorts members of one score by bytes,
            puts events of one millisecond in the order of their ids; no identifier holds a 0x1f
"""

import math
import struct
from collections.abc import Sequence

from shared.contracts.internal import EventColumns
from shared.storage.history import HistoryEvent

SEPARATOR = b"\x1f"
_tail = struct.Struct("<qbff")


def pack(event: HistoryEvent) -> bytes:
    """Return the member; the same event always gives the same bytes, so adding it again changes nothing."""
    price = math.nan if event.price is None else event.price
    tail = _tail.pack(event.at_ms, event.type_code, price, event.quantity)
    return SEPARATOR.join((event.event_id.encode(), event.item_id.encode(), tail))


def unpack_columns(members: Sequence[bytes]) -> EventColumns:
    """Return members as columns, in their order."""
    tails = list(_tail.iter_unpack(b"".join(member[-_tail.size :] for member in members)))
    return EventColumns.model_construct(
        item_id=[member[: -_tail.size].split(SEPARATOR, 2)[1].decode() for member in members],
        at_ms=[tail[0] for tail in tails],
        type=[tail[1] for tail in tails],
        price=[None if tail[2] != tail[2] else tail[2] for tail in tails],
        quantity=[tail[3] for tail in tails],
    )
