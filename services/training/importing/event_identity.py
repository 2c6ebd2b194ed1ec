"""The event id of an imported row without one: the same row has the same id in every run.

Called by   import_events.py, for rows that cleaning kept
Out         "i-" and 24 hexadecimal digits of BLAKE2b over shopper, type, item, time and order: what also makes a
            duplicate in cleaning. Price and quantity are left out, so a corrected file is no second order
Ties        searches have no item; the second at one moment carries its number, and so on
"""

from collections import Counter
from hashlib import blake2b
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

SEPARATOR = "\x1f"
DIGEST_BYTES = 12


def with_event_ids(events: Any) -> Any:
    """Return the table with an event_id in every row; ids that the shop gave stay."""
    given = events["event_id"].cast(pa.string())
    missing = pc.indices_nonzero(given.is_null())
    if not len(missing):
        return events
    ids = given.to_pylist()
    for row, event_id in zip(missing.to_pylist(), _made(events.take(missing)), strict=True):
        ids[row] = event_id
    return events.set_column(events.column_names.index("event_id"), "event_id", pa.array(ids, pa.string()))


def _made(events: Any) -> list[str]:
    parts = [
        events[name].cast(pa.string()).fill_null("") for name in ("user_key", "type", "item_id", "at_ms", "order_id")
    ]
    keys = pc.binary_join_element_wise(*parts, SEPARATOR).to_pylist()
    seen: Counter[str] = Counter()
    for row in pc.indices_nonzero(events["item_id"].is_null()).to_pylist():
        key = keys[row]
        keys[row] = f"{key}{SEPARATOR}{seen[key]}" if seen[key] else key
        seen[key] += 1
    return ["i-" + blake2b(key.encode(), digest_size=DIGEST_BYTES).hexdigest() for key in keys]
