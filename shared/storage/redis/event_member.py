"""One event of a shopper as a member of a Redis sorted set, and back.

Called by   user_state.py
Layout      event id, 0x1f, item id, 0x1f, then 17 bytes: time in ms (int64), type (int8), price and quantity (float32;
            NaN: no price), little-endian. The id comes first, so that Redis, which sorts members of one score by bytes,
            puts events of one millisecond in the order of their ids; no identifier holds a 0x1f
"""

import math
import struct
from collections.abc import Sequence
from operator import itemgetter

import numpy as np

from shared.features.shopper_events import RECORD, ShopperEvents
from shared.storage.history import HistoryEvent

SEPARATOR = b"\x1f"
_tail = struct.Struct("<qbff")
"""RECORD of shared.features.shopper_events"""
# Of five hundred members a generator takes half as long again.
_head, _end = itemgetter(slice(None, -_tail.size)), itemgetter(slice(-_tail.size, None))


def pack(event: HistoryEvent) -> bytes:
    """Return the member; the same event always gives the same bytes, so adding it again changes nothing."""
    price = math.nan if event.price is None else event.price
    tail = _tail.pack(event.at_ms, event.type_code, price, event.quantity)
    return SEPARATOR.join((event.event_id.encode(), event.item_id.encode(), tail))


def unpack_members(members: Sequence[bytes]) -> ShopperEvents:
    """Return members as events, in their order."""
    heads = b"".join(map(_head, members)).decode()
    # A head is an event id and an item id, each with a separator behind it.
    item_id = heads.split(SEPARATOR.decode())[1::2]
    return ShopperEvents(item_id, np.frombuffer(b"".join(map(_end, members)), RECORD))
