"""What an identifier is: 1 to 128 printable characters in Unicode normal form C.

Called by   every contract that names a user, visitor, item, session, order or event
In          a JSON string or integer (a boolean is neither)
Out         str in NFC; inside Aisle an identifier is always a str
Errors      ValueError, which pydantic turns into a located validation error
"""

import unicodedata
from typing import Annotated

from pydantic import BeforeValidator, WithJsonSchema

MAX_IDENTIFIER_LENGTH = 128


def normalise_identifier(value: object) -> str:
    """Return the one spelling under which an identifier is stored and compared."""
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        raise ValueError("an identifier is a string or an integer")
    text = unicodedata.normalize("NFC", str(value))
    if not 1 <= len(text) <= MAX_IDENTIFIER_LENGTH:
        raise ValueError(f"an identifier has 1 to {MAX_IDENTIFIER_LENGTH} characters")
    # Format characters (category Cf, such as right-to-left marks) are not printable for str.isprintable.
    if not text.isprintable() or text != text.strip():
        raise ValueError("an identifier has printable characters only, and no space at either end")
    return text


Identifier = Annotated[
    str,
    BeforeValidator(normalise_identifier),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "minLength": 1, "maxLength": MAX_IDENTIFIER_LENGTH},
                {"type": "integer"},
            ]
        }
    ),
]


def user_key(user_id: str | None, visitor_id: str | None) -> str:
    """Return the key under which a shopper's events are kept: accounts and visitors never share one."""
    if user_id is not None:
        return f"u:{user_id}"
    if visitor_id is not None:
        return f"v:{visitor_id}"
    raise ValueError("either user_id or visitor_id is required")
