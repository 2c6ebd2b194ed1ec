"""What makes two events the same: a hash over everything the shop said, except the event's id.

Called by   services/gateway (POST /events), services/training (import),
            shared/storage/relational (events without a hash)
Out         32 hexadecimal digits (16 bytes of SHA-256)
Rule        an event sent again under the same id is a duplicate if the hash is equal, else a conflict
Time        left out when the shop gave none: the server's own clock must not turn a repetition into a conflict
Stability   the text that is hashed is part of stored data: fields in a fixed order, floats in their shortest form,
            separated by a character that no identifier may hold
"""

import json
from collections.abc import Iterable, Sequence
from hashlib import sha256
from typing import Any

from shared.contracts.events import EVENT_TYPE_CODES, StoredEvent
from shared.contracts.times import epoch_ms

SEPARATOR = "\x1f"
LINE_SEPARATOR = "\x1e"
NUM_BYTES = 16

Line = tuple[
    int, str, str | None, int | None, float, float | None, float | None,
    str | None, str | None, str | None, int | None, str | None, str,
]  # fmt: skip
"""type code, user_key, item_id, at_ms, quantity, price, value, session_id, order_id, recommendation_id, position,
currency, context as canonical JSON (empty when there is none)"""


def content_hash(lines: Sequence[StoredEvent], *, time_given: bool) -> str:
    """Return the hash of one event as the shop sent it: its lines, in their order."""
    return hash_of_lines(_line(event, time_given) for event in lines)


def hash_of_lines(lines: Iterable[Line]) -> str:
    """Return the hash of one event from the plain fields of its lines; the bulk import calls this for each row."""
    return sha256(LINE_SEPARATOR.join(map(_text, lines)).encode()).hexdigest()[: 2 * NUM_BYTES]


def canonical_context(context: dict[str, Any] | None) -> str:
    """Return one spelling for equal contexts, whatever the order of their keys."""
    return json.dumps(context, sort_keys=True, separators=(",", ":"), ensure_ascii=False) if context else ""


def _line(event: StoredEvent, time_given: bool) -> Line:
    return (
        EVENT_TYPE_CODES[event.type],
        event.user_key,
        event.item_id,
        epoch_ms(event.occurred_at) if time_given else None,
        event.quantity,
        event.price,
        event.value,
        event.session_id,
        event.order_id,
        event.recommendation_id,
        event.position,
        event.currency,
        canonical_context(event.context),
    )


def _text(line: Line) -> str:
    """Join the fields so that no two lines share a text: a field that is absent differs from one that is empty."""
    return SEPARATOR.join(["" if field is None else f"={field}" for field in line])
